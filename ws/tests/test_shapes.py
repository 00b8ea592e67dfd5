"""A module loaded under the hook checks types and shapes at every call, and computes the same as without."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

from fixtures import shapes

SOURCE = '''
"""A module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from nowhere import Unknown

Pair = dict[str, Float[Tensor, "seq d"]]


def added(x: Float[Tensor, "seq d"], y: Float[Tensor, "d"]) -> Float[Tensor, "seq d"]:
    return x + y


def of_pair(pair: Pair, *, also: list[Float[Tensor, "seq"]]) -> int:
    return len(pair)


def turned(x: Float[Tensor, "seq d"]) -> Float[Tensor, "seq d"]:
    return x.T


def within(x: Float[Tensor, "seq d"]) -> Float[Tensor, "seq d"]:
    """Other axes of the same names, in a call inside a call."""
    added(x.T, x[:, 0])
    return x


def rows(x: Float[Tensor, "seq d"], y: Float[Tensor, "d"]) -> Iterator[Tensor]:
    for row in x:
        turned(x[:1, :1])
        yield row + y


def counted(n: int) -> Iterator[int]:
    yield from range(n)


def any_of(it: Unknown, n: int) -> int:
    def inner(m: str) -> str:
        return m

    inner(it)
    return n


@dataclass(frozen=True)
class Point:
    x: Float[Tensor, "d"]
    y: Float[Tensor, "d"]

    @cached_property
    def size(self) -> int:
        return str(len(self.x))

    @classmethod
    def of(cls, n: int) -> Point:
        return cls(n, n)


@dataclass
class Named(Exception):
    name: str

    def __init__(self, name: str) -> None:
        self.name = name
'''


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module under the hook, beside one without."""
    folder = tmp_path_factory.mktemp("modules")
    for name in ("sheltered", "open_air"):
        (folder / f"{name}.py").write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(sys, "dont_write_bytecode", False)
        uninstall = shapes.install({"sheltered"})
        importlib.import_module("open_air")
        yield importlib.import_module("sheltered")
        uninstall()


refused = pytest.raises(BeartypeCallHintViolation)
x, y = torch.ones(3, 2), torch.ones(2)


def test_right_calls_compute_what_they_compute_without_the_hook(module: ModuleType) -> None:
    plain = sys.modules["open_air"]
    for one in (module, plain):
        assert torch.equal(one.added(x, y=y), x + 1)
        assert one.of_pair({"a": x}, also=[torch.ones(3)]) == 1
        assert torch.equal(one.within(x), x)
        assert [row.tolist() for row in one.rows(x, y)] == [[2, 2]] * 3
        assert list(one.counted(2)) == [0, 1]
        assert one.any_of("it", 2) == 2
        assert one.Named("it").name == "it"
    assert plain.added(x, torch.ones(1)).shape == (3, 2)


def test_an_axis_name_means_one_size_in_a_call(module: ModuleType) -> None:
    with refused:
        module.added(x, torch.ones(3))
    with refused:
        module.of_pair({"a": x}, also=[y])
    with refused:
        module.Point(torch.ones(2), torch.ones(3))
    module.added(torch.ones(5, 4), torch.ones(4))


def test_a_result_is_checked_against_the_arguments(module: ModuleType) -> None:
    module.turned(torch.ones(2, 2))
    with refused:
        module.turned(x)


def test_a_generator_is_refused_when_it_is_called(module: ModuleType) -> None:
    with pytest.raises(TypeCheckError):
        module.rows(x, torch.ones(3))


def test_a_generator_without_shapes_stays_one(module: ModuleType) -> None:
    with refused:
        next(module.counted("two"))


def test_axes_of_a_suspended_generator_bind_no_other_call(module: ModuleType) -> None:
    rows: Iterator[torch.Tensor] = module.rows(x, y)
    next(rows)
    module.added(torch.ones(5, 4), torch.ones(4))
    assert len(list(rows)) == 2


def test_types_are_checked_in_methods_and_inner_functions(module: ModuleType) -> None:
    with refused:
        module.Point.of(2)
    with refused:
        module.Point(y, y).size  # noqa: B018
    with refused:
        module.any_of(3, 2)
    with refused:
        module.Named(3)


def test_no_module_with_checks_is_cached_as_the_module(module: ModuleType) -> None:
    folder = Path(module.__file__).parent
    assert [path.name.partition(".")[0] for path in (folder / "__pycache__").iterdir()] == ["open_air"]


def test_only_the_modules_named_and_those_below_are_loaded_so() -> None:
    hook = shapes.Hook(frozenset({"ws.delta.weight_delta", "ws.scoring.arm"}))
    found = {
        name: hook.find_spec(name, [str(Path(shapes.__file__).parents[1] / "ws" / name.split(".")[1])])
        for name in ("ws.delta.weight_delta", "ws.scoring.rows")
    }
    assert isinstance(found["ws.delta.weight_delta"].loader, shapes.Loader)
    assert found["ws.scoring.rows"] is None
    assert hook.find_spec("ws.delta.weight_delta.none_such", []) is None
