"""Figures of the report: drawn from what is recorded, never built, and where something is missing it is said."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest

from ws.contest.contest import Contest
from ws.evidence.records import Kept
from ws.html import answers as answers_module
from ws.html import remembered as memory
from ws.html import sweeps as sweeps_module
from ws.html.answers import answers
from ws.html.chart import Point, chart, shared
from ws.html.figures import Line, Plot, run
from ws.html.gather import gathered
from ws.html.log import log
from ws.html.page import page
from ws.html.parts import parts
from ws.html.recipes import Recipes, described
from ws.html.recorded import NotRecorded, RecordedStore
from ws.html.rivals import rivals
from ws.html.sections import Sources, drawn, figures_of
from ws.html.strip import Mark
from ws.html.sweeps import points, sweeps
from ws.stats.sweep import Measure, Sweep
from ws.store import Recipe, Store
from ws.study.replicates import Replicates
from ws.study.subject import Subject
from ws.tests.documents import ROOT
from ws.tests.markup import Page
from ws.tests.test_report import RECORD, TINY

SUBJECT = Subject("tiny-random-qwen3")
LINE = (Point(-1.0, -0.5, -0.8, -0.2), Point(0.0, 0.0, 0.0, 0.0), Point(1.0, 0.4, 0.1, 0.7))


@dataclass(frozen=True)
class Word(Recipe):
    """A file with a word."""

    word: str

    def describe(self) -> str:
        return f"the word {self.word}"

    def build(self, out: Path, store: Store) -> None:
        (out / "word").write_text(self.word)


def rows(reach: float) -> pd.DataFrame:
    """Scored rows whose log-ratio moves by `reach` a coefficient."""
    lines = [
        (seed, claim, f"{claim}{sign}", "agree", sign, coeff, sign * coeff * (reach + 0.01 * (claim + seed)), 1.0)
        for seed in range(3)
        for claim in range(12)
        for sign in (1, -1)
        for coeff in (-1.0, 0.0, 1.0)
    ]
    columns = ["seed", "cluster", "question_id", "pair", "sign", "coeff", "log_ratio", "pmass"]
    return pd.DataFrame(lines, columns=columns)


def replicates(root: Path) -> Replicates:
    return Replicates(SUBJECT, RecordedStore(root), (0, 1, 2))


def test_a_recorded_store_gives_what_is_there_and_builds_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotRecorded, match="the word yes is not recorded"):
        RecordedStore(tmp_path).get(Word("yes"))
    Store(tmp_path).get(Word("yes"))
    assert (RecordedStore(tmp_path).get(Word("yes")) / "word").read_text() == "yes"
    assert RecordedStore(tmp_path).built == []


def test_a_sweep_shows_the_change_from_the_unchanged_model() -> None:
    swept = Sweep(rows(2.0))
    left, middle, right = points(swept)
    assert (left.at, middle, right.at) == (-1.0, Point(0.0, 0.0, 0.0, 0.0), 1.0)
    assert (right.value, right.low, right.high) == (swept.effect.value, *swept.effect.interval())


def test_families_without_rows_are_told_with_the_command_that_records_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def some(of: Replicates, family: str, *, measure: Measure) -> Sweep:
        if family != "oft" or measure != "corrected":
            raise NotRecorded(family)
        return Sweep(rows(1.0), measure)

    monkeypatch.setattr(sweeps_module, "sweep", some)
    raw, corrected, *_ = sweeps(replicates(tmp_path))
    assert raw.charts == ()
    [one] = corrected.charts
    assert (one.family, [row[0] for row in one.rows]) == ("oft", ["-1", "+0", "+1"])
    [missing] = corrected.missing
    assert "lora, dora" in missing.what
    assert " oft" not in missing.what
    assert missing.command == "pytest claims/ -k c02 --smoke --snapshot-update --record-evidence"


def test_a_chart_is_named_and_described_and_shows_its_band() -> None:
    text = str(chart("one", "a <b> & c", "from -0.5 to 0.4", LINE, shared([LINE])))
    found = Page(text)
    assert found.faults == []
    assert '<title id="one-title">a &lt;b&gt; &amp; c</title>' in text
    assert '<desc id="one-told">from -0.5 to 0.4</desc>' in text
    assert 'aria-labelledby="one-title one-told"' in text
    [across] = [a["points"] for tag, a in found.attributes if tag == "polygon"]
    assert len(across.split()) == 2 * len(LINE)
    assert found.tags["circle"] == len(LINE)


def test_a_higher_number_is_higher_up() -> None:
    found = Page(str(chart("one", "", "", LINE, shared([LINE]))))
    heights = [float(a["cy"]) for tag, a in found.attributes if tag == "circle"]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 3


def test_a_plot_has_an_axis_for_all_its_lines() -> None:
    lines = (
        Line("top", "", (Mark("h", 1.0, 0.5, 1.5), Mark("x", 0.1, 0.0, 0.2, "d")), "keep 1.0, drop 0.1"),
        Line("bottom", "", (Mark("h", -3.0, -3.5, -2.5),), "keep -3"),
    )
    plot = Plot("parts", lines, compared=(0.0, 4.0))
    assert plot.scale is not None
    assert all(plot.scale.holds(x) for x in (-3.5, 1.5, 4.0))
    assert str(plot.strip(lines[0])).count("#mark-") == 2


def test_nothing_recorded_makes_lines_and_no_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ws.html.rivals.RANKED", ("lora",))
    monkeypatch.setattr("ws.html.rivals.METHODS", {})
    contest = Contest(replace(SUBJECT, behavior_name="honesty"))
    group = rivals(RecordedStore(tmp_path), contest, (0,), "text", ("C08", "C39"))
    assert group.plots == ()
    assert group.missing[0].command.startswith("pytest claims/ -k 'c08 or c39' --smoke ")
    monkeypatch.setattr(answers_module, "FAMILIES", ("lora",))
    assert list(answers(RecordedStore(tmp_path), SUBJECT)) == []


def test_a_part_of_which_one_side_is_recorded_is_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def cut(of: Replicates, family: str, part: object = "whole", *, measure: Measure) -> Sweep:
        if (family, part) not in {("lora", "whole"), ("lora", "drop_top_25"), ("lora", "residual_writes")}:
            raise NotRecorded(f"{family} {part}")
        return Sweep(rows(1.0), measure)

    monkeypatch.setattr("ws.html.parts.cut_sweep", cut)
    spectrum, modules, directions = parts(replicates(tmp_path))
    [plot] = spectrum.plots
    assert (plot.family, [line.name for line in plot.lines]) == ("lora", ["top 25"])
    # The share is 1.065, which rounding puts on either side.
    assert plot.lines[0].told.startswith(("drop 1.06 [", "drop 1.07 ["))
    assert [line.name for line in modules.plots[0].lines] == ["residual writes"]
    assert directions.plots == ()
    assert "lora, dora" in directions.missing[0].what


def test_answers_stand_side_by_side(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = SUBJECT.messages_of("heldout")

    def read(store: Store, recipe: Recipe) -> pd.DataFrame:
        coeffs: tuple[float, ...] = recipe.coeffs  # type: ignore[attr-defined]
        if coeffs == (-1.0,):
            raise NotRecorded("not at -1")
        return pd.DataFrame(
            [(message.id, at, f"{message.id} at {at:+g}") for at in coeffs for message in asked],
            columns=["question_id", "coeff", "answer"],
        )

    monkeypatch.setattr(answers_module, "read_written_rows", read)
    monkeypatch.setattr(answers_module, "FAMILIES", ("lora",))
    [found] = answers(RecordedStore(tmp_path), SUBJECT)
    assert found.coeffs == (-2.0, 0.0, 1.0)
    message, said = found.rows[0]
    assert message == asked[0].text
    assert said == tuple(f"{asked[0].id} at {at:+g}" for at in found.coeffs)


def test_a_model_without_evidence_has_a_line_in_each_section(tmp_path: Path) -> None:
    sections = figures_of([Sources("smollm2-135m", "cpu", None, tmp_path)])
    assert [one.id for one in sections] == ["sweeps", "rivals", "parts", "answers"]
    assert all("--model=smollm2-135m --snapshot-update --record-evidence" in one.body for one in sections)
    assert figures_of([]) == []


def test_figures_are_drawn_once_and_anew_when_the_evidence_changes(tmp_path: Path) -> None:
    index, times = tmp_path / "index.json", []

    def draw() -> dict[str, str]:
        times.append(1)
        return {"sweeps": f"drawing {len(times)}"}

    index.write_text("one")
    assert [memory.remembered(tmp_path, "m", index, draw) for _ in range(2)] == [{"sweeps": "drawing 1"}] * 2
    index.write_text("two")
    assert memory.remembered(tmp_path, "m", index, draw) == {"sweeps": "drawing 2"}
    assert len(list((tmp_path / memory.FOLDER).iterdir())) == 1


def test_other_code_draws_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    index = tmp_path / "index.json"
    index.write_text("one")
    before = memory.digest("m", index)
    assert memory.digest("m", index) == before
    monkeypatch.setattr(memory, "CODE", ("*.py",))
    assert memory.digest("m", index) != before
    assert memory.digest("other", index) != before


def test_a_log_has_links_to_the_claims_on_the_page_and_no_markup_of_its_own() -> None:
    text = "# Title\n\n## smollm2\n\n* **C05** beats C99, see [the page](../x.md) <script>alert(1)</script> `a<b`\n\n"
    table = "| a | b |\n| --- | --- |\n| C05 | <i> |\n"
    made = log(text + table, {"C05"})
    found = Page(made)
    assert found.faults == []
    assert found.links == ["#C05", "#C05"]
    assert "Title" not in made
    assert "<h3>smollm2</h3>" in made
    assert "<script" not in made
    assert "<i>" not in made
    assert "the page" in found.text
    assert '<div class="scroll" role="region" aria-label="Table of the log" tabindex="0"><table>' in made


def test_the_log_of_this_project_is_on_the_page_of_all_claims_alone() -> None:
    text = page(gathered([RECORD], ROOT / "claims"))
    assert 'id="log"' in text
    assert 'id="log"' not in page(gathered([RECORD], ROOT / "claims", all_claims=False))


def adapter(family: str, lr: float, **others: object) -> dict[str, object]:
    shape = {"class": "A", "fields": {"family": family, "rank": 8}}
    training = {"class": "T", "fields": {"lr": lr, "layers": [0.3, 0.8]}}
    fields = {"shape": shape, "training": training, "seed": 1, "sign": "plus", "pairs": {"input": "p"}, **others}
    return {"class": "ws.training.train.Adapter", "fields": fields}


def kept(key: str, kind: str, recipe: object) -> Kept:
    return Kept(key, f"ws.{kind}", f"{kind} {key}", {}, {}, json.loads(json.dumps(recipe)))


def test_the_recipe_of_a_case_is_that_of_the_adapters_behind_it() -> None:
    direction = {"class": "D", "fields": {"plus": {"input": "a1"}, "minus": {"input": "a2"}}}
    steered = {"class": "R", "fields": {"intervention": {"class": "W", "fields": {"direction": {"input": "d"}}}}}
    recipes = Recipes(
        [
            kept("r", "Rows", steered),
            kept("d", "Direction", direction),
            kept("a1", "Adapter", adapter("lora", 2e-4)),
            kept("a2", "Adapter", adapter("lora", 2e-4, sign="minus", seed=2)),
            kept("b", "Adapter", adapter("oft", 1e-3, engine="peft")),
        ]
    )
    assert recipes.of(["r"]) == ["lora: rank 8; lr 0.0002, layers 0.3 to 0.8"]
    assert recipes.of(["r", "b", "unknown"])[1:] == ["oft: rank 8; lr 0.001, layers 0.3 to 0.8; engine peft"]
    assert recipes.phrases["d"] == "Direction d"


def test_a_recipe_that_names_itself_ends() -> None:
    circle = {"class": "R", "fields": {"of": [{"input": "r"}]}}
    assert Recipes([kept("r", "Rows", circle)]).of(["r"]) == []


def test_a_recipe_is_told_whatever_fields_it_has() -> None:
    assert described(adapter("ia3", 0.005)["fields"]) == "ia3: rank 8; lr 0.005, layers 0.3 to 0.8"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "claims", "told"),
    [
        ("smollm2-135m", ["C05", "C02"], "pytest claims/ -k 'c02 or c05' --model=smollm2-135m"),
        ("tiny-random-qwen3", ["C38"], "pytest claims/ -k c38 --smoke"),
        ("tiny-random-qwen3", [], "pytest claims/ --smoke"),
    ],
)
def test_a_command_names_the_claims_and_the_model(model: str, claims: list[str], told: str) -> None:
    assert run(model, claims) == told


def test_all_sections_stand_on_the_page_with_their_own_ids(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def steer(of: Replicates, family: str, *, measure: Measure) -> Sweep:
        return Sweep(rows(1.0), "corrected")

    def nothing(*_: object) -> tuple[object, ...]:
        return ()

    monkeypatch.setattr(sweeps_module, "sweep", steer)
    monkeypatch.setattr("ws.html.sections.READS", {})
    monkeypatch.setattr("ws.html.sections.parts", nothing)
    monkeypatch.setattr("ws.html.sections.answers", nothing)
    found = drawn(RecordedStore(tmp_path), SUBJECT.model, "cpu")
    whole = Page("".join(found.values()))
    assert whole.faults == []
    assert whole.tags["figure"] == 7 * 4
    assert max(whole.ids.values()) == 1
    assert "Not recorded on tiny-random-qwen3: what is written" in whole.text
    assert small_page(found).faults == []


def small_page(found: dict[str, str]) -> Page:
    from markupsafe import Markup

    from ws.html.page import Content, Section

    more = [Section(id, id, Markup(body)) for id, body in found.items()]
    return Page(page(Content(records=[TINY], register={}, more=more)))
