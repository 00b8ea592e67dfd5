"""The benchmark gives both ways the same work, gets the same answers from them, and divides fairly."""

import copy
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ws import cli
from ws.bench import arm, claims, compare, data, plain, probe, process, record, run, table, work
from ws.bench.measurement import Job, Measurement, Work, load
from ws.bench.probe import Mark, Probe, Speed, spans
from ws.bench.settings import Section, Settings, quick, scoring, training
from ws.engine.packing import pack
from ws.errors import DataError, MismatchError
from ws.models.language import LanguageModel
from ws.models.own import named_model
from ws.models.table import OWN_MODELS, KnownModel, known_model
from ws.store import Store
from ws.tests.small import LAYERS, ON, tiny_model
from ws.training.pairs import read_pairs
from ws.training.train import QuestionRow, TrainConfig, started

# PEFT still uses an old name of transformers, which is of no interest to these tests.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

SETTINGS = Settings(model="tiny-random-qwen3", questions=7, epochs=1, questions_per_step=2, rows=9, repeats=2)
IDLE = (Speed(100.0, 100.0), Speed(100.0, 100.0))


@pytest.fixture
def lm(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """A copy of the tiny model, since PEFT stays in it."""
    shared = tiny_model(tmp_path_factory)
    return replace(shared, model=copy.deepcopy(shared.model))


@pytest.fixture(scope="module", autouse=True)
def _short_probes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SQUARE": 64, "TOKENS": 8, "SECONDS": 1e-4, "BRIEFLY": 1e-5}.items():
            patch.setattr(probe, name, value)
        yield


@pytest.fixture(scope="module")
def trained_twice(tmp_path_factory: pytest.TempPathFactory, store: Store) -> tuple[Work, Work]:
    """Two epochs of LoRA, ours and the plain way."""
    settings, shared = replace(SETTINGS, epochs=2), tiny_model(tmp_path_factory)
    copied = replace(shared, model=copy.deepcopy(shared.model))
    ours, theirs = (way(copied, store, settings, "lora", Probe(copied)) for way in (arm.train_ours, arm.train_plain))
    return ours, theirs


def test_both_ways_take_the_same_steps_over_two_epochs(trained_twice: tuple[Work, Work]) -> None:
    ours, theirs = trained_twice
    assert len(ours.results) == 6
    assert ours.results == pytest.approx(theirs.results, abs=2e-4)
    assert max(theirs.results) - min(theirs.results) > 0.05
    assert ours.amount == theirs.amount > 0


def test_ours_needs_fewer_operations_for_the_same_tokens(trained_twice: tuple[Work, Work]) -> None:
    ours, theirs = trained_twice
    assert 0 < ours.flops < 0.8 * theirs.flops


@pytest.mark.parametrize("family", ["dora", "oft", "ia3"])
def test_both_ways_lose_the_same_at_every_step(lm: LanguageModel, store: Store, family: str) -> None:
    ours, theirs = (way(lm, store, SETTINGS, family, Probe(lm)) for way in (arm.train_ours, arm.train_plain))
    assert max(theirs.results) - min(theirs.results) > 0.02
    assert ours.results == pytest.approx(theirs.results, abs=2e-4)
    assert ours.flops is theirs.flops is None


def test_both_ways_score_the_same_rows_alike(lm: LanguageModel, store: Store) -> None:
    ours, theirs = (way(lm, store, SETTINGS, "lora", Probe(lm)) for way in (arm.eval_ours, arm.eval_plain))
    assert ours.amount == theirs.amount == 7 * 9
    assert ours.results == pytest.approx(theirs.results, abs=1e-4)
    base, strongest = theirs.results[:9], theirs.results[-9:]
    assert max(abs(a - b) for a, b in zip(base, strongest, strict=True)) > 0.01


def test_both_ways_crop_alike(lm: LanguageModel, store: Store) -> None:
    ours, theirs = (way(lm, store, SETTINGS, "lora", Probe(lm)) for way in (arm.svd_ours, arm.svd_plain))
    assert ours.amount == theirs.amount == 40
    assert ours.results == pytest.approx(theirs.results, abs=1e-4 * max(map(abs, theirs.results)))
    assert len(set(theirs.results)) > 10
    assert ours.seconds > 0


def test_the_plain_way_takes_our_rows_unpacked(lm: LanguageModel, store: Store) -> None:
    recipe = training(SETTINGS, "lora")
    rows, _ = started(lm, store, recipe.pairs, "plus", start=LAYERS.start)
    plain_rows = data.sequences(lm.tokenizer, read_pairs(store, recipe.pairs), sign="plus")
    assert [row.question_id for row in rows] == list(plain_rows)
    for row in rows:
        taken = plain_rows[row.question_id]
        assert list(row.texts) == [one.ids for one in taken]
        assert row.labels.tolist() == [token for one in taken for token in one.ids[-one.supervised :]]


def test_padding_and_prompts_carry_no_loss() -> None:
    step = (data.Answered((5, 6, 7, 8), 2), data.Answered((5, 9), 1))
    batch = plain.Padded(0)([step])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8], [5, 9, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, -100, 7, 8], [-100, 9, -100, -100]]


def test_an_epoch_takes_every_kept_question_once() -> None:
    questions = {f"q{i}": (i,) for i in range(11)}
    taken = data.steps(questions, TrainConfig(epochs=2, questions_per_step=4), seed=0)
    epochs = [[i for step in half for i in step] for half in (taken[:3], taken[3:])]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [i for i in range(11) if i not in (0, 10)]
    assert epochs[0] != epochs[1]


def counted_flops(lm: LanguageModel, length: int, *, backward: bool) -> int:
    """Operations of the matrix products that torch runs on one sequence."""
    ids = torch.arange(10, 10 + length)[None]
    lm.model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        logits = lm.model(ids, use_cache=False).logits
        if backward:
            nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]).backward()
    return counter.get_total_flops()


def test_the_formula_of_a_forward_pass_counts_what_torch_counts(lm: LanguageModel) -> None:
    tokens, sizes = work.Tokens(nodes=21, pairs=21 * 21, read=21), work.sizes(lm, start=LAYERS.start)
    assert work.lower(sizes, tokens) + work.upper(sizes, tokens) == counted_flops(lm, 21, backward=False)


def test_the_formula_of_a_step_counts_what_torch_counts(lm: LanguageModel) -> None:
    tokens, sizes = work.Tokens(nodes=21, pairs=21 * 21, read=21), work.sizes(lm, start=LAYERS.start)
    recipe = training(SETTINGS, "lora")
    model = plain.adapted(lm, recipe.shape, start=plain.start_values(lm, recipe, LAYERS))
    entries = sum(p.numel() for p in model.parameters() if p.requires_grad)
    formula = work.training(sizes, [tokens], trained=entries)
    attention = lm.layers[LAYERS.start].self_attn
    first = sum(layer.base_layer.weight.numel() for layer in (attention.q_proj, attention.k_proj, attention.v_proj))
    # Nothing below the first adapted layer trains, so its input needs no gradient, through A as little as through W.
    spared = 2 * 21 * (first + 3 * recipe.shape.rank * lm.d_model)
    # A position is read without being predicted from, and torch multiplies by its zero gradient all the same.
    assert formula - spared == pytest.approx(counted_flops(lm, 21, backward=True), rel=1e-3)


def test_shared_tokens_are_the_distinct_prefixes_of_a_row() -> None:
    prompts = [(1, 2, 3), (1, 2, 4, 5), (1, 2, 3, 6), (7,)]
    prefixes = {prompt[:end] for prompt in prompts for end in range(1, len(prompt) + 1)}
    expected = work.Tokens(nodes=len(prefixes), pairs=sum(map(len, prefixes)), read=4)
    assert work.shared(pack(prompts), read=4) == expected


def test_questions_of_a_step_share_what_they_begin_with() -> None:
    rows = [QuestionRow("a", ((1, 2, 3, 4), (1, 2, 5)), asked=2), QuestionRow("b", ((1, 6, 7),), asked=2)]
    assert work.stepped(rows) == work.Tokens(nodes=7, pairs=1 + 2 + 3 + 4 + 3 + 2 + 3, read=4)


def test_a_step_lasts_from_the_probe_before_it_to_its_end() -> None:
    marks = [Mark(10.0, 60.0, 11.0), Mark(14.0, 40.0, 15.0), Mark(17.0, 20.0, 18.0)]
    assert spans(marks, [1, 2]) == [(3.0, 50.0), (2.0, 30.0)]
    assert spans(marks, [2]) == [(2.0, 30.0)]


def test_the_probe_leaves_the_random_state_alone(lm: LanguageModel) -> None:
    state = torch.get_rng_state()
    found = Probe(lm).both()
    assert torch.equal(torch.get_rng_state(), state)
    assert min(found.model, found.square) > 0


def measurement(way: str, **fields: Any) -> Measurement:
    done = Work(amount=100, seconds=10.0, results=(1.0, 2.0), flops=500 * 10**9, once_seconds=1.0, memory=10**9)
    named = {name: fields.pop(name) for name in list(fields) if name in Work.__dataclass_fields__}
    first = Measurement("train", way, "lora", 0, replace(done, **named), IDLE)
    return replace(first, **fields)


def lines(*measurements: Measurement) -> dict[tuple[str, str], compare.Comparison]:
    return {(line.what, line.way): line for line in compare.compared(measurements)}


def test_a_ratio_does_not_count_how_fast_the_machine_was() -> None:
    slow = (Speed(40.0, 50.0), Speed(60.0, 30.0))
    found = lines(measurement("hf"), measurement("ours", seconds=4.0, speeds=slow))["speed", "hf"]
    assert found.rounds == pytest.approx((5.0,))
    assert (found.ours, found.plain, found.met) == (25.0, 10.0, True)


def test_the_median_round_is_held_against_the_target() -> None:
    ours = [measurement("ours", seconds=seconds, repeat=i) for i, seconds in enumerate((2.0, 2.6, 9.0))]
    theirs = [measurement("hf", repeat=i) for i in range(3)]
    found = lines(*ours, *theirs)["speed", "hf"]
    assert (round(found.value, 2), found.met) == (3.85, False)


def test_losses_may_differ_by_three_thousandths_and_memory_may_not_grow() -> None:
    def met(kind: str, **ours: object) -> bool:
        found = compare.compared([measurement("hf"), measurement("ours", **ours)])
        return next(line.met for line in found if kind in (line.kind, line.what))

    assert [met("difference", results=(1.0, loss)) for loss in (2.0029, 1.9969, 2.0031)] == [True, False, False]
    assert [met("peak memory", memory=memory) for memory in (9 * 10**8, 11 * 10**8)] == [True, False]


def test_different_amounts_of_work_are_refused() -> None:
    with pytest.raises(MismatchError, match=r"train lora: ours and hf did \[99, 100\] tokens, expected one number"):
        compare.compared([measurement("hf"), measurement("ours", amount=99)])


def test_a_job_crosses_to_another_process_and_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job("svd", "ours", "lora", 1, SETTINGS, str(store.root))
    assert Job.from_json(job.to_json()) == job
    monkeypatch.setattr(sys, "argv", ["arm", str(tmp_path / "result")])
    monkeypatch.setattr(sys, "stdin", io.StringIO(job.to_json()))
    arm.main()
    found = load(tmp_path / "result")
    assert (found.section, found.way, found.repeat, found.work.amount) == ("svd", "ours", 1, 40)
    assert found.rate == found.work.amount / found.work.seconds
    assert found.work.memory > 0


def test_a_process_that_measures_is_told_of_a_model_of_one_s_own(
    store: Store, tmp_path: Path, no_own_models: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = named_model(str(store.get(ON.weights)), Store(tmp_path))
    job = Job("svd", "prepare", "lora", 0, replace(SETTINGS, model=mine.name), str(tmp_path))
    OWN_MODELS.clear()
    found: list[KnownModel] = []
    monkeypatch.setattr(arm, "prepare", lambda job: found.append(known_model(job.settings.model)))
    monkeypatch.setattr(sys, "stdin", io.StringIO(job.to_json()))
    arm.main()
    assert found == [mine]


@pytest.mark.parametrize("section", ["train", "svd"])
def test_what_is_measured_is_built_beforehand(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, section: Section
) -> None:
    job = Job(section, "prepare", "lora", 0, SETTINGS, str(store.root))
    monkeypatch.setattr(sys, "stdin", io.StringIO(job.to_json()))
    arm.main()
    direction = scoring(SETTINGS).intervention.direction
    assert store.has(training(SETTINGS, "lora").pairs)
    assert section == "train" or (store.has(direction.plus) and store.has(direction.minus))


def test_a_measurement_that_fails_shows_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert command[1:3] == ["-m", "ws.bench.arm"]
        return subprocess.CompletedProcess(command, 1, stdout="\n".join(map(str, range(40))))

    monkeypatch.setattr(subprocess, "run", failing)
    with pytest.raises(process.BenchError, match=r"train oft hf failed with status 1; .*\n25\n(.*\n)*39$") as error:
        process.measure(Job("train", "hf", "oft", 0, SETTINGS, "/store"))
    assert "\n24\n" not in str(error.value)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record of two sections, at the place of the last run on a CPU."""
    monkeypatch.setattr(record, "FOLDER", tmp_path)
    measurements = [measurement("hf", seconds=10.0), measurement("ours", seconds=2.0)]
    train = record.section(SETTINGS, measurements, compare.compared(measurements))
    timing = claims.Timing("claims/ -k delora", 125.0, 3.5, failed=True)
    record.update(record.last("cpu"), "train", train)
    record.update(record.last("cpu"), "claims", record.stamp(SETTINGS) | {"runs": [timing.record()]})
    return record.last("cpu")


def test_a_section_measured_again_replaces_itself_alone(kept: Path) -> None:
    before = record.read(kept)
    record.update(kept, "train", {"measured": "again"})
    assert record.read(kept) == {"train": {"measured": "again"}, "claims": before["claims"]}


def test_a_record_keeps_the_machine_and_every_number(kept: Path) -> None:
    train = record.read(kept)["train"]
    assert {"cpu", "cores", "threads", "torch"} <= train["machine"].keys()
    assert train["settings"]["model"] == "tiny-random-qwen3"
    assert [one["work"]["seconds"] for one in train["measurements"]] == [10.0, 2.0]
    assert [one["work"]["results"] for one in train["measurements"]] == [[1.0, 2.0]] * 2
    assert train["comparisons"][0]["value"] == 5.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "is no JSON"),
        ('{"schema": 0, "sections": {}}', f"is not of schema {record.SCHEMA}; remove it"),
        ("[]", "is not of schema"),
    ],
)
def test_a_strange_record_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(DataError, match=message):
        record.read(tmp_path / "b.json")


def test_the_table_shows_ratio_target_and_outcome(kept: Path) -> None:
    text = table.markdown(record.read(kept))
    assert "| lora: speed, against PEFT + HF Trainer | 50 tokens/s | 10 tokens/s | 5.00x | >= 4.00x | met |" in text
    assert "| `pytest claims/ -k delora` | 125 s | 3.5 s | some |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {5, 7}


def test_the_tables_go_between_the_markers(kept: Path, tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{table.START}\nstale\n{table.END}\nafter\n")
    run.write(page)
    once = page.read_text()
    run.write(page)
    assert page.read_text() == once
    assert once.startswith(f"before\n{table.START}\n### Speed on ")
    assert once.endswith(f"\n{table.END}\nafter\n")
    assert "stale" not in once


def test_no_run_yet_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "FOLDER", tmp_path)
    with pytest.raises(DataError, match=r"no benchmark has left its numbers at .*latest-cpu.json; run `ws bench`"):
        run.write(tmp_path / "README.md")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs that were measured, each in no time at all."""
    done: list[Job] = []

    def measure(job: Job) -> Measurement:
        done.append(job)
        return measurement(job.way, section=job.section, family=job.family, repeat=job.repeat)

    monkeypatch.setattr(run, "measure", measure)
    monkeypatch.setattr(run, "prepared", lambda *_: None)
    return done


Bench = Callable[..., str]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Bench:
    """What `ws bench` prints, with its record and its store in a folder of their own."""
    monkeypatch.setattr(record, "FOLDER", tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def printed(*args: str) -> str:
        monkeypatch.setattr(sys, "argv", ["ws", "bench", "--store", str(tmp_path / "store"), *args])
        cli.main()
        return capsys.readouterr().out

    return printed


def test_ws_bench_measures_everything_and_keeps_it(bench: Bench, measured: list[Job]) -> None:
    text = bench("--repeats", "1")
    assert [job.section for job in measured] == ["train"] * (2 * 7 + 1) + ["eval"] * 2 + ["svd"] * 2
    assert record.read(record.last("cpu")).keys() == {"train", "eval", "svd"}
    assert text == table.markdown(record.read(record.last("cpu"))) + "\n"


def test_a_quick_run_is_kept_only_where_it_is_told(bench: Bench, measured: list[Job], tmp_path: Path) -> None:
    bench("--quick", "--only", "train", "svd")
    assert not record.last("cpu").exists()
    assert [(job.section, job.way) for job in measured[:3]] == [
        ("train", "hf"),
        ("train", "ours"),
        ("train", "hf-tuned"),
    ]
    assert {job.settings for job in measured} == {quick(Settings())}
    bench("--quick", "--only", "svd", "--json", str(tmp_path / "mine.json"))
    assert record.read(tmp_path / "mine.json").keys() == {"svd"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--families", "lora", "lara"], "unknown adapter family 'lara'"),
        (["--model", "gpt-5"], "unknown model 'gpt-5'"),
    ],
)
def test_an_unknown_name_is_refused_before_anything_is_measured(
    bench: Bench, measured: list[Job], capsys: pytest.CaptureFixture[str], args: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        bench(*args)
    assert message in capsys.readouterr().err
    assert measured == []


def pytest_runs(monkeypatch: pytest.MonkeyPatch, *, status: int) -> list[list[str]]:
    """The command lines of the runs of pytest, which take no time and end with `status`."""
    seen: list[list[str]] = []

    def pretended(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        assert (Path(command[-1]) / "ModelWeights").is_dir()
        return subprocess.CompletedProcess(command, status, stdout="no tests ran")

    monkeypatch.setattr(claims.subprocess, "run", pretended)
    return seen


def test_claims_are_timed_cold_and_then_warm_from_a_store_of_their_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = pytest_runs(monkeypatch, status=1)
    found = claims.timings(SETTINGS, store)
    assert [one.args for one in found] == ["claims/", "claims/ -k delora"]
    assert all(one.failed for one in found)
    first, again, other, _ = [command[-1] for command in seen]
    assert first == again != other
    assert str(store.root) not in (first, other)
    assert not Path(first).exists()
    assert seen[0][-4:-2] == ["--model", "tiny-random-qwen3"]


def test_claims_that_cannot_run_are_no_timing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest_runs(monkeypatch, status=4)
    with pytest.raises(process.BenchError, match="ended with status 4:\nno tests ran"):
        claims.timings(SETTINGS, store)
