"""`ws search`: the recipe of each family on a model."""

from pathlib import Path
from typing import Annotated

import tyro

from ws.cli.options import BEHAVIOR, MODEL, StorePath, opened


def search(
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(help=MODEL)],
    families: Annotated[tuple[str, ...], tyro.conf.arg(help="Families to search; all by default.")] = (),
    out: Annotated[
        Path | None,
        tyro.conf.arg(help="Result file (default: ws/training/searched/; of what is your own, in the store)."),
    ] = None,
    behavior: Annotated[str, tyro.conf.arg(help=f"The behavior whose recipes are chosen: {BEHAVIOR}")] = "sycophancy",
    store: StorePath = None,
) -> None:
    """Choose each family's recipe on validation rows and keep every candidate in a file, which claims go by from then.

    Held-out claims are never scored. A search that was stopped goes on where it was.

        ws search smollm2-135m
        ws search smollm2-135m --families lora delora
        ws search smollm2-135m --behavior honesty
        ws search smollm2-135m --behavior mine.toml
        ws search ./my-model --families lora
    """
    from ws.adapters import FAMILIES
    from ws.behaviors.own import chosen_behavior
    from ws.models.own import chosen_model
    from ws.study.search import search as run
    from ws.training.hyperparameters import search_path

    kept = opened(store)
    of = chosen_behavior(behavior, kept).name
    name = chosen_model(model, kept).name
    run(name, families or tuple(FAMILIES), kept, out or search_path(name, of), behavior_name=of)
