"""What a file of a stranger may be: a plain one, within bounds, and what its header says."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.errors import DataError, ModelError
from ws.files import gguf_header, opening, safetensors_header, tables
from ws.files.folders import check_files
from ws.files.names import check_in_folder, is_name
from ws.files.notation import MOST_DEPTH, MOST_DIGITS, Unreadable, nesting, parsed, read_json
from ws.files.opening import content
from ws.files.patterns import why_not
from ws.files.showing import brief
from ws.tests import hostile_corpus as corpus

WHAT = "a file of words"


def read(path: Path, most: int = 10) -> bytes:
    return content(path, most=most, what=WHAT, refuse=DataError)


def linked(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, r"one is a FIFO \(named pipe\); expected a file of words; save what it gives as a plain file"),
        (linked, "one is a device; expected a file of words; save what it gives"),
        (Path.mkdir, "one is a folder; expected a file of words; name a file in it"),
        (lambda path: path.write_bytes(b"x" * 11), "one has 11 bytes; expected a file of words, of 10 bytes at most"),
        (lambda path: path.with_name("two").touch(), "no file .*one; expected a file of words; check its name"),
        (lambda path: path.with_name("one.").touch(), r"no file .*one; expected a file of words; did you mean 'one\.'"),
    ],
    ids=["FIFO", "device", "folder", "large", "missing", "mistyped"],
)
def test_only_a_plain_file_of_a_size_is_read(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    make(tmp_path / "one")
    with pytest.raises(DataError, match=message):
        read(tmp_path / "one")


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    for name in ("a\0b", "x" * 300):
        with pytest.raises(DataError, match=r"cannot read .*; expected a file of words; name one"):
            read(tmp_path / name)


@given(said=st.binary(max_size=10))
def test_a_plain_file_is_read_as_it_is(tmp_path_factory: pytest.TempPathFactory, said: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "plain"
    path.write_bytes(said)
    assert read(path) == said


def test_a_file_that_was_hardly_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "HOLES", 1 << 20)
    for name, written in (("empty", 0), ("full", 3 << 20)):
        with (tmp_path / name).open("wb") as file:
            file.write(b"x" * written)
            file.truncate(4 << 20)
        with (tmp_path / name).open("rb") as file:
            if name == "full":
                opening.check_written(file, tmp_path / name, what=WHAT, refuse=DataError)
                assert file.read() == b"x" * (3 << 20) + bytes(1 << 20)
                continue
            with pytest.raises(DataError, match=r"empty has 4,194,304 bytes, of which 4,194,304 were never written"):
                opening.check_written(file, tmp_path / name, what=WHAT, refuse=DataError)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Half a character cannot be written in UTF-8.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=VALUES, escaped=st.booleans())
def test_what_json_says_is_read_as_python_reads_it(value: object, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped).encode()
    assert parsed(text) == json.loads(text)
    assert parsed(b"\xef\xbb\xbf" + text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": NaN}', "NaN is no number of JSON"),
        (b"[-Infinity]", "-Infinity is no number of JSON"),
        (b"[1e999]", "1e999 is too large for a number"),
        (b"9" * (MOST_DIGITS + 1), r"the number 9+\.\.\. has 41 digits, 40 at most are read"),
        (b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1), "brackets are nested 65 deep, 64 at most are read"),
        (b'{"a":' * 100_000, "brackets are nested 100,000 deep"),
        (b'{"a": 1, "b": 2, "a": 3}', 'the key "a" comes twice in one object'),
        (b'["\\ud83d"]', r"a text holds \\ud83d, half a character"),
        (b'{"\\udc00": 1}', r"a text holds \\udc00, half a character"),
        (b'["a",\n"\xff"]', "byte 7 is no UTF-8"),
        (b"[" + b"0," * 2_000_001 + b"0]", "it has about 2,000,002 values, 2,000,000 at most are read"),
        (b"", "Expecting value"),
    ],
    ids=str,
)
def test_what_python_would_take_or_stumble_over_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        parsed(text)


def test_what_may_pass_does() -> None:
    assert parsed(b'{"a": [Infinity]}', finite=False) == {"a": [float("inf")]}
    assert parsed(b'"\\ud83d"', halves=True) == "\ud83d"
    assert parsed(b'{"a": 1, "a": 2}', objects=tuple) == (("a", 1), ("a", 2))
    deep = b"[" * MOST_DEPTH + b"]" * MOST_DEPTH
    assert nesting(deep) == MOST_DEPTH
    assert parsed(deep) is not None


@given(text=st.text('[]{}"\\ab\n', max_size=200))
def test_nesting_is_counted_outside_of_quotes(text: str) -> None:
    depth = deepest = 0
    quoted = skipped = False
    for letter in text:
        if skipped:
            skipped = False
        elif quoted and letter == "\\":
            skipped = True
        elif letter == '"':
            quoted = not quoted
        elif not quoted:
            depth += (letter in "[{") - (letter in "]}")
            deepest = max(deepest, depth)
    few = text.count("[") + text.count("{") <= MOST_DEPTH
    assert nesting(text.encode()) == (text.count("[") + text.count("{") if few else deepest)


def test_a_json_file_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n"a": 1,\n}')
    with pytest.raises(DataError, match=r"a\.json, line 3 is no JSON that can be read: .*; expected words; write anew"):
        read_json(tmp_path / "a.json", what="words", refuse=DataError, advice="write anew")


def header(said: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one(**changes: object) -> dict[str, object]:
    return {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24], **changes}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"has 0 bytes and says that 0 of them are its header"),
        (header({}, length=1 << 40), r"has 10 bytes and says that 1,099,511,627,776 of them are its header"),
        (header({}, length=3), "of them are its header"),
        (header([1]), "in its header is a list, no object|is a list, no object"),
        (header(b"[" * 100), "brackets are nested 100 deep"),
        (header(b'{"a": 1, "a": 2}'), 'the key "a" comes twice'),
        (header({"a": [1]}), "a has no dtype, shape and data_offsets, or has more"),
        (header(one(more=1), bytes(24)), "a has no dtype, shape and data_offsets, or has more"),
        (header(one(dtype="F31"), bytes(24)), "a is of the unknown format 'F31'"),
        (header(one(shape=[2, -3]), bytes(24)), r"a has a shape that is none, \[2, -3\]"),
        (header(one(shape=[2, True]), bytes(24)), "a has a shape that is none"),
        (header(one(shape=[1 << 62, 3]), bytes(24)), r"a is F32 of shape .* in 24 bytes"),
        (header(one(shape=[1] * 17), bytes(24)), r"a is F32 of shape"),
        (header(one(data_offsets=[0, -24]), bytes(24)), "a is F32"),
        (header(one(), bytes(23)), "the tensors fill 24 bytes, and 23 are there"),
        (header(one(), bytes(25)), "the tensors fill 24 bytes, and 25 are there"),
        (header({**one(), "b": one()["a"]}, bytes(24)), "begins at byte 0, where 24 is free"),
        (header({**one(), "__metadata__": {"a": 1}}, bytes(24)), "__metadata__ holds something other than texts"),
        (header({"x" * 2000: one()["a"]}, bytes(24)), "a name has 2,000 characters"),
    ],
    ids=range(19),
)
def test_a_header_that_does_not_fit_its_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=rf"a\.safetensors.*({message}).*; (copy|expected)"):
        safetensors_header.stored(tmp_path / "a.safetensors", refuse=ModelError)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.uint8, np.bool_])
def test_a_header_says_what_the_library_reads(tmp_path: Path, dtype: type) -> None:
    (tmp_path / "a").write_bytes(
        corpus.tensors(b=np.ones((2, 3), dtype), a=np.ones((), dtype), c=np.ones((0, 4), dtype))
    )
    found = safetensors_header.stored(tmp_path / "a", refuse=ModelError)
    assert {name: each.shape for name, each in found.items()} == {"a": (), "b": (2, 3), "c": (0, 4)}
    assert {each.end - each.start for each in found.values()} == {dtype().itemsize * n for n in (1, 6, 0)}


def gguf(tensors: int, fields: int, *rest: bytes, version: int = 3, magic: bytes = b"GGUF") -> bytes:
    return magic + struct.pack("<IQQ", version, tensors, fields) + b"".join(rest)


def text(said: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(said) if length is None else length) + said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "its mark has 4 bytes at byte 0 of 0"),
        (b"GGML" + bytes(20), "it begins with b'GGML', not b'GGUF'"),
        (gguf(0, 0, version=4), "it is of version 4; 2 and 3 are read"),
        (gguf(1 << 60, 0), "it says that it has 1,152,921,504,606,846,976 tensors and 0 fields"),
        (gguf(0, 1, text(b"a", 1 << 60)), "its texts have 1,152,921,504,606,846,976 bytes up to the key of field 1"),
        (gguf(0, 1, text(b"a", 9)), "the key of field 1 has 9 bytes at byte 32 of 33"),
        (gguf(0, 1, text(b"\xff"), bytes(8)), "byte 32, in the key of field 1, is no UTF-8"),
        (gguf(0, 1, text(b"a"), struct.pack("<I", 77)), "a is of the unknown type 77"),
        (gguf(0, 1, text(b"a"), struct.pack("<IIQ", 9, 4, 1 << 60)), "its arrays have 1,152,.* items up to a"),
        (gguf(0, 1, text(b"a"), struct.pack("<IIQ", 9, 4, 1 << 19)), "a has 2,097,152 bytes at byte 49 of 49"),
        (gguf(0, 1, text(b"a"), struct.pack("<IIQ", 9, 9, 1)), "a is an array of the type 9; numbers and texts"),
        (gguf(0, 2, *[text(b"a") + struct.pack("<II", 4, 1)] * 2), "the field a comes twice"),
        (gguf(1, 1, text(b"x.block_count"), struct.pack("<II", 4, 9)), "it has 9 blocks, and 1 tensors"),
        (gguf(0, 1, text(b"general.alignment"), struct.pack("<II", 4, 0)), "general.alignment is 0"),
        (gguf(1, 0, text(b"a"), struct.pack("<I", 1 << 31)), "the tensor a has 2,147,483,648 axes, 4 at most"),
        (gguf(1, 0, text(b"a"), struct.pack("<IQIQ", 1, 8, 0, 0)), "lies in another or outside of the 0 bytes"),
        (gguf(1, 0, text(b"a"), struct.pack("<IQIQ", 1, 8, 99, 0), bytes(99)), "a is of the unknown format 99"),
        (gguf(1, 0, text(b"a"), struct.pack("<IQIQ", 1, 8, 2, 0), bytes(99)), "is not made of whole blocks of 32"),
        (gguf(2, 0, *[text(name) + struct.pack("<IQIQ", 1, 8, 0, 0) for name in (b"a", b"b")], bytes(99)), "another"),
        (gguf(2, 0, *[text(b"a") + struct.pack("<IQIQ", 1, 8, 0, 0)] * 2, bytes(99)), "the tensor a comes twice"),
    ],
    ids=range(20),
)
def test_a_gguf_file_that_says_what_is_not_so_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.gguf").write_bytes(content)
    with pytest.raises(ModelError, match=rf"a\.gguf is no GGUF file that can be read: .*{message}.*; fetch it anew"):
        gguf_header.placed(tmp_path / "a.gguf", refuse=ModelError)


def test_a_gguf_file_lists_the_tensors_that_the_library_reads(tmp_path: Path) -> None:
    from gguf import GGUFReader

    (tmp_path / "a.gguf").write_bytes(corpus.gguf())
    found = gguf_header.placed(tmp_path / "a.gguf", refuse=ModelError)
    theirs = {tensor.name: tuple(tensor.shape.tolist()) for tensor in GGUFReader(tmp_path / "a.gguf").tensors}
    assert {name: each.shape for name, each in found.items()} == theirs


def test_a_table_that_stands_for_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), pa.array(["x" * 1000]))
    small = corpus.parquet({"a": repeated})
    assert len(small) < 10_000
    assert tables.table_in(small).num_rows == 5000
    monkeypatch.setattr(tables, "MOST_READ", 1 << 20)
    with pytest.raises(Unreadable, match="its values take more than 1,048,576 bytes"):
        tables.table_in(small)
    monkeypatch.setattr(tables, "MOST_ROWS", 4999)
    for check in (tables.table_in, tables.check_size):
        with pytest.raises(Unreadable, match=r"it has 5,000 rows of 1 columns in .* bytes; 4,999, 1,000 and"):
            check(small)


def test_a_dictionary_inside_of_values_is_refused() -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array(["x"]))
    with pytest.raises(Unreadable, match="its column 'a' has a dictionary inside of its values"):
        tables.table_in(corpus.parquet({"a": pa.ListArray.from_arrays([0, 2], words)}))


@pytest.mark.parametrize("said", [b"", b"PAR1", b"PAR1" + b"\xff" * 99 + b"PAR1"])
def test_what_is_no_table_is_refused(said: bytes) -> None:
    for check in (tables.table_in, tables.check_size):
        with pytest.raises(Unreadable):
            check(said)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../a", "/a", "a/b", "a\\b", "C:a", "C:\\a", ".hidden", "a\0b", "a\nb", "x" * 201, 3, None]
)
def test_a_name_that_leads_elsewhere_is_none(name: object) -> None:
    assert not is_name(name)


def test_a_name_of_a_part_of_a_model_is_one() -> None:
    assert is_name("model-00001-of-00002.safetensors")


def test_a_link_may_lead_to_its_own_folder_and_to_the_hub_s_blobs(tmp_path: Path) -> None:
    home = tmp_path / "models--a--b" / "snapshots" / ("0" * 40)
    blobs = tmp_path / "models--a--b" / "blobs"
    for folder in (home, blobs):
        folder.mkdir(parents=True)
    for place in (blobs / "1", home / "2", tmp_path / "3"):
        place.write_text("said")
        link = home / f"to-{place.name}"
        link.symlink_to(place)
        if place.name == "3":
            with pytest.raises(
                DataError, match=r"to-3 is a link to .*/3, outside of its folder; expected words itself"
            ):
                check_in_folder(link, what="words", refuse=DataError)
        else:
            assert check_in_folder(link, what="words", refuse=DataError) == 4


@pytest.mark.parametrize(
    "pattern",
    [
        "q_proj|v_proj",
        r".*\.(q_proj|v_proj)$",
        r"^(?!.*lm_head).*(?:q|k)_proj.*",
        r"model\.layers\.[0-9]+\..*",
        "(a|b)?",
    ],
)
def test_a_pattern_of_names_is_looked_for(pattern: str) -> None:
    assert why_not(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a+)+$", "repeats what is itself repeated"),
        ("(a|aa)*b", "repeats what is itself repeated or has alternatives"),
        ("((ab)*c){2,}", "repeats what is itself repeated"),
        (r"(\w+\.?)*x", "repeats what is itself repeated"),
        ("a*" * 5, "it has 5 repeats, 4 at most are looked for"),
        ("(", "it is none"),
        ("[[]", "Possible nested set"),
        ("a" * 20_001, "it has 20,001 letters"),
    ],
)
def test_a_pattern_that_could_take_without_end_is_not(pattern: str, why: str) -> None:
    assert why in (why_not(pattern) or "")


def test_a_config_of_more_layers_than_there_are_tensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(corpus.lora())
    for name, layers in (("config.json", 3), ("other.json", 3), ("config.json", 2)):
        path = tmp_path / name
        path.write_text(json.dumps({"text_config": {"num_hidden_layers": layers}, "limit": float("inf")}))
        paths = (path, tmp_path / "model.safetensors")
        if (name, layers) == ("config.json", 3):
            with pytest.raises(ModelError, match=r"says num_hidden_layers = 3, and the files of weights .* 2 tensors"):
                check_files(paths, refuse=ModelError)
        else:
            check_files(paths, refuse=ModelError)


def test_what_is_shown_is_never_long() -> None:
    assert brief("word") == "'word'"
    for long in ("x" * 10**6, ["x" * 1000] * 1000, {str(n): n for n in range(1000)}, [[[[[["deep"]]]]]]):
        assert len(brief(long)) < 500
