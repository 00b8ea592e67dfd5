"""What a page shows, gathered from recorded verdicts, the claims they are of, and the evidence behind them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ws.evidence.folder import Evidence
from ws.html.controls import controls
from ws.html.page import Content
from ws.html.recipes import Recipes, recipes_in
from ws.html.sections import Sources, figures_of, log_section
from ws.report.register import read_beside
from ws.report.verdicts import Record


def gathered(
    records: Sequence[Record],
    tests: Path,
    *,
    all_claims: bool = True,
    evidence: Mapping[str, Path] | None = None,
    store: Path | None = None,
) -> Content:
    """The content of a page: these verdicts, with the register, the controls and the log of a folder of claim tests.

    evidence: for each model the folder of its evidence, there or not. store: the folder of artifacts that the rows
    behind figures are taken into; None leaves figures out.
    """
    register = read_beside(tests)
    there = {model: folder for model, folder in (evidence or {}).items() if folder.is_dir()}
    kept = {model: Evidence(folder) for model, folder in there.items()}
    recipes = {model: recipes_in(one) for model, one in kept.items()}
    claims = {record.claim for record in records} | (set(register) if all_claims else set())
    devices = {record.model: record.device for record in records} if store is not None else {}
    figures = figures_of(
        Sources(model, device, kept.get(model), store) for model, device in devices.items() if store is not None
    )
    return Content(
        records=records,
        register=register,
        controls=controls(tests),
        phrases={key: phrase for one in recipes.values() for key, phrase in one.phrases.items()},
        recipes={model: by_claim(records, model, one) for model, one in recipes.items()},
        more=[*figures, *(log_section(tests, claims) if all_claims else [])],
        all_claims=all_claims,
    )


def by_claim(records: Sequence[Record], model: str, recipes: Recipes) -> dict[str, list[str]]:
    """For each claim, how the adapters behind its cases on a model were trained."""
    keys: dict[str, set[str]] = {}
    for record in records:
        if record.model == model:
            keys.setdefault(record.claim, set()).update(record.keys)
    return {claim: recipes.of(some) for claim, some in keys.items()}
