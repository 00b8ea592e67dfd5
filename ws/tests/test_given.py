"""A stranger's folder with an adapter is looked at before anything of it is loaded."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from ws.delta.folders.delta import folder_delta
from ws.delta.folders.given import check_adds_numbers, check_given, naming
from ws.errors import DataError, MismatchError, ShapeError
from ws.models.language import LanguageModel
from ws.scoring.finite import check_finite
from ws.steering.interventions import folder_weights
from ws.store import Store
from ws.talk.files import AdapterFolder, VectorFile
from ws.tests import hostile_corpus as corpus
from ws.tests.hostile_readers import small_model, whole_model
from ws.tests.test_folders import change, lora_of

CONFIG, WEIGHTS, INDEX = "adapter_config.json", "adapter_model.safetensors", "model.safetensors.index.json"
Spoil = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a LoRA."""
    home = tmp_path / "lora"
    home.mkdir()
    (home / CONFIG).write_bytes(corpus.dumped(corpus.LORA))
    (home / WEIGHTS).write_bytes(corpus.lora())
    return home


def settings(**changes: object) -> Spoil:
    return lambda folder: (folder / CONFIG).write_bytes(corpus.dumped({**corpus.LORA, **changes}))


def said(text: str) -> Spoil:
    return lambda folder: (folder / CONFIG).write_text(text)


def linked(name: str) -> Spoil:
    """The file lies beside the folder, and a link to it inside."""

    def spoil(folder: Path) -> None:
        os.rename(folder / name, folder.parent / name)
        (folder / name).symlink_to(folder.parent / name)

    return spoil


def instead(name: str, make: Callable[[Path], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return spoil


def index(weight_map: object) -> Spoil:
    """A whole model whose index says where its tensors are."""

    def spoil(folder: Path) -> None:
        for name in (CONFIG, WEIGHTS):
            (folder / name).unlink()
        (folder / "config.json").write_bytes(corpus.model_config())
        (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))

    return spoil


def one_complex(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(corpus.tensors(a=np.ones(2, np.complex64)))


def never_written(folder: Path) -> None:
    head = json.dumps({"a": {"dtype": "U8", "shape": [1 << 40], "data_offsets": [0, 1 << 40]}}).encode()
    with (folder / WEIGHTS).open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + (1 << 40))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (linked(CONFIG), f"{CONFIG} is a link to .*, outside of its folder; .* put a copy there"),
        (linked(WEIGHTS), f"{WEIGHTS} is a link to .*, outside of its folder"),
        (instead(CONFIG, os.mkfifo), rf"{CONFIG} is a FIFO \(named pipe\); expected a JSON file of settings; save"),
        (instead(WEIGHTS, os.mkfifo), rf"{WEIGHTS} is a FIFO"),
        (instead(WEIGHTS, Path.mkdir), f"{WEIGHTS} is a folder"),
        (instead(WEIGHTS, lambda path: path.symlink_to(path.with_name("gone"))), f"no file .*{WEIGHTS}"),
        (said('{"peft_type": "LORA", "peft_type": "LORA"}'), 'the key "peft_type" comes twice'),
        (said('{"r": ' + "9" * 10_000 + "}"), "has 10,000 digits"),
        (said("[" * 100_000), "nested 100,000 deep"),
        (said("[]"), "expected an object of settings"),
        (settings(rank_pattern={"(a+)+$": 4}), r"the pattern '\(a\+\)\+\$' in rank_pattern, which is not looked for"),
        (settings(target_modules="(a|b)*c"), "in target_modules, which is not looked for: it repeats what is itself"),
        (one_complex, r"holds complex numbers \(C64\) in 'a', expected floating-point numbers"),
        (never_written, r"1,099,511,62\d,\d+ were never written"),
        (index({"a": "../part.safetensors"}), r"lists '\.\./part\.safetensors', expected names of files beside it"),
        (index({"a": "C:part"}), "lists 'C:part', expected names"),
        (index({str(n): f"{n}.safetensors" for n in range(1001)}), "lists 1,001 files, expected names"),
        (index([]), "lists 0 files"),
    ],
    ids=range(18),
)
def test_a_folder_that_must_not_be_loaded_is_refused(folder: Path, spoil: Spoil, message: str) -> None:
    check_given(folder)
    spoil(folder)
    for reads in (check_given, lambda path: folder_weights(path, path), AdapterFolder):
        with pytest.raises(MismatchError, match=message):
            reads(folder)


def test_an_adapter_that_exceeds_the_memory_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ws.delta.folders.given.available_bytes", lambda: 100)
    with pytest.raises(MismatchError, match=r"holds 128 bytes of tensors, and 100 bytes of memory are free"):
        check_given(folder)


def test_a_model_in_parts_is_let_pass(folder: Path) -> None:
    index({"a": "part.safetensors"})(folder)
    (folder / "part.safetensors").write_bytes(whole_model())
    check_given(folder)
    (folder / "part.safetensors").write_bytes(whole_model()[:-1])
    with pytest.raises(MismatchError, match=r"part\.safetensors is damaged"):
        check_given(folder)


def test_an_update_that_no_number_can_hold_is_refused(folder: Path) -> None:
    check_adds_numbers(folder_delta(folder, small_model()), folder)
    names = (f"{corpus.LAYER}.lora_{side}.weight" for side in "AB")
    shapes = ((2, corpus.WIDTH), (corpus.WIDTH, 2))
    huge = {name: np.full(shape, 1e30, np.float32) for name, shape in zip(names, shapes, strict=True)}
    (folder / WEIGHTS).write_bytes(corpus.tensors(**huge))
    with pytest.raises(MismatchError, match=r"adds values to model.layers.1.self_attn.q_proj that are no finite numb"):
        check_adds_numbers(folder_delta(folder, small_model()), folder)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_rows_that_are_no_numbers_are_refused(broken: float) -> None:
    sound = pd.DataFrame({"log_ratio": [0.5, -0.5], "norm": [3.0, 3.0]})
    tables = {(0, 1.0): sound, (1, -1.0): sound.assign(log_ratio=[0.5, broken])}
    check_finite({(0, 1.0): sound}, "log_ratio", steering="dW")
    with pytest.raises(
        DataError, match=r"dW at -1 \(seed 1\): 1 of 2 rows have a log_ratio that is no finite .*norm 3"
    ):
        check_finite(tables, "log_ratio", steering="dW")


def test_a_file_of_vectors_is_looked_at_first(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(corpus.gguf())
    VectorFile(tmp_path / "a.gguf")
    (tmp_path / "a.gguf").write_bytes(corpus.gguf()[:-1])
    with pytest.raises(DataError, match=r"direction\.2 .* outside of the 63 bytes there are"):
        VectorFile(tmp_path / "a.gguf")


def shifted_name(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    save_file({name.replace("layers.0", "layers.99"): value for name, value in tensors.items()}, folder / WEIGHTS)


def narrower(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    save_file({name: value[:, :-1].contiguous() for name, value in tensors.items()}, folder / WEIGHTS)


UNFIT: dict[str, Spoil] = {
    "tensors of another shape": narrower,
    "layers of another model": shifted_name,
    "no rank": lambda folder: change(folder, r=0),
    "another rank": lambda folder: change(folder, r=3),
    "no number": lambda folder: change(folder, lora_alpha="x"),
}


@pytest.fixture
def pair(lm: LanguageModel, tmp_path: Path) -> tuple[Path, Path]:
    """Two adapters that differ, in folders of one name."""
    return lora_of(lm, tmp_path / "kind" / "last"), lora_of(lm, tmp_path / "rude" / "last", seed=1)


@pytest.mark.parametrize("at_fault", [0, 1], ids=["plus", "minus"])
@pytest.mark.parametrize("spoil", UNFIT.values(), ids=[name.replace(" ", "-") for name in UNFIT])
def test_of_two_folders_the_one_at_fault_is_named(
    lm: LanguageModel, store: Store, pair: tuple[Path, Path], spoil: Spoil, at_fault: int
) -> None:
    spoil(pair[at_fault])
    with pytest.raises((MismatchError, ShapeError)) as caught, naming(*pair, lm=lambda: lm):
        folder_weights(*pair).ready(lm, store)
    assert str(pair[at_fault]) in str(caught.value)
    assert str(pair[1 - at_fault]) not in str(caught.value)


def test_two_folders_that_can_be_read_and_not_subtracted_are_both_named(
    lm: LanguageModel, store: Store, pair: tuple[Path, Path]
) -> None:
    plus, minus = pair
    (minus / WEIGHTS).write_bytes((plus / WEIGHTS).read_bytes())
    change(minus, base_model_name_or_path="somebody/else")
    with pytest.raises(MismatchError, match=rf"^{plus} minus {minus}: dW is zero"), naming(*pair, lm=lambda: lm):
        folder_weights(plus, minus).ready(lm, store)
    with pytest.raises(MismatchError, match=rf"dW is zero: {plus} and {plus} hold the same files; expected two"):
        folder_weights(plus, plus)


def test_an_error_about_something_else_is_left_as_it_is(lm: LanguageModel, pair: tuple[Path, Path]) -> None:
    for error in (MismatchError("two other things"), DataError("no rows")):
        with pytest.raises(type(error), match=f"^{error}$") as caught, naming(*pair, lm=lambda: lm):
            raise error
        assert caught.value is error
    with naming(None, None, lm=lambda: lm):
        pass


def test_folders_of_one_name_are_told_apart(pair: tuple[Path, Path]) -> None:
    assert folder_weights(*pair).describe() == f"dW {pair[0]} minus {pair[1]}"
    other = pair[1].rename(pair[1].with_name("other"))
    assert folder_weights(pair[0], other).describe() == "dW last minus other"
