"""The documents are true: their code runs, their names exist, their examples agree with recorded numbers."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from ws import cli
from ws.adapters import FAMILIES
from ws.behaviors import layout
from ws.behaviors.brought import PREFILL, asks
from ws.behaviors.entries import MOST_BYTES, MOST_CHARACTERS
from ws.behaviors.honesty import HONESTY
from ws.behaviors.own import GROUP, own_behavior
from ws.lenses.base import NormMatched, Rest, joined
from ws.models import table
from ws.models.table import KnownModel, ModelSource, known_model
from ws.report.register import read
from ws.report.terminal import terminal
from ws.stats.sweep import MIN_CLUSTERS, PMASS_GATE
from ws.stats.tables import RESAMPLES
from ws.steering.iso_kl import BUDGET_NATS
from ws.store import Store
from ws.study.search import LIKELIHOOD_KEPT
from ws.study.subject import (
    HELDOUT_MESSAGES,
    PERSONA_PAIRS,
    TEXT_SEED,
    TEXT_TOKENS,
    VALIDATION_MESSAGES,
)
from ws.tests.conftest import Project
from ws.tests.documents import DOCS, ROOT, blocks, prose, recorded_verdicts
from ws.tests.installed import TEMPLATE
from ws.tests.small import random_update, shared_store, tiny_model
from ws.tests.test_rooms import ROOMS
from ws.training.pairs import read_pairs

PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
CLAIM = DOCS / "adding-a-claim.md"

STAND_IN = """
import pandas as pd
import pytest

from ws.stats.sweep import Sweep

REACH = {"oft": 2.0, "ia3": 1.0}


@pytest.fixture
def sweep(measure):
    def arm(family, control=None):
        reach = REACH[family] if control is None else CONTROL
        rows = [
            (seed, claim, f"{claim}{sign}", "agree", sign, coeff, sign * coeff * (reach + 0.01 * (claim + seed)), 1.0)
            for seed in range(3) for claim in range(12) for sign in (1, -1) for coeff in (-2.0, 0.0, 1.0, 2.0)
        ]
        columns = ["seed", "cluster", "question_id", "pair", "sign", "coeff", "log_ratio", "pmass"]
        return Sweep(pd.DataFrame(rows, columns=columns), measure)

    return arm


@pytest.fixture
def measure():
    return "corrected"


@pytest.fixture
def must_not_hold():
    from ws.stats.verdict import judge

    def check(hypothesis):
        assert judge(hypothesis).outcome != "HOLDS", "the control holds"

    return check
"""


def test_the_readme_is_short_and_points_at_what_is_there() -> None:
    readme = ROOT / "README.md"
    assert len(readme.read_bytes()) <= 6_000
    links = re.findall(r"\]\(([^)#]+)", readme.read_text(encoding="utf-8"))
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_claim_of_the_readme_is_one_of_ours() -> None:
    (code,) = blocks(ROOT / "README.md", "python")
    (shown,) = ast.parse(code).body
    ours = {
        node.name: node
        for path in (ROOT / "claims").glob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }[shown.name]
    assert [ast.dump(part) for part in shown.body] == [ast.dump(part) for part in ours.body]
    assert {ast.dump(mark) for mark in shown.decorator_list} <= {ast.dump(mark) for mark in ours.decorator_list}


def test_every_target_and_module_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    missing = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        missing += [f"{page.name}: make {name}" for name in re.findall(r"`make ([a-z-]+)", text) if name not in targets]
        paths = re.findall(r"`((?:ws|fixtures|claims|docs|findings)/[\w./*-]*)", text)
        missing += [f"{page.name}: {path}" for path in paths if not _exists(page, path)]
    assert missing == []


def _exists(page: Path, path: str) -> bool:
    # The change log uses the names of its time.
    return page.name == "CHANGELOG.md" or any(ROOT.glob(path.rstrip("/")))


def commands(page: Path) -> Iterator[list[str]]:
    """The `ws` commands of a page, without what is said behind them."""
    for line in "\n".join(blocks(page, "")).splitlines():
        if line.startswith("ws "):
            yield shlex.split(re.split(r"\s{2,}|#", line)[0])


def _asked(command: list[str]) -> str:
    """The name of a command."""
    return cli.named(command[1:])[0]


def test_every_command_of_the_pages_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[str] = []
    for name, function in cli.COMMANDS.items():
        monkeypatch.setitem(cli.COMMANDS, name, wraps(function)(lambda name=name, **_: run.append(name)))
    asked = [command for page in PAGES for command in commands(page)]
    assert len(asked) > 10
    for command in asked:
        monkeypatch.setattr("sys.argv", command)
        cli.main()
    assert run == [_asked(command) for command in asked]


def test_the_architecture_names_every_room_in_the_order_of_imports() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^## `(\w+)`$", page, re.MULTILINE)) == ROOMS


def test_the_navigation_lists_every_page_once() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    pages = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]
    assert sorted(re.findall(r"\S+\.md", navigation)) == sorted(pages)


def test_the_glossary_cites_every_family_and_is_in_order() -> None:
    general, families = (DOCS / "glossary.md").read_text(encoding="utf-8").split("## Adapter families")
    told = re.findall(r"^\*\*(\w+)\*\*\n: (.*?)(?=\n\n|\Z)", families, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in told] == list(FAMILIES)
    for name, text in told:
        cited = re.search(r"arXiv:\d+\.\d+", FAMILIES[name].__doc__).group()
        assert cited in text
    words = [word.casefold() for word in re.findall(r"^\*\*(.+)\*\*$", general, re.MULTILINE)]
    assert words == sorted(words)


def test_the_verdict_that_is_read_word_by_word_is_the_recorded_one() -> None:
    (example,) = [block for block in blocks(DOCS / "reading-a-verdict.md", "") if "C05" in block]
    records = [r for r in recorded_verdicts() if r.test.endswith("further_than_lora")]
    shown = terminal(record for record in records if (record.claim, record.case) == ("C05", "raw"))
    assert example.replace("same", "recorded") in shown


def test_the_limits_that_pages_name_are_those_of_the_code() -> None:
    named = {
        "statistics.md": [f"{RESAMPLES} times", f"fewer than {MIN_CLUSTERS} clusters", f"below {PMASS_GATE}:"],
        "adding-a-behavior.md": [
            f"against it | {layout.MIN_PERSONAS} pairs |",
            f"under all personas | {layout.MIN_TRAINING} |",
            f"rivals are chosen | {layout.MIN_VALIDATION} |",
            f"all of them | {layout.MIN_HELDOUT} |",
            f"| {layout.MIN_JUDGES} pairs, or none |",
            f"there are {layout.MIN_PHRASINGS} pairs at least",
            f"at least {layout.MIN_CLAIMS} claims",
            f"{2 * MIN_CLUSTERS} held-out claims",
            f"At least {layout.MIN_FACTS} facts",
            f"at most {MOST_BYTES:,} bytes, {MOST_CHARACTERS:,} characters a text",
            f"at least {LIKELIHOOD_KEPT} of the unchanged",
            f"up to Yes or No | `{PREFILL}` |",
        ],
        "rivals.md": [f"is {BUDGET_NATS} nats"],
        "measures.md": [
            f"answers {HELDOUT_MESSAGES} messages that nothing is trained on",
            f"under {PERSONA_PAIRS} of the {len(HONESTY.positive)} pairs of opposite personas, in {TEXT_TOKENS} tokens",
            f"`{TEXT_SEED} + s`",
            f"on {VALIDATION_MESSAGES} other messages",
            f"if {HELDOUT_MESSAGES + VALIDATION_MESSAGES} of its messages are left",
        ],
    }
    assert [f"{page}: {said}" for page, words in named.items() for said in words if said not in flat(page)] == []


def flat(page: str) -> str:
    """A page in one line."""
    return " ".join((DOCS / page).read_text(encoding="utf-8").split())


@pytest.fixture
def claim(project: Project) -> Project:
    """A project with the claim of the page, where families steer as far as they are told to."""
    project.pytester.makeconftest(project.pytester.path.joinpath("conftest.py").read_text() + STAND_IN)
    source, _ = blocks(CLAIM, "python")
    project.claims(source, name="test_families")
    (register,) = blocks(CLAIM, "toml")
    (project.pytester.path / "claims" / "register.toml").write_text(register)
    return project


@pytest.mark.parametrize(("control", "failed"), [(0.5, 0), (1.5, 1)])
def test_the_claim_of_the_page_is_recorded_and_its_control_is_heeded(
    claim: Project, control: float, failed: int
) -> None:
    conftest = claim.pytester.path / "conftest.py"
    conftest.write_text(conftest.read_text() + f"\nCONTROL = {control}\n")
    claim.record("-k", "c43")
    claim.run("claims/test_families.py").assert_outcomes(passed=3 - failed, failed=failed)
    records = {record.case: (record.outcome, record.published) for record in claim.records}
    assert records == {"raw": ("HOLDS", "not asked"), "corrected": ("HOLDS", "not asked")}


def test_the_claim_of_another_repository_is_one_that_the_installed_package_is_tested_with() -> None:
    _, elsewhere = blocks(CLAIM, "python")
    template = (TEMPLATE / "claims" / "test_mine.py").read_text(encoding="utf-8")
    assert elsewhere.removeprefix("import pytest").strip() in template


def test_the_template_asks_for_a_release_that_this_is_and_pins_what_it_runs() -> None:
    settings = tomllib.loads((TEMPLATE / "pyproject.toml").read_text(encoding="utf-8"))
    (needed,) = map(Requirement, settings["dependency-groups"]["claims"])
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert needed.name == ours["name"]
    assert needed.specifier.contains(ours["version"])
    assert settings["project"]["requires-python"] == ours["requires-python"]
    workflow = (TEMPLATE / ".github" / "workflows" / "claims.yml").read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)", workflow)
    assert len(used) == 3
    assert [one for one in used if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", one)] == []


def test_the_register_of_the_template_is_of_its_tests() -> None:
    register = read(TEMPLATE / "claims" / "register.toml")
    module = ast.parse((TEMPLATE / "claims" / "test_mine.py").read_text(encoding="utf-8"))
    tests = {f"test_mine.py::{node.name}" for node in module.body if isinstance(node, ast.FunctionDef)}
    asked = {test for entry in register.values() for test in entry.tests}
    assert asked < tests
    assert tests - asked == {"test_mine.py::test_a_random_direction_of_deloras_norm_does_not"}


def test_the_id_that_the_page_takes_is_free() -> None:
    assert "C43" not in read(ROOT / "claims" / "register.toml")


BEHAVIOR = DOCS / "adding-a-behavior.md"
EXAMPLE = DOCS / "examples" / "pessimism.toml"


def test_the_lines_of_the_page_are_those_of_the_example() -> None:
    shown, _ = blocks(BEHAVIOR, "toml")
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    assert [line for line in shown.splitlines() if line not in lines] == []


def test_the_questions_of_the_page_can_be_added_to_the_example(tmp_path: Path) -> None:
    _, questions = blocks(BEHAVIOR, "toml")
    prefill, _, tables = questions.partition("\n")
    whole = tmp_path / "mine.toml"
    whole.write_text(f"{prefill}\n{EXAMPLE.read_text(encoding='utf-8')}\n{tables}", encoding="utf-8")
    assert asks(layout.read_behavior(whole))


@pytest.mark.parametrize(("number", "option"), [(0, "--rows"), (1, "--rows"), (3, "--text")])
def test_the_rows_of_the_page_are_scored(
    number: int,
    option: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "risk.jsonl"
    file.write_text(blocks(DOCS / "own-rows.md", "")[number], encoding="utf-8")
    store = str(shared_store(tmp_path_factory).root)
    monkeypatch.setattr("sys.argv", ["ws", "eval", option, str(file), "--model", "tiny-random-qwen3", "--store", store])
    cli.main()
    assert "tiny-random-qwen3, base model: 2 " in capsys.readouterr().out


def test_the_page_names_the_example_as_it_is_known(no_own_behaviors: None, tmp_path: Path) -> None:
    known = own_behavior(str(EXAMPLE), Store(tmp_path / "store"))
    assert set(re.findall(r"pessimism@\w+", BEHAVIOR.read_text(encoding="utf-8"))) == {known.behavior.name}
    assert f'[project.entry-points."{GROUP}"]' in BEHAVIOR.read_text(encoding="utf-8")


def test_the_script_of_the_page_trains_the_example_and_scores_its_text(
    no_own_behaviors: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, names = shared_store(tmp_path_factory), dict[str, Any]()
    monkeypatch.setenv("WS_STORE", str(store.root))
    monkeypatch.chdir(ROOT)
    (script,) = blocks(BEHAVIOR, "python")
    exec(script.replace("smollm2-135m", "tiny-random-qwen3"), names)
    subject = names["study"].subject
    assert set(names["swept"].rows["cluster"]) == {message.id for message in subject.messages_of("heldout")}
    assert set(names["swept"].rows["coeff"]) == {-1.0, 0.0, 1.0}
    assert set(read_pairs(store, subject.pairs(0))["question"]) <= {*subject.behavior.training}


def test_the_lens_of_the_page_cuts_and_is_wrapped_as_any_other(tmp_path_factory: pytest.TempPathFactory) -> None:
    names: dict[str, object] = {}
    exec(blocks(DOCS / "lenses.md", "python")[0], names)
    lm, lens = tiny_model(tmp_path_factory), names["Biggest"](2)
    delta = random_update(lm)
    kept, rest = lens.apply(delta, lm), Rest(lens).apply(delta, lm)
    assert len(kept.tensors) == 2
    assert min(it.norm for it in kept.tensors.values()) >= max(it.norm for it in rest.tensors.values())
    assert (joined(kept, rest) - delta).norm < 1e-5 * delta.norm
    assert NormMatched(lens).apply(delta, lm).norm == pytest.approx(delta.norm, rel=1e-5)


def test_the_model_of_the_page_is_a_line_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks(DOCS / "adding-a-model.md", "python")
    model = eval(code, {"KnownModel": KnownModel, "ModelSource": ModelSource})
    monkeypatch.setitem(table.MODELS, model.name, model)
    assert known_model("my-model-0.5b").weights.pins == model.pins
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for _, digest in model.pins)


def test_prose_counts_no_cases_and_no_verdicts() -> None:
    # Of what is recorded, `make table` counts; a number typed into a page would stay when it moves.
    typed = re.compile(r"\b\d+ (?:of \d+ )?(?:cases|verdicts|hold\b|are refuted|are inconclusive)")
    pages = [page for page in PAGES if page.parent != DOCS / "verdicts"] + [ROOT / "claims" / "LOG.md"]
    assert {page.name: found for page in pages if (found := typed.findall(prose(page)))} == {}
