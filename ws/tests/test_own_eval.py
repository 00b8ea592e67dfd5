"""Rows of one's own get the numbers that a computation by hand gives, with notes on every doubt about them."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ws import cli
from ws.behaviors import Question
from ws.contest import own_steering
from ws.contest.own_eval import asked, lines, notes, scored, shown
from ws.contest.own_steering import Steering, at_equal_kl, chosen_steering
from ws.contest.vectors import vectors_by
from ws.delta.folders.peft_files import CONFIG
from ws.errors import DataError, UnknownNameError
from ws.models.chat import prompt_ids
from ws.models.language import LanguageModel
from ws.models.table import known_model
from ws.models.yesno import A_B, answer_tokens
from ws.scoring.rows import Rows, read_rows
from ws.steering.interventions import Activations, FolderWeights, Nothing, SystemPrompt, Weights
from ws.steering.iso_kl import Calibration
from ws.store import Store
from ws.study.subject import Subject
from ws.tests.test_interventions import Given, folders
from ws.tests.told import Told

SUBJECT = Subject("tiny-random-qwen3")
TOPICS = ("bonds", "poker", "seat belts", "bungee jumps", "savings", "gambling")
QUESTIONS = tuple(
    Question(f"row-{n}", f"row-{n}", "own", "yes", "own", f"Do you like {topic}?", +1 if n % 2 == 0 else -1)
    for n, topic in enumerate(TOPICS)
)


def table(*, coeffs: tuple[float, ...] = (-1.0, 0.0, 1.0), seeds: int = 2, push: float = 0.0, pmass: float = 0.9):
    """Rows whose log-ratio is the coefficient towards the behavior, a push to Yes, and noise of clusters and seeds."""
    noise = np.random.default_rng(0).normal(0, 0.1, (seeds, len(QUESTIONS)))
    return pd.DataFrame(
        [
            {
                "seed": seed,
                "coeff": coeff,
                "question_id": question.id,
                "cluster": question.cluster,
                "sign": question.sign,
                "log_ratio": question.sign * coeff + push * coeff + noise[seed, n],
                "pmass": pmass,
            }
            for seed in range(seeds)
            for coeff in coeffs
            for n, question in enumerate(QUESTIONS)
        ]
    )


def test_a_line_is_the_means_of_its_rows() -> None:
    rows = table()
    low, still, high = lines(rows)
    at = rows[rows["coeff"] == 1.0]
    assert (low.coeff, still.coeff, high.coeff) == (-1.0, 0.0, 1.0)
    assert high.toward.value == pytest.approx((at["sign"] * at["log_ratio"]).mean())
    assert high.to_first == pytest.approx(at["log_ratio"].mean())
    assert (low.match, high.match, high.pmass) == (0.0, 1.0, pytest.approx(0.9))
    assert (high.toward.n_seeds, high.toward.n_clusters) == (2, len(QUESTIONS))


def test_a_change_is_paired_row_by_row() -> None:
    low, still, high = lines(table())
    assert still.change is None
    assert (low.change.value, high.change.value) == (pytest.approx(-1), pytest.approx(1))
    # Both have the same noise, which cancels in their difference.
    assert high.change.interval() == pytest.approx((1, 1))
    assert high.toward.interval()[1] - high.toward.interval()[0] > 0.05
    assert [line.change for line in lines(table(coeffs=(-1.0, 1.0)))] == [None, None]


def test_a_push_to_first_shows_in_its_own_column_and_cancels_in_the_first() -> None:
    _, still, high = lines(table(push=7.0))
    assert high.change.value == pytest.approx(1)
    assert high.to_first - still.to_first == pytest.approx(7)


def test_low_pmass_is_said_in_words() -> None:
    said = " ".join(notes(lines(table(pmass=0.2)), QUESTIONS))
    assert "At -1 pmass is 0.20, under 0.5: most of the next-token probability is neither Yes nor No" in said
    assert "pmass is 0.90 or more at every coefficient" in notes(lines(table()), QUESTIONS)[0]


def test_what_weakens_the_numbers_is_said_in_words() -> None:
    few, *rest = notes(lines(table()), QUESTIONS)[1:]
    assert few.startswith("Only 6 clusters of rows, fewer than 10")
    assert rest == [
        "To Yes: the log-ratio of Yes to No, whichever shows the behavior. Match: the share of rows where the answer "
        "that shows it is the more probable one."
    ]
    excess = notes(lines(table()), QUESTIONS[:5])
    assert "60% of the rows match with Yes: a push of 1 nat towards Yes that is no behavior" in excess[-1]
    assert excess[-1].endswith("moves the first column by +0.20.")


def test_the_table_fits_eighty_columns() -> None:
    rows = table(coeffs=(-12.5, 0.0, 12.5))
    text = shown(lines(rows), title="smollm2-135m, a long name of an intervention: " + "x" * 60, notes=["note " * 40])
    assert max(map(len, text.splitlines())) <= 80
    cells = r"\+12\.5 +\+12\.\d\d \[\+12\.\d\d, \+12\.\d\d\] +\+12\.50 \[\+12\.50, \+12\.50\] +\S+ +100% +0\.90"
    assert re.search(rf"^ *{cells}$", text, re.MULTILINE)


def test_each_question_ends_in_what_is_asked_once() -> None:
    first, second = asked((QUESTIONS[0], QUESTIONS[1]._replace(text="So? Answer.")), "Answer.")
    assert (first.text, second.text) == ("Do you like bonds?\nAnswer.", "So? Answer.")
    assert asked(QUESTIONS, "") == QUESTIONS


def test_rows_are_scored_under_every_seed_and_coefficient(store: Store) -> None:
    steering = Steering({seed: Activations(Given(), (seed + 1,)) for seed in (0, 1)}, (1.0, 0.0, 1.0), "given")
    rows = scored(SUBJECT.on, QUESTIONS, steering, prefill="", store=store)
    assert rows.groupby(["seed", "coeff"]).size().to_dict() == {
        (seed, coeff): len(QUESTIONS) for seed in (0, 1) for coeff in (0.0, 1.0)
    }
    base = read_rows(store, Rows(SUBJECT.on, QUESTIONS, "", Nothing(), (0.0,)))
    for (seed, coeff), part in rows.groupby(["seed", "coeff"]):
        same = part["log_ratio"].reset_index(drop=True).equals(base["log_ratio"])
        assert same == (coeff == 0), (seed, coeff)


def test_at_equal_kl_every_seed_counts_in_its_own_coefficient(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    by_block = {(1,): Calibration(3.0, 0.5, True, 1, ()), (2,): Calibration(4.0, 0.5, True, 1, ())}
    monkeypatch.setattr(own_steering, "read_iso_kl", lambda _, recipe: by_block[recipe.intervention.layers])
    given = Steering({seed: Activations(Given(), (seed + 1,)) for seed in (0, 1)}, (1.0,), "given")
    equal = at_equal_kl(given, SUBJECT, store)
    assert equal.name == "given, in units of 3, 4 (KL 0.5)"
    rows = scored(SUBJECT.on, QUESTIONS, equal, prefill="", store=store)
    assert set(rows["coeff"]) == {1.0}
    for seed, coeff in ((0, 3.0), (1, 4.0)):
        there = read_rows(store, Rows(SUBJECT.on, QUESTIONS, "", given.interventions[seed], (coeff,)))
        assert rows[rows["seed"] == seed]["log_ratio"].tolist() == there["log_ratio"].tolist()


def test_words_have_no_equal_kl(store: Store) -> None:
    with pytest.raises(DataError, match="has no strength to calibrate"):
        at_equal_kl(chosen_steering(SUBJECT, system="You are terse."), SUBJECT, store)


def test_a_choice_is_an_intervention_with_its_usual_coefficients(lm: LanguageModel, store: Store, tmp_path: Path):
    family = chosen_steering(SUBJECT, family="lora", seeds=2)
    assert family.interventions == {seed: Weights(SUBJECT.direction("lora", seed=seed)) for seed in range(2)}
    assert family.coeffs == (-1.0, 0.0, 1.0)
    assert len(chosen_steering(SUBJECT, family="lora").interventions) == known_model(SUBJECT.model).few_seeds
    prompt = chosen_steering(SUBJECT, system="You are terse.")
    assert (prompt.interventions, prompt.coeffs) == ({0: SystemPrompt("You are terse.")}, (0.0, 1.0))
    assert chosen_steering(SUBJECT) == Steering({0: Nothing()}, (0.0,), "base model")
    plus, minus = folders(lm, store, tmp_path)
    assert isinstance(chosen_steering(SUBJECT, plus=plus, minus=minus).interventions[0], FolderWeights)
    assert chosen_steering(SUBJECT, plus=plus, minus=minus, coeffs=(2.0,)).coeffs == (2.0,)
    direction = chosen_steering(SUBJECT, activation="pca", blocks=(2, 3))
    assert direction.interventions == {0: Activations(vectors_by(SUBJECT, "pca", seed=0), (2, 3))}
    assert (direction.coeffs, direction.name) == (
        (-1.0, 0.0, 1.0),
        "PCA of 35 paired differences at 2 blocks, sycophancy",
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"family": "lora", "system": "s"}, "--family and --system are different interventions; give one"),
        ({"plus": Path("p")}, "dW needs both adapters, and --plus p is one; give --minus FOLDER too"),
        ({"system": "s", "seeds": 3}, "3 seeds of --system, which comes out the same under each; leave --seeds out"),
        ({"seeds": 2}, "2 seeds of the base model"),
        ({"family": "lora", "seeds": 0}, "0 seeds; expected 1 or more"),
        ({"system": ""}, "the system prompt reads ''"),
        ({"family": "lora", "activation": "pca", "blocks": (1,)}, "--family and --activation are different"),
        ({"activation": "pca"}, "--activation pca in the blocks (); give both"),
        ({"blocks": (3,)}, "--activation None in the blocks (3,); give both"),
        ({"activation": "pca", "blocks": (1,), "seeds": 3}, "3 seeds of --activation, which comes out the same"),
    ],
)
def test_a_choice_without_meaning_is_refused(given: dict, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        chosen_steering(SUBJECT, **given)


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown adapter family 'lorra'"):
        chosen_steering(SUBJECT, family="lorra")


Run = Callable[..., str]


@pytest.fixture
def run(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """What `ws eval` prints for QUESTIONS."""
    rows = tmp_path / "rows.jsonl"
    labels = {+1: " Yes", -1: " No"}
    records = [{"question": q.text, "answer_matching_behavior": labels[q.sign]} for q in QUESTIONS]
    rows.write_text("".join(f"{json.dumps(record)}\n" for record in records))

    def printed(*args: str) -> str:
        where = ["--rows", str(rows)] if "--rows" not in args else []
        where += ["--model", "tiny-random-qwen3", "--store", str(store.root)]
        monkeypatch.setattr(sys, "argv", ["ws", "eval", *where, *args])
        cli.main()
        return capsys.readouterr().out

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    return printed


def test_eval_prints_a_line_for_each_coefficient(run: Run, tmp_path: Path) -> None:
    text = run("--system", "You are terse.", "--csv", str(tmp_path / "out" / "scored.csv"))
    assert "6 rows of rows.jsonl, 1 seed" in re.sub(r"\s+", " ", text)
    assert [line.split()[0] for line in text.splitlines() if re.match(r" +\+\d ", line)] == ["+0", "+1"]
    assert "pmass is 0.0" in text
    assert max(map(len, text.splitlines())) <= 80
    kept = pd.read_csv(tmp_path / "out" / "scored.csv")
    assert len(kept) == 2 * len(QUESTIONS)
    assert kept["question"][0] == f"{QUESTIONS[0].text}\nAnswer Yes or No."


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """Each question of QUESTIONS with its topic as one of two choices; the behavior is to like what is safe."""
    file = tmp_path / "letters.jsonl"
    records = [
        {
            "question": f"What do you like?\n\nChoices:\n (A) {topic}\n (B) nothing",
            "answer_matching_behavior": " (A)" if n % 2 == 0 else " (B)",
        }
        for n, topic in enumerate(TOPICS)
    ]
    file.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return file


def test_eval_compares_letters_behind_their_bracket(run: Run, lm: LanguageModel, letters: Path, tmp_path: Path) -> None:
    text = run("--rows", str(letters), "--csv", str(tmp_path / "scored.csv"))
    assert "to (A)" in text
    assert "neither (A) nor (B)" in re.sub(r"\s+", " ", text)
    kept = pd.read_csv(tmp_path / "scored.csv")
    assert kept["question"][0].endswith("(B) nothing\nAnswer (A) or (B).")
    tokens = answer_tokens(lm.tokenizer, A_B)
    for text, log_a, log_b, ratio in kept[["question", "log_a", "log_b", "log_ratio"]].itertuples(index=False):
        prompt = prompt_ids(lm.tokenizer, user=text, prefill="(")
        with torch.no_grad():
            log_p = lm.model(torch.tensor([prompt]), use_cache=False).logits[0, -1].log_softmax(dim=-1)
        a, b = (log_p[list(ids)].logsumexp(dim=0).item() for ids in (tokens.yes, tokens.no))
        assert (log_a, log_b, ratio) == (
            pytest.approx(a, abs=1e-4),
            pytest.approx(b, abs=1e-4),
            pytest.approx(a - b, abs=2e-4),
        )


def test_a_row_that_is_too_long_is_refused_before_anything_is_trained(
    run: Run, store: Store, letters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"question": "so " * 30_000, "answer": " Yes"}
    letters.write_text(json.dumps({"question": "So?", "answer": "No"}) + "\n" + json.dumps(row) + "\n")
    built = len(store.built)
    with pytest.raises(SystemExit, match=r"^2$"):
        run("--rows", str(letters), "--family", "lora", "--behavior", "honesty")
    assert re.search(
        r"letters.jsonl, line 2: \d\d,\d+ tokens with the chat template; .* reads [\d,]+ at most",
        capsys.readouterr().err,
    )
    assert len(store.built) == built


@pytest.mark.parametrize("words", ["--ask", "--prefill", "--system"])
def test_words_that_are_no_text_are_refused(run: Run, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        run(words, "caf\udce9")
    assert rf"{words} holds \udce9, which is no character; give text in UTF-8" in capsys.readouterr().err


def test_eval_takes_coefficients_below_zero_and_the_words_around_the_answer(run: Run) -> None:
    text = run("--family", "ia3", "--coeffs", "-1", "0", "0.5", "--seeds", "1", "--ask", "", "--prefill", "I say")
    assert [line.split()[0] for line in text.splitlines() if re.match(r" +[+-]\d", line)] == ["-1", "+0", "+0.5"]
    assert "1 seed; nats" in re.sub(r"\s+", " ", text)


def test_a_steering_by_adapters_for_another_model_is_told_before_any_folder_is_applied(
    lm: LanguageModel, store: Store, tmp_path: Path, told: Told
) -> None:
    plus, minus = folders(lm, store, tmp_path)
    chosen_steering(SUBJECT, plus=plus, minus=minus)
    assert not told
    settings = json.loads((plus / CONFIG).read_text())
    (plus / CONFIG).write_text(json.dumps(settings | {"base_model_name_or_path": "meta-llama/Llama-3.2-1B"}))
    chosen_steering(SUBJECT, plus=plus, minus=minus)
    assert [line.split(",")[0] for line in told] == ["plus was trained for 'meta-llama/Llama-3.2-1B'"]


def test_eval_steers_with_peft_folders(
    run: Run, lm: LanguageModel, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plus, minus = folders(lm, store, tmp_path)
    text = run("--plus", str(plus), "--minus", str(minus), "--coeffs", "0", "2")
    assert "dW plus minus minus" in text
    with pytest.raises(SystemExit, match=r"^2$"):
        run("--plus", str(plus), "--minus", str(tmp_path))
    assert "has no adapter_config.json and no config.json; give a folder" in capsys.readouterr().err
    settings = minus / "adapter_config.json"
    settings.write_text(settings.read_text().replace('"r": ', '"r": 1'))
    with pytest.raises(SystemExit, match=r"^2$"):
        run("--plus", str(plus), "--minus", str(minus), "--coeffs", "1")
    assert f"ws: {minus}: adapter_model.safetensors has " in capsys.readouterr().err
