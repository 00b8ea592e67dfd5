"""Which factors and parts an adapter family has, found by running the family on a weight of two by two."""

from functools import cache

import torch

from ws.adapters import AdapterConfig, Params, family


def has_factors(name: str) -> bool:
    """Whether a family's update is a product of thin matrices. Raises: UnknownNameError for an unknown family."""
    W, params, config = _sample(name)
    return family(name).factors(W, params, config=config) is not None


def part_names(name: str) -> tuple[str, ...]:
    """The native parts of a family's update. Raises: UnknownNameError for an unknown family."""
    W, params, config = _sample(name)
    return tuple(family(name).parts(W, params, config=config))


@cache
def _sample(name: str) -> tuple[torch.Tensor, Params, AdapterConfig]:
    W, config = torch.eye(2), AdapterConfig(name, rank=1, block=2)
    return W, family(name).init(W, config=config, generator=torch.Generator().manual_seed(0)), config
