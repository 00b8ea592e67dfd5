"""A second model beside one in memory, with the same weights and modules of its own."""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def sharing(model: "PreTrainedModel", instead: Mapping[int, nn.Parameter] | None = None) -> "PreTrainedModel":
    """A copy whose modules can be replaced and whose config can be changed, over the very same weights.

    instead: other parameters for some of them, by the id of the parameter that they stand in for; what is tied stays
    tied.
    """
    same = {id(value): value for value in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, memo={**same, **(instead or {})})
