"""`ws export dw` takes what `ws eval` takes, and refuses what has no meaning before anything is trained."""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ws import cli
from ws.behaviors.own import chosen_behavior
from ws.delta.folders.delta import folder_delta, folders_delta
from ws.errors import DataError
from ws.exports.questions import asked
from ws.exports.what import Source, exported
from ws.models.language import LanguageModel
from ws.steering.interventions import FolderWeights, Weights
from ws.store import Store
from ws.study.subject import Subject
from ws.tests.behavior_files import of_text, written
from ws.tests.small import ON
from ws.tests.test_folders import change
from ws.tests.test_interventions import folders

pytestmark = pytest.mark.usefixtures("told")

SUBJECT = Subject(ON.weights.name)
Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: Store) -> Run:
    """What `ws export dw` prints about the tiny model, with what it says on standard error behind it."""

    def printed(*args: str) -> str:
        monkeypatch.setattr(
            sys, "argv", ["ws", "export", "dw", *args, "--model", ON.weights.name, "--store", str(store.root)]
        )
        cli.main()
        return capsys.readouterr().out

    return printed


def test_dw_of_two_folders_is_exported(run: Run, lm: LanguageModel, store: Store, tmp_path: Path) -> None:
    plus, minus = folders(lm, store, tmp_path)
    out = tmp_path / "export"
    said = run(str(out), "--to", "peft", "--plus", str(plus), "--minus", str(minus), "--coeff", "2", "--questions", "3")
    assert said.startswith(f"{out}\n  what        PEFT LoRA of +2 times dW {plus.name} minus {minus.name}, for")
    assert "over 3 held-out questions" in " ".join(said.split())
    meant = 2.0 * folders_delta(plus, minus, lm)
    assert (folder_delta(out, lm) - meant).norm <= 1e-6 * meant.norm


def test_a_folder_that_does_not_fit_is_named(
    run: Run, lm: LanguageModel, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plus, minus = folders(lm, store, tmp_path)
    change(minus, r=7)
    with pytest.raises(SystemExit, match=r"^2$"):
        run(str(tmp_path / "export"), "--to", "peft", "--plus", str(plus), "--minus", str(minus))
    assert f"ws: {minus}: adapter_model.safetensors has " in capsys.readouterr().err


def test_what_stands_there_is_seen_before_a_model_is_read(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    for extra in ([], ["--force"]):
        with pytest.raises(SystemExit, match=r"^2$"):
            run(str(tmp_path), "--to", "peft", "--family", "no such family", *extra)
        assert "holds thesis.txt, which such an export never writes" in capsys.readouterr().err


def test_a_family_is_named_with_its_behavior_and_seed(lm: LanguageModel, store: Store) -> None:
    assert Source(family="oft", seed=2).intervention(SUBJECT) == Weights(SUBJECT.direction("oft", seed=2))


def test_a_name_says_how_much_of_what_it_is(lm: LanguageModel, store: Store, tmp_path: Path) -> None:
    plus, minus = folders(lm, store, tmp_path)
    source = Source(plus=plus, minus=minus, coeff=-0.5)
    assert isinstance(source.intervention(SUBJECT), FolderWeights)
    what = exported(source, SUBJECT, lm, store)
    assert what.name == f"-0.5 times dW {plus.name} minus {minus.name}"
    assert what.delta.norm == pytest.approx(0.5 * folders_delta(plus, minus, lm).norm)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nothing to export; give one of --family; --plus and --minus; --activation"),
        ({"family": "lora", "activation": "pca"}, "--family with --activation to export; give one of"),
        ({"family": "lora", "minus": Path("m")}, "--family with --plus and --minus to export"),
        ({"plus": Path("p")}, "dW needs both adapters, and --plus p is one; give --minus FOLDER too"),
        ({"activation": "pca"}, "--activation pca in the blocks (); give both"),
        ({"family": "lora", "blocks": (3,)}, "--activation None in the blocks (3,); give both"),
        ({"plus": Path("p"), "minus": Path("m"), "seed": 1}, "--seed 1 of --plus and --minus, which are not trained"),
        ({"activation": "pca", "blocks": (3,), "seed": 1}, "--seed 1 of --activation pca, which comes out the same"),
        ({"family": "lora", "coeff": 0.0}, "--coeff 0 exports the model as it is"),
    ],
)
def test_a_source_without_meaning_is_refused(given: dict, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        Source(**given)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--to", "peft", "--activation", "pca", "--blocks", "2"], "a PEFT LoRA holds dW, and an activation direction"),
        (["--to", "control-vector", "--family", "lora"], "a Control vector holds an activation direction, and dW was"),
        (["--to", "merged", "--family", "lora", "--rank", "3"], "cut thin factors, of which Merged weights have none"),
        (["--to", "gguf", "--family", "lora", "--dtype", "bfloat16"], "--dtype bfloat16 is for --to merged"),
        (["--to", "peft", "--family", "lora", "--check", "m.gguf"], "--check asks llama.cpp, which reads no PEFT LoRA"),
        (["--to", "gguf", "--family", "lora", "--check", "m.gguf"], "--check m.gguf: no such file"),
    ],
)
def test_what_does_not_go_together_is_refused_at_once(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path, args: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        run(str(tmp_path / "out.gguf"), *args)
    assert message in capsys.readouterr().err


def test_a_few_questions_are_some_of_all(lm: LanguageModel) -> None:
    every, few = asked(SUBJECT, lm), asked(SUBJECT, lm, most=7)
    assert len(every.questions) == SUBJECT.scale.rows
    assert {question.pair for question in every.questions} == {"agree", "right"}
    assert len(set(few.questions)) == 7
    places = [every.questions.index(question) for question in few.questions]
    assert places == sorted(places)
    assert [every.prompts[place] for place in places] == list(few.prompts)
    assert asked(SUBJECT, lm, most=10**6).questions == every.questions
    with pytest.raises(DataError, match="0 questions; expected 1 or more"):
        asked(SUBJECT, lm, most=0)


def test_a_behavior_that_asks_nothing_is_compared_on_questions_of_ours(
    lm: LanguageModel, no_own_behaviors: None, tmp_path: Path
) -> None:
    name = chosen_behavior(str(written(tmp_path / "mine.json", of_text())), Store(tmp_path / "store")).name
    assert asked(replace(SUBJECT, behavior_name=name), lm, most=7).questions == asked(SUBJECT, lm, most=7).questions
