"""Two conversations beside each other: what each remembers, what a command changes, and what is refused."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from ws.engine.greedy import greedy_answers
from ws.engine.streaming import Choosing
from ws.errors import CommandError, DataError, MismatchError, ShapeError, UnknownNameError, WsError
from ws.exports import control_vector
from ws.exports.base import Limits
from ws.exports.what import Exported
from ws.models.chat import prompt_ids, turn_ends
from ws.models.language import LanguageModel
from ws.steering.interventions import Ready, Weights, folder_weights, untouched
from ws.store import Store
from ws.study.subject import Subject
from ws.talk import conversation as talking
from ws.talk.chosen import Chosen
from ws.talk.commands import COMMANDS, Left, Talk, obeyed
from ws.talk.conversation import Conversation, Setting, Shows
from ws.talk.cost import cost, expected_seconds, missing, needed
from ws.talk.files import AdapterFolder, VectorFile
from ws.talk.loop import heard, talk
from ws.talk.making import check_wanted
from ws.talk.screen import Headings
from ws.talk.signals import Stopped
from ws.talk.transcript import save
from ws.talk.turns import Turn, conversation_ids
from ws.tests.small import ON, adapter, fingerprint
from ws.tests.test_folders import change
from ws.tests.test_interventions import DIRECTION, folders

pytestmark = pytest.mark.usefixtures("told")

SUBJECT = Subject(ON.weights.name)
TOKENS = 5


@dataclass
class Page:
    """A screen for tests: lines are given, and what was shown is kept."""

    given: tuple[str, ...] = ()
    yes: bool = False
    forgiving: bool = True
    notes: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    shown: list[tuple[str, str]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        yield from self.given

    def note(self, text: str) -> None:
        self.notes.append(text)

    def agreed(self, question: str) -> bool:
        self.asked.append(question)
        return self.yes

    @contextmanager
    def answers(self, headings: Headings) -> Iterator[Shows]:
        yield lambda side, text: self.shown.append((headings[side], text))


@pytest.fixture(scope="module")
def setting(lm: LanguageModel, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    plus, minus = folders(lm, store, tmp_path_factory.mktemp("adapters"))
    return Setting(SUBJECT, Chosen(plus=plus, minus=minus), 40.0, Choosing(), TOKENS)


@pytest.fixture
def spoken(setting: Setting, store: Store) -> Conversation:
    return Conversation.of(setting, store)


@pytest.fixture
def session(spoken: Conversation) -> Talk:
    return Talk(spoken, Page(), build=False)


def ignore(side: str, text: str) -> None: ...


def said(lm: LanguageModel, ids: list[int]) -> str:
    """The greedy answer in words."""
    (answer,) = greedy_answers(lm, [ids], new_tokens=TOKENS)
    return lm.tokenizer.decode([token for token in answer if token not in turn_ends(lm)], skip_special_tokens=True)


# Both sides


def test_both_sides_answer_as_the_model_does_without_and_with_steering(
    lm: LanguageModel, store: Store, spoken: Conversation
) -> None:
    before = fingerprint(lm)
    spoken.ask("Is water dry?", ignore)
    ids = prompt_ids(lm.tokenizer, user="Is water dry?")
    dW = folder_weights(spoken.setting.chosen.plus, spoken.setting.chosen.minus).ready(lm, store)
    with dW.at(40.0):
        steered = said(lm, ids)
    assert (spoken.said[0].unsteered, spoken.said[0].steered) == (said(lm, ids), steered)
    assert spoken.said[0].unsteered != steered
    assert fingerprint(lm) == before


def test_each_side_remembers_its_own_answers(lm: LanguageModel, spoken: Conversation) -> None:
    spoken.ask("Is water dry?", ignore)
    spoken.ask("Why?", ignore)
    first = spoken.said[0]
    assert first.unsteered != first.steered
    expected = conversation_ids(lm.tokenizer, [Turn("Is water dry?", first.unsteered)], "Why?")
    assert spoken.said[1].unsteered == said(lm, expected)
    with spoken.ready.at(40.0):
        expected = conversation_ids(lm.tokenizer, [Turn("Is water dry?", first.steered)], "Why?")
        assert spoken.said[1].steered == said(lm, expected)


def test_at_coefficient_0_both_say_the_same(spoken: Conversation) -> None:
    spoken.change(replace(spoken.setting, coeff=0.0))
    for message in ("Is water dry?", "Why?"):
        spoken.ask(message, ignore)
        assert spoken.said[-1].steered == spoken.said[-1].unsteered


def test_what_is_shown_grows_and_ends_as_the_answer(spoken: Conversation) -> None:
    shown: dict[str, list[str]] = {"unsteered": [], "steered": []}
    spoken.ask("Is water dry?", lambda side, text: shown[side].append(text))
    for side, texts in shown.items():
        answer = spoken.said[0].turn(side).answer
        assert len(texts) > 2
        assert all(answer.startswith(text) for text in texts[:-1])
        assert texts[-1] in (answer, answer + talking.CUT)


def test_an_answer_without_more_room_says_so_and_is_remembered_as_it_is(spoken: Conversation) -> None:
    shown: list[str] = []
    spoken.change(replace(spoken.setting, new_tokens=1))
    spoken.ask("Is water dry?", lambda side, text: shown.append(text))
    assert shown[-1] == spoken.said[0].steered + talking.CUT


def test_an_answer_again_replaces_the_last_one(spoken: Conversation) -> None:
    spoken.ask("Is water dry?", ignore)
    spoken.ask("Why?", ignore)
    first, second = spoken.said
    spoken.again(ignore)
    assert spoken.said == [first, second]
    spoken.change(replace(spoken.setting, coeff=0.0))
    spoken.again(ignore)
    assert spoken.said[0] == first
    assert (spoken.said[1].unsteered, spoken.said[1].setting.coeff) == (second.unsteered, 0.0)


def test_the_same_seed_draws_the_same_answers(spoken: Conversation) -> None:
    answers = []
    for seed in (1, 2, 1):
        spoken.change(replace(spoken.setting, choosing=Choosing(2.0, seed)))
        spoken.ask("Is water dry?", ignore)
        answers.append((spoken.said[0].unsteered, spoken.said[0].steered))
        spoken.forget()
    assert answers[0] == answers[2] != answers[1]


def test_what_has_no_room_is_forgotten_by_both_sides(
    lm: LanguageModel, spoken: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for message in ("Is water dry?", "Why?"):
        spoken.ask(message, ignore)
    alone, with_one = (
        max(len(spoken._ids(spoken.said[first:], "And so?", side)) for side in talking.SIDES) for first in (2, 1)
    )
    monkeypatch.setattr(talking, "positions", lambda lm: with_one + TOKENS)
    spoken.ask("And so?", ignore)
    assert spoken.unread == 1
    expected = conversation_ids(lm.tokenizer, [spoken.said[1].turn("unsteered")], "And so?")
    assert spoken.said[2].unsteered == said(lm, expected)
    monkeypatch.setattr(talking, "positions", lambda lm: alone - 1)
    with pytest.raises(DataError, match=r"takes \d+ tokens, more than tiny-random-qwen3 reads here; shorten it"):
        spoken.ask("And so?", ignore)
    assert len(spoken.said) == 3


def test_a_refused_change_changes_nothing(spoken: Conversation) -> None:
    before = (spoken.setting, spoken.intervention, spoken.ready)
    for bad in (
        replace(spoken.setting, coeff=float("inf")),
        replace(spoken.setting, chosen=Chosen(system="You are terse.")),
        replace(spoken.setting, chosen=Chosen(family="delroa")),
    ):
        with pytest.raises(WsError):
            spoken.change(bad)
        assert (spoken.setting, spoken.intervention, spoken.ready) == before


def test_a_system_message_stands_before_the_steered_side_alone(lm: LanguageModel, store: Store) -> None:
    with_one = Conversation.of(Setting(SUBJECT, Chosen(system="You are terse."), 1.0, Choosing(), TOKENS), store)
    with_one.ask("Is water dry?", ignore)
    ids = {system: prompt_ids(lm.tokenizer, user="Is water dry?", system=system) for system in (None, "You are terse.")}
    assert with_one.said[0].unsteered == said(lm, ids[None])
    assert with_one.said[0].steered == said(lm, ids["You are terse."])
    with pytest.raises(DataError, match=r"a system prompt at coefficient \+2; expected 1"):
        with_one.change(replace(with_one.setting, coeff=2.0))


# Commands


def test_every_command_is_in_the_help(session: Talk) -> None:
    text = obeyed(session, "/help")
    assert [line.split()[0] for line in text.splitlines()[:-1]] == list(COMMANDS)
    assert max(map(len, text.splitlines()[:-1])) <= 80


def test_commands_change_what_comes_next(session: Talk) -> None:
    assert obeyed(session, "/coeff -2") == "plus minus minus at -2, greedy"
    assert obeyed(session, "/temperature 0.8").endswith("temperature 0.8, seed 0")
    assert obeyed(session, "/seed 4").endswith("temperature 0.8, seed 4")
    assert obeyed(session, "/temperature 0").endswith("greedy")
    assert "counts from /temperature" in obeyed(session, "/seed 5")
    heard(session, "Is water dry?")
    assert session.conversation.said[0].setting == replace(session.setting, coeff=-2.0, choosing=Choosing(0.0, 5))
    assert session.screen.shown[-1][0].endswith(" at -2")
    obeyed(session, "/reset")
    assert session.conversation.said == []
    with pytest.raises(Left):
        obeyed(session, "/quit")


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("/coef 2", UnknownNameError, "did you mean '/coeff'?"),
        ("/coeff", CommandError, "/coeff; expected /coeff NUMBER: steer by this much"),
        ("/reset now", CommandError, "/reset now; expected /reset: forget"),
        ("/coeff much", DataError, "'much' is no number; expected one, as in /coeff 2"),
        ("/coeff nan", DataError, "coefficient nan; expected a finite number"),
        ("/temperature -1", DataError, "expected a temperature from 0 on"),
        ("/seed 1.5", DataError, "'1.5' is no whole number from 0 on"),
        ("/family delroa", UnknownNameError, "did you mean 'delora'?"),
        ("/behavior honesty", DataError, "is of no behavior; name a family first"),
        ("/training 1", DataError, "which is not trained here"),
        ("/again", DataError, "no message to answer again"),
        ("/save talk.json", DataError, "nothing was said yet"),
        ("\ud83d", DataError, "the line holds \\ud83d, which is no character"),
    ],
)
def test_mistakes_are_told(session: Talk, line: str, error: type[WsError], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        heard(session, line)


def test_a_mistake_ends_the_conversation_only_where_nobody_can_mend_it(setting: Setting, store: Store) -> None:
    lines = ("/coef 2", "", "Is water dry?", "/quit", "Why?")
    page = Page(lines)
    talk(setting, store, page, build=False)
    assert len({heading for heading, _ in page.shown}) == 2
    assert "did you mean '/coeff'?" in page.notes[1]
    page = Page(lines, forgiving=False)
    with pytest.raises(UnknownNameError):
        talk(setting, store, page, build=False)
    assert page.shown == []


def test_two_slashes_are_a_message_that_begins_with_one(session: Talk) -> None:
    heard(session, "//etc is a folder")
    assert session.conversation.said[0].user == "/etc is a folder"


def test_an_answer_that_is_broken_off_is_forgotten(session: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    heard(session, "Is water dry?")
    before, weights = list(session.conversation.said), fingerprint(session.conversation.lm)

    def stop(side: str, text: str) -> None:
        if side == "steered":
            raise Stopped

    for asks in (lambda: session.conversation.ask("Why?", stop), lambda: session.conversation.again(stop)):
        session.answered(lambda _, asks=asks: asks())
        assert session.screen.notes[-1].startswith("broken off")
    assert session.conversation.said == before
    assert fingerprint(session.conversation.lm) == weights


# What steers


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nothing to steer by; give one of --family; --plus and --minus; --adapter; --activation; --vector"),
        ({"family": "lora", "system": "x"}, "--family with --system to steer by"),
        ({"minus": Path("p")}, "dW needs both adapters, and --minus p is one; give --plus FOLDER too, or name one as"),
        ({"activation": "pca"}, "--activation pca in the blocks (); give both"),
        ({"system": "x", "training": 1}, "--training-seed 1 of --system, which is not trained here"),
        (
            {"activation": "pca", "blocks": (2,), "training": 1},
            "--training-seed 1 of --activation pca, which comes out",
        ),
        ({"system": "\ud83d"}, "--system holds \\ud83d, which is no character"),
    ],
)
def test_a_choice_without_meaning_is_refused(given: dict, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        Chosen(**given)


def test_a_family_is_named_with_its_behavior_and_training() -> None:
    chosen = Chosen(family="oft", training=2)
    assert chosen.intervention(SUBJECT) == Weights(SUBJECT.direction("oft", seed=2))
    assert (chosen.name, chosen.made_of(SUBJECT)) == ("dW of oft", "sycophancy, training seed 2")
    assert chosen.of_family("lora") == Chosen(family="lora", training=2)
    assert chosen.intervention(replace(SUBJECT, behavior_name="honesty")) != chosen.intervention(SUBJECT)


def test_a_folder_that_does_not_fit_is_named(lm: LanguageModel, store: Store, tmp_path: Path) -> None:
    plus, minus = folders(lm, store, tmp_path)
    change(minus, r=7)
    for chosen in (Chosen(plus=plus, minus=minus), Chosen(adapter=minus)):
        with pytest.raises(MismatchError, match=rf"^{minus}: adapter_model.safetensors has "):
            Conversation.of(Setting(SUBJECT, chosen, 1.0, Choosing(), TOKENS), store)


def test_one_folder_adds_what_its_adapter_adds(lm: LanguageModel, store: Store, tmp_path: Path) -> None:
    plus, minus = folders(lm, store, tmp_path)
    one, other = (AdapterFolder(folder).ready(lm, store).added for folder in (plus, minus))
    both = folder_weights(plus, minus).ready(lm, store).added
    assert ((one - other) - both).norm <= 1e-6 * both.norm
    assert Chosen(adapter=plus).name == "adapter plus"


def test_a_vector_file_adds_its_vectors(lm: LanguageModel, store: Store, tmp_path: Path) -> None:
    place = tmp_path / "v.gguf"
    steps = {2: torch.ones(lm.d_model), 4: -torch.ones(lm.d_model)}
    control_vector.write(place, Exported(lm, Ready(0, untouched), 1.0, "v", steps), Limits())
    ready = VectorFile(place).ready(lm, store)
    assert ready.start == 2
    with ready.at(2.0):
        pushed = _into_block(lm, 3)
    plain = _into_block(lm, 3)
    torch.testing.assert_close(pushed - plain, torch.full_like(plain, 2.0))
    with pytest.raises(DataError, match="no file; name a control vector"):
        VectorFile(tmp_path / "absent.gguf")


def _into_block(lm: LanguageModel, block: int) -> torch.Tensor:
    """What a block reads of three tokens; hidden states of transformers may be taken before a hook changes them."""
    read: list[torch.Tensor] = []
    listening = lm.model.model.layers[block].register_forward_pre_hook(lambda _, given: read.append(given[0]))
    with torch.no_grad():
        lm.model(torch.tensor([[5, 6, 7]]))
    listening.remove()
    return read[0]


def test_a_vector_file_of_a_deeper_model_is_refused(lm: LanguageModel, store: Store, tmp_path: Path) -> None:
    place = tmp_path / "v.gguf"
    deeper = replace(lm, model=lm.model)
    steps = {5: torch.ones(lm.d_model)}
    control_vector.write(place, Exported(deeper, Ready(0, untouched), 1.0, "v", steps), Limits())
    shallow = replace(lm, model=_cut_to(lm, 4))
    with pytest.raises(ShapeError, match="vectors behind the blocks 5 to 5; tiny-random-qwen3 has the blocks 0 to 3"):
        VectorFile(place).ready(shallow, store)


def _cut_to(lm: LanguageModel, blocks: int) -> torch.nn.Module:
    """The model with its first blocks alone."""
    import copy

    model = copy.deepcopy(lm.model)
    model.model.layers = model.model.layers[:blocks]
    return model


# What it costs


def test_what_is_missing_is_listed_with_its_inputs_first(store: Store, tmp_path: Path) -> None:
    recipes = needed(Weights(DIRECTION))
    assert recipes == (DIRECTION.plus, DIRECTION.minus)
    assert missing(recipes, Store(tmp_path)) == [DIRECTION.plus.pairs, *recipes]
    for recipe in recipes:
        store.get(recipe)
    assert missing(recipes, store) == []
    assert missing([adapter(seed=77)], store) == [adapter(seed=77)]


def test_the_time_is_told_by_what_the_like_took(store: Store, tmp_path: Path) -> None:
    for sign in ("plus", "minus"):
        store.get(adapter("lora", sign=sign))
    assert expected_seconds(adapter("lora", seed=77), store) > 0
    assert expected_seconds(replace(adapter("lora"), shape=replace(adapter().shape, family="none yet")), store) is None
    assert re.search(r": about \d+:\d\d by what the like took before$", cost([adapter("lora", seed=77)], store))
    unknown = cost(missing(needed(Weights(DIRECTION)), Store(tmp_path)), Store(tmp_path))
    assert "not known, since this store holds no Pairs and no Adapter alike" in unknown


def test_training_is_offered_with_its_cost_and_refused_with_what_to_run(tmp_path: Path) -> None:
    store, wanted = Store(tmp_path), Setting(SUBJECT, Chosen(family="oft", training=3), 1.0, Choosing(), TOKENS)
    page = Page(yes=True)
    check_wanted(wanted, store, page, build=True)
    assert page.asked[0].startswith("dW of oft (sycophancy, training seed 3) is not in the store. It takes ")
    run = f"ws.load('{SUBJECT.model}', behavior='sycophancy', device='cpu', store='{tmp_path}').train('oft', seed=3)"
    for page, build in ((Page(yes=False), True), (Page(yes=True), False)):
        with pytest.raises(DataError, match=re.escape(f'to make it, run python -c "import ws; {run}"')):
            check_wanted(wanted, store, page, build=build)
        assert len(page.asked) == build
    with pytest.raises(DataError, match="name it in a terminal, without --no-build"):
        check_wanted(replace(wanted, chosen=Chosen(activation="pca", blocks=(2,))), store, Page(), build=True)


def test_a_family_that_is_not_trained_is_asked_about_while_talking(setting: Setting, tmp_path: Path) -> None:
    # A store of its own, since other tests may have trained the family in the one that all share.
    asking = Talk(Conversation.of(setting, Store(tmp_path)), Page(yes=False), build=True)
    with pytest.raises(DataError, match="is not in the store"):
        obeyed(asking, "/family boft")
    assert len(asking.screen.asked) == 1
    assert asking.setting.chosen.family is None


# Keeping it


def test_a_conversation_is_kept_with_all_that_its_answers_depend_on(
    lm: LanguageModel, session: Talk, tmp_path: Path
) -> None:
    heard(session, "Is water dry?")
    obeyed(session, "/coeff 3")
    heard(session, "Why?")
    place = tmp_path / "talk.json"
    heard(session, f"/save {place}")
    kept = json.loads(place.read_text())
    assert kept["model"] == lm.name
    assert [(one["user"], one["coeff"]) for one in kept["exchanges"]] == [("Is water dry?", 40.0), ("Why?", 3.0)]
    assert kept["exchanges"][1]["steered"] == session.conversation.said[1].steered
    assert kept["exchanges"][0]["steering"]["plus"] == str(session.setting.chosen.plus)
    assert kept["exchanges"][0]["choosing"] == {"temperature": 0.0, "seed": 0, "top_p": 0.95}
    with pytest.raises(DataError, match="is there already; name a new file"):
        save(place, lm, session.conversation.said)
    save(tmp_path / "talk.md", lm, session.conversation.said)
    assert "**Why?**" in (tmp_path / "talk.md").read_text()
    with pytest.raises(DataError, match=r"ends in no suffix; expected one of \.json"):
        save(tmp_path / "talk", lm, session.conversation.said)
    with pytest.raises(DataError, match="cannot be written: No such file or directory"):
        save(tmp_path / "no" / "talk.txt", lm, session.conversation.said)
