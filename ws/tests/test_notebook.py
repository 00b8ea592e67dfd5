"""The notebook runs from its first cell to its last on the tiny model, and is kept without what a run leaves in it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from plotly.graph_objects import Figure

from ws.store import Store
from ws.tests.documents import DOCS
from ws.tests.small import ON

NOTEBOOK = DOCS / "notebooks" / "model-to-verdict.ipynb"
pytestmark = pytest.mark.usefixtures("told")


def cells(kind: str) -> list[dict[str, Any]]:
    """The cells of one kind."""
    return [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def test_it_runs_on_the_tiny_model_and_comes_to_a_verdict(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WS_STORE", str(store.root))
    names: dict[str, Any] = {}
    for place, cell in enumerate(cells("code")):
        exec(compile("".join(cell["source"]), f"cell {place}", "exec"), names)
    assert names["MODEL"] == ON.weights.name
    said = capsys.readouterr().out
    verdict = names["verdict"]
    assert said.endswith(f"{verdict.outcome}\n{verdict.sentence}\n")
    assert re.search(r"dW changes \d+ matrices, by [\d.]+ in all", said)
    assert set(re.findall(r"^([+-]?[\d.]+): [+-]", said, re.MULTILINE)) == {f"{at:+g}" for at in names["coeffs"]}
    (drawn,) = names["figure"].data
    assert isinstance(names["figure"], Figure)
    effects = {at: names["sweep"].effect_at(at) for at in names["coeffs"] if at}
    assert dict(zip(drawn.x, drawn.y, strict=True)) == {at: effect.value for at, effect in effects.items()}
    ends = [y - below for y, below in zip(drawn.y, drawn.error_y.arrayminus, strict=True)]
    assert ends == pytest.approx([effect.interval()[0] for effect in effects.values()])


def test_it_is_kept_without_outputs() -> None:
    assert [cell for cell in cells("code") if cell["outputs"] or cell["execution_count"] is not None] == []
    ids = [cell["id"] for kind in ("code", "markdown") for cell in cells(kind)]
    assert len(set(ids)) == len(ids)


def test_every_file_that_it_names_is_there() -> None:
    text = "".join(line for cell in cells("markdown") for line in cell["source"])
    named = re.findall(r"`(docs/[\w./-]+)`", text)
    assert len(named) == 2
    assert [path for path in named if not Path(DOCS.parent, path).exists()] == []
