"""The GPU of this process: what a receipt says of it, and which one a worker has."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from ws.errors import DeviceError

DRIVER = Path("/proc/driver/nvidia/version")
"""Where NVIDIA's driver says its release, on Linux."""

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The environment variable that says which GPUs a process sees, by number or by id; read once, when CUDA starts."""

UNKNOWN = "unknown"


class Seen(NamedTuple):
    """What a GPU says of itself."""

    device_name: str
    capability: str
    device_bytes: int
    driver: str
    cuda: str


def seen() -> Seen:
    """The GPU that `cuda` means in this process."""
    found = torch.cuda.get_device_properties(torch.cuda.current_device())
    return Seen(
        device_name=found.name,
        capability=f"{found.major}.{found.minor}",
        device_bytes=found.total_memory,
        driver=driver(),
        cuda=torch.version.cuda or UNKNOWN,
    )


def driver() -> str:
    """The release of NVIDIA's driver."""
    try:
        said = re.search(r"\b(\d+\.\d+(?:\.\d+)?)\b", DRIVER.read_text(encoding="utf-8"))
    except OSError:
        return UNKNOWN
    return said[1] if said else UNKNOWN


def peak_bytes() -> int:
    """The most memory that tensors of this process took on its GPU at once; 0 if it has not used one."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0


def visible() -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA names them."""
    chosen = os.environ.get(VISIBLE)
    if chosen is not None:
        return tuple(one.strip() for one in chosen.split(",") if one.strip())
    return tuple(map(str, range(torch.cuda.device_count())))


def check_workers(workers: int, devices: Sequence[str]) -> None:
    """Raises: DeviceError for more workers than GPUs: two on one would share its memory, and wait for each other."""
    if workers > len(devices):
        raise DeviceError(
            f"{workers} workers share {len(devices)} GPU{'' if len(devices) == 1 else 's'} ({', '.join(devices)}); "
            f"one worker has one GPU: run with -n {len(devices)}, or without -n"
        )


@dataclass
class Places:
    """Which worker has which GPU."""

    devices: Sequence[str]
    taken: dict[str, str] = field(default_factory=dict)

    def take(self, worker: str) -> str:
        """A GPU that no living worker has. Raises: DeviceError if there is none."""
        free = [one for one in self.devices if one not in self.taken.values()]
        if not free:
            check_workers(len(self.taken) + 1, self.devices)
        return self.taken.setdefault(worker, free[0])

    def leave(self, worker: str) -> None:
        """The worker has ended; another one, which takes its place, may have its GPU."""
        self.taken.pop(worker, None)


def use_only(device: str) -> None:
    """Let this process see one GPU alone. Raises: DeviceError if CUDA has started, and has seen all of them."""
    if torch.cuda.is_initialized():
        raise DeviceError(f"CUDA runs in this process already, so it cannot be kept to GPU {device}; start a new one")
    os.environ[VISIBLE] = device
