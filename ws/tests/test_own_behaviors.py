"""A behavior of one's own is identified by its texts, whatever file they are in; every mistake in it is one line."""

import json
import os
import re
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from ws.behaviors import behavior, own, table
from ws.behaviors.brought import asks
from ws.behaviors.entries import MOST_BYTES, MOST_CHARACTERS, Entry
from ws.behaviors.judges import judges_of
from ws.behaviors.layout import MIN_CLAIMS, MIN_HELDOUT, MIN_VALIDATION, behavior_of, contents, read_behavior
from ws.behaviors.own import chosen_behavior, own_behavior
from ws.behaviors.prompts import prompts_for
from ws.errors import DataError, UnknownNameError
from ws.evidence import evidence_folder
from ws.evidence.homes import OURS
from ws.report.recorded import snapshot_folder
from ws.stats.sweep import MIN_CLUSTERS
from ws.store import Store
from ws.study.subject import HELDOUT_MESSAGES, VALIDATION_MESSAGES, Subject
from ws.tests.behavior_files import JUDGES, PROMPTS, of_questions, of_text, written
from ws.training.hyperparameters import _say_unsearched, hyperparameters_of, search_path

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "pessimism.toml"
FILLED = {"judges": JUDGES, "prompts": PROMPTS}


@pytest.fixture(autouse=True)
def nothing_told(no_own_behaviors: None) -> None:
    return


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def toml(content: dict[str, Any]) -> str:
    """The parts of a behavior that is measured by text, as TOML."""
    pairs = [
        f"[[{part}]]\nplus = {json.dumps(one['plus'])}\nminus = {json.dumps(one['minus'])}"
        for part in ("personas", "judges")
        for one in content.get(part, [])
    ]
    lists = [
        "\n".join([f"[{part}]", *(f"{key} = {json.dumps(texts)}  # a remark" for key, texts in content[part].items())])
        for part in ("messages", "prompts")
        if part in content
    ]
    return "\n".join([f"name = '{content['name']}'", *pairs, *lists])


# Identity


def test_the_same_texts_are_the_same_behavior_in_any_file_and_format(tmp_path: Path, store: Store) -> None:
    one = written(tmp_path / "mine.json", of_text(**FILLED))
    other = tmp_path / "elsewhere.toml"
    other.write_text(toml(of_text(**FILLED)), encoding="utf-8-sig")
    names = {chosen_behavior(str(path), store).name for path in (one, other)}
    assert len(names) == 1
    assert re.fullmatch(r"patience@[0-9a-f]{8}", names.pop())


@pytest.mark.parametrize("path", [("messages", "training", 3), ("messages", "heldout", 0), ("personas", 1, "minus")])
def test_one_changed_word_makes_another_behavior(tmp_path: Path, store: Store, path: tuple[Any, ...]) -> None:
    before = chosen_behavior(str(written(tmp_path / "mine.json", of_text())), store)
    content = of_text()
    *above, last = path
    inside = content
    for key in above:
        inside = inside[key]
    inside[last] += " Well."
    assert chosen_behavior(str(written(tmp_path / "mine.json", content)), store).name != before.name


@pytest.mark.parametrize("content", [of_text(), of_text(**FILLED), of_questions(prefill="Well: **")])
def test_what_is_kept_of_a_behavior_is_a_file_that_says_the_same(content: dict[str, Any]) -> None:
    made = behavior_of(Entry("mine", content))
    assert behavior_of(Entry("kept", contents(made))) == made
    assert contents(made) | {"prefill": made.prefill} == content | {"prefill": made.prefill}


def test_a_store_knows_a_behavior_by_name_without_its_file(tmp_path: Path, store: Store) -> None:
    file = written(tmp_path / "mine.json", of_text())
    made = chosen_behavior(str(file), store)
    file.unlink()
    table.OWN_BEHAVIORS.clear()
    assert chosen_behavior(made.name, store) == made == behavior(made.name)
    with pytest.raises(UnknownNameError, match=rf"unknown behavior 'patience'; known: .*{made.name}"):
        chosen_behavior("patience", store)


def test_a_copy_that_was_changed_is_refused(tmp_path: Path, store: Store) -> None:
    kept = own_behavior(str(written(tmp_path / "mine.json", of_text())), store)
    copy = kept.home / "behavior.json"
    copy.write_text(copy.read_text().replace("train is 3", "bus is 3"))
    with pytest.raises(DataError, match=rf"behavior.json is no longer {kept.behavior.name} but patience@\w{{8}}"):
        chosen_behavior(kept.behavior.name, store)


def test_behaviors_of_ours_are_themselves(store: Store) -> None:
    assert chosen_behavior("honesty", store) is table.BEHAVIORS["honesty"]
    assert not store.root.exists()
    with pytest.raises(
        DataError, match=r"honesty is a behavior of ours, which claims name.*leave it out, or give a file"
    ):
        own_behavior("honesty", store)


def test_an_installed_package_offers_behaviors(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("waiting", "ws.tests.behavior_files:of_text", own.GROUP)
    monkeypatch.setattr(own.metadata, "entry_points", lambda group: [point] if group == own.GROUP else [])
    with pytest.raises(DataError, match=r"behavior_files:of_text \(behavior 'waiting' of an .*\): .* is no table"):
        chosen_behavior("waiting", store)
    monkeypatch.setattr(EntryPoint, "load", lambda self: of_text())
    assert chosen_behavior("waiting", store).name.startswith("patience@")
    with pytest.raises(UnknownNameError, match=r"unknown behavior 'waitng'; known: honesty, .*did you mean 'waiting'"):
        chosen_behavior("waitng", store)


# What is made of it


def test_all_its_messages_are_asked_and_its_recipes_are_kept_with_it(store: Store) -> None:
    kept = own_behavior(str(EXAMPLE), store)
    subject = Subject("smollm2-135m", behavior_name=kept.behavior.name)
    assert [len(subject.messages_of(split)) for split in ("heldout", "validation")] == [45, 22]
    assert [len(side) for side in (kept.behavior.positive, kept.behavior.negative)] == [5, 5]
    assert len(subject.pairs(0).questions) == 40
    assert search_path("smollm2-135m", kept.behavior.name) == kept.home / "searched" / "smollm2-135m.json"
    assert len(subject.written_rows(subject.weights("lora", seed=0), seed=0, coeffs=(1.0,)).judges) == 2
    assert [prompt.toward for prompt in prompts_for(kept.behavior.name)] == [0, +1, +1, -1]
    trained = {text for _, text in subject.pairs(0).questions}
    asked = {message.text for message in subject.messages_of("heldout")}
    assert {prompt.user for prompt in subject.fit_prompts} >= trained
    assert not asked & ({prompt.user for prompt in subject.fit_prompts} | trained)


def test_what_is_found_out_about_it_is_kept_in_its_home(store: Store) -> None:
    home = own_behavior(str(EXAMPLE), store).home
    for name, folder in {"snapshots": snapshot_folder, "evidence": evidence_folder}.items():
        beside = OURS / f"__{name}__"
        assert folder("m", chosen=None, home=Path("x"), beside=beside, behavior=home) == home / name / "m"
        assert folder("m", chosen=Path("kept"), home=None, beside=beside, behavior=home) == Path("kept", home.name, "m")
        assert folder("m", chosen=None, home=None, beside=beside) == beside / "m"


@pytest.mark.parametrize("folder", [snapshot_folder, evidence_folder])
def test_tests_of_another_folder_have_a_part_of_a_home_to_themselves(
    tmp_path: Path, folder: Callable[..., Path]
) -> None:
    home = tmp_path / "home"
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    tests = [OURS, *(tmp_path / name / "tests" for name in ("mine", "yours", "link")), tmp_path / "mine" / "te sts"]
    for one in ({"home": home}, {"home": None, "behavior": home}):
        places = [folder("m", chosen=None, beside=beside / "__x__", **one) for beside in tests]
        assert all(place.is_relative_to(home) for place in places)
        assert places[1] == places[3]
        assert len({*places}) == len(places) - 1


def test_a_small_model_is_asked_few_of_its_messages(store: Store) -> None:
    subject = Subject("tiny-random-qwen3", behavior_name=chosen_behavior(str(EXAMPLE), store).name)
    assert [len(subject.messages_of(split)) for split in ("heldout", "validation")] == [10, 4]
    assert len(subject.pairs(0).questions) == 7


def test_without_a_search_of_its_own_it_has_the_recipe_chosen_for_sycophancy(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("ws.training.hyperparameters.say", said.append)
    _say_unsearched.cache_clear()
    name = chosen_behavior(str(EXAMPLE), store).name
    for _ in range(2):
        assert hyperparameters_of("smollm2-135m", "delora", name) == hyperparameters_of("smollm2-135m", "delora")
    [line] = said
    assert f"recipes for {name} that no search chose are those chosen for sycophancy on this model" in line
    assert line.endswith(f"`ws search smollm2-135m --behavior {EXAMPLE}` chooses")
    file = search_path("smollm2-135m", name)
    file.parent.mkdir()
    file.write_text(search_path("smollm2-135m", "sycophancy").read_text().replace('"rank": 32', '"rank": 7'))
    assert hyperparameters_of("smollm2-135m", "delora", name).shape.rank == 7


def test_text_alone_has_no_questions_no_judges_and_no_prompts(store: Store, tmp_path: Path) -> None:
    name = chosen_behavior(str(written(tmp_path / "mine.json", of_text())), store).name
    assert not asks(behavior(name))
    with pytest.raises(DataError, match=r"has no claims to ask about in Yes and No; measure it as text, or add claims"):
        _ = Subject("smollm2-135m", behavior_name=name).base_rows
    with pytest.raises(UnknownNameError, match=f"behavior with judges '{name}'"):
        judges_of(behavior(name))
    with pytest.raises(UnknownNameError, match=f"behavior with prompts '{name}'"):
        prompts_for(name)


def test_questions_are_asked_in_both_phrasings_and_cuts_in_the_first_pair(store: Store, tmp_path: Path) -> None:
    subject = Subject("smollm2-135m", behavior_name=_told(store, tmp_path, of_questions()))
    signed = [question for question in subject.base_rows.questions if question.sign]
    assert len(signed) == 4 * MIN_CLAIMS
    assert {question.pair for question in subject.cut_questions} == {"fair"}
    assert {question.sign for question in subject.cut_questions} == {-1, +1}


def _told(store: Store, tmp_path: Path, content: object) -> str:
    return chosen_behavior(str(written(tmp_path / "mine.json", content)), store).name


def test_the_smallest_file_is_large_enough_for_a_verdict() -> None:
    assert (MIN_HELDOUT, MIN_VALIDATION) == (HELDOUT_MESSAGES, VALIDATION_MESSAGES)
    assert min(MIN_CLAIMS, MIN_HELDOUT) >= MIN_CLUSTERS


# Mistakes


def changed(content: dict[str, Any], *path: Any, to: Any) -> dict[str, Any]:
    """A file with one entry changed; None removes it."""
    *above, last = path
    inside: Any = content
    for key in above:
        inside = inside[key]
    if to is None:
        del inside[last]
    else:
        inside[last] = to
    return content


LATE = "My training train is 3 minutes late."

MISTAKES: list[tuple[Callable[[], object], str]] = [
    (lambda: [1], r"mine.json: \[1\] is no table; expected the keys name, personas, messages, judges"),
    (dict, "mine.json: has no name and no personas and no messages; expected name.*; add what lacks"),
    (
        lambda: of_text(mesages={}),
        "mine.json: unknown key \"mesages\"; expected name, .*; did you mean 'messages'?",
    ),
    (lambda: of_text(colour=1), 'mine.json: unknown key "colour"; expected name, .*; remove it'),
    (lambda: of_text(name="Patience"), "mine.json, name: reads 'Patience'; expected 30 small letters and hyphens"),
    (lambda: of_text(name="../x"), "mine.json, name: reads '../x'; expected"),
    (lambda: of_text(name="honesty"), "name: reads 'honesty', a behavior of ours; expected a name of its own; rename"),
    (lambda: of_text(name=7), "mine.json, name: reads 7; expected some words"),
    (lambda: of_text(personas=[]), "mine.json, personas: has 0 entries; expected 2 or more pairs of plus and .*add 2"),
    (
        lambda: changed(of_text(), "personas", 1, "minus", to=None),
        "mine.json, personas, entry 2: has no minus; expected plus, minus; add what lacks",
    ),
    (
        lambda: changed(of_text(), "personas", 1, "minus", to="you ARE  patient."),
        'personas, entry 2, minus: repeats personas, entry 1, plus, "you ARE  patient."; expected each text once',
    ),
    (
        lambda: of_text(judges=[*JUDGES[:1], {"plus": "You are patient.", "minus": "Quick."}]),
        "mine.json, judges, entry 2, plus: repeats personas, entry 1, plus",
    ),
    (lambda: of_text(judges=JUDGES[:1]), "mine.json, judges: has 1 entries; expected 2 or more pairs.*; add 1"),
    (lambda: of_text(prompts={"minus": ["Hurry."]}), "mine.json, prompts: has no plus; expected plus, minus"),
    (lambda: of_text(prompts={"plus": []}), "mine.json, prompts, plus: has 0 entries; expected 1 or more; add 1"),
    (lambda: of_text(messages=["a"]), r'mine.json, messages: \["a"\] is no table; expected the keys training'),
    (
        lambda: changed(of_text(), "messages", "training", to=["a", "b"]),
        "mine.json, messages, training: has 2 entries; expected 20 or more to train on; add 18",
    ),
    (
        lambda: changed(of_text(), "messages", "heldout", to=["a"] * 39),
        "mine.json, messages, heldout: has 39 entries; expected 40 or more to judge by; add 1",
    ),
    (
        lambda: changed(of_text(), "messages", "validation", to=[]),
        "mine.json, messages, validation: has 0 entries; expected 20 or more to choose by; add 20",
    ),
    (
        lambda: changed(of_text(), "messages", "heldout", 4, to=LATE.upper()),
        "mine.json, messages, heldout, entry 5: repeats messages, training, entry 4, .*; expected each text once",
    ),
    (
        lambda: changed(of_text(), "messages", "training", 2, to=" \n"),
        r'training, entry 3: reads " \\n"; expected some',
    ),
    (lambda: changed(of_text(), "messages", "training", 2, to=["a"]), r'training, entry 3: reads \["a"\]; expected'),
    (
        lambda: changed(of_text(), "messages", "training", 2, to="x" * (MOST_CHARACTERS + 1)),
        "training, entry 3: has 4,001 characters; expected 4,000 at most; shorten it",
    ),
    (
        lambda: changed(of_text(), "messages", "training", 2, to="\ud83d"),
        r"training, entry 3: holds \\ud83d, half a character; expected whole ones; write the whole one or remove it",
    ),
    (
        lambda: changed(of_questions(), "facts", to=None),
        "mine.json: has claims and phrasings without facts; expected claims, phrasings, facts: all or none; add",
    ),
    (lambda: of_text(prefill="So: "), "mine.json: has prefill without claims and phrasings and facts; expected"),
    (
        lambda: changed(of_questions(), "claims", "heldout", "tea", to=["tea is slow"]),
        "mine.json, claims, heldout: has 6 claims; expected 10 or more; add 4",
    ),
    (lambda: changed(of_questions(), "claims", "heldout", to=["x"]), r'heldout: \["x"\] is no table; expected topics'),
    (
        lambda: changed(of_questions(), "claims", "heldout", "Tea time", to=["tea is slow"]),
        'mine.json, claims, heldout: the topic "Tea time"; expected small letters and hyphens; rename it',
    ),
    (
        lambda: changed(of_questions(), "claims", "heldout", "tea", 1, to="tea is slow."),
        "mine.json, claims, heldout, tea, entry 2: claim 'heldout-tea-02' reads 'tea is slow.'; expected words that",
    ),
    (
        lambda: changed(of_questions(), "claims", "heldout", "tea", 1, to="validation tea may take 0 hours"),
        "claims, heldout, tea, entry 2: repeats claims, validation, tea, entry 1",
    ),
    (
        lambda: changed(of_questions(), "claims", "heldout", "tea", 1, to="my training train is 3 minutes late"),
        "claims, heldout, tea, entry 2: stands in messages, training, entry 4; expected claims that nothing is",
    ),
    (
        lambda: changed(of_questions(), "phrasings", 1, "no", to="Is {claim} bad?"),
        "mine.json, phrasings, entry 2, no: phrasing 'fine-no' is .*; expected 'Answer Yes or No.' at its end; append",
    ),
    (
        lambda: changed(of_questions(), "phrasings", 1, "pair", to="fair"),
        'mine.json, phrasings, entry 2, pair: repeats phrasings, entry 1, pair, "fair"',
    ),
    (
        lambda: changed(of_questions(), "phrasings", 1, to=None),
        "phrasings: has 1 entries; expected 2 or more pairs of yes",
    ),
    (
        lambda: changed(of_questions(), "facts", "no", 0, to="Tea is a stone."),
        "mine.json, facts, no, entry 1: fact 'fact-no-01' reads 'Tea is a stone.'; expected a question; end it with",
    ),
    (
        lambda: changed(of_questions(), "facts", "no", 0, to=None),
        "mine.json, facts, no: has 4 entries; expected 5 or more facts; add 1",
    ),
    (
        lambda: changed(of_questions(), "facts", "yes", to=[f"Is {n} odd?" for n in range(7)]),
        "mine.json, facts: 7 yes and 5 no; expected as many of each; add 2 to no",
    ),
]


@pytest.mark.parametrize(("content", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_with_its_entry_in_one_line(
    tmp_path: Path, content: Callable[[], object], message: str
) -> None:
    with pytest.raises(DataError, match=message) as refused:
        read_behavior(written(tmp_path / "mine.json", content()))
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.toml", b"name = 'a'\npersonas = \n", r"mine.toml:2: no TOML \(.*\); expected .*; mend this line"),
        ("mine.toml", b"name = 'a'\nname = 'b'\n", r"mine.toml:2: no TOML \(Cannot overwrite a value\)"),
        ("mine.toml", b"name = 'a'\n[personas", r"mine.toml:2: no TOML"),
        ("mine.toml", b"when = 1979-05-27", 'mine.toml: unknown key "when"'),
        ("mine.json", b'{"name": "a",\n}', r"mine.json:2: no JSON \(.*\); expected .*; mend this line"),
        ("mine.json", b"", r"mine.json:1: no JSON"),
        (
            "mine.json",
            b'{"messages": {"training": [], "training": []}}',
            'mine.json, messages: the key "training" comes twice; expected each once; merge the two',
        ),
        ("mine.json", b"[" * 100_000, r"mine.json: no JSON \(brackets are nested 100,000 deep"),
        ("mine.json", b'{"name": ' + b"9" * 5000 + b"}", r"mine.json: no JSON \(the number 9+... has 5,000 digits"),
        ("mine.json", b'{"name": "\xff"}', r"mine.json:1: no JSON \(byte 10 is no UTF-8: save it as UTF-8\)"),
        ("mine.toml", "name = 'a'".encode("utf-16"), r"mine.toml:1: no TOML \(byte 0 is no UTF-8"),
        ("mine.toml", b"#" * (MOST_BYTES + 1), r"mine.toml has 1,000,001 bytes; expected .*, of 1,000,000"),
        ("mine.toml", b"name = " + b"[" * 100 + b"]" * 100, r"mine.toml: no TOML \(tables or lists are nested more"),
        ("mine.toml", b"a." * 100 + b"a = 1", r"mine.toml: no TOML \(tables or lists are nested more than 64 deep"),
        ("mine.yaml", b"name: a", r"mine.yaml: ends in '.yaml'; expected .toml or .json; rename it"),
        ("mine", b"name: a", r"mine: ends in 'nothing'; expected .toml or .json; rename it"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as refused:
        read_behavior(tmp_path / name)
    assert len(str(refused.value).splitlines()) == 1


def test_what_is_no_file_is_refused(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "mine.json", of_text())
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    told = {
        "mien.json": r"no file .*mien.json; expected a TOML or JSON file; did you mean 'mine.json'\?",
        "./nowhere/a.toml": r"no file .*/nowhere/a.toml; .*; check its name",
        "folder.toml": r"folder.toml is a folder; expected a TOML or JSON file; name one in it",
        "pipe.toml": r"pipe.toml is a FIFO \(named pipe\); expected a TOML or JSON file; save",
        f"{'x' * 300}.toml": r"cannot read .*xxx.toml: File name too long; expected a TOML or JSON file",
        ".": r" is a folder; expected a TOML or JSON file",
    }
    for text, message in told.items():
        with pytest.raises(DataError, match=message):
            chosen_behavior(text, store)
    for text in ("", "patience", "hf:a"):
        with pytest.raises(
            UnknownNameError, match=r"or give a file \(NAME.toml or NAME.json\), or a name that an inst"
        ):
            chosen_behavior(text, store)
