"""Evidence comes out of its folder as it went in, and is never trusted further than its hashes."""

import hashlib
import json
import random
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws.errors import StoreError
from ws.evidence import pack as packing
from ws.evidence.files import MOST_BYTES_OF_ONE
from ws.evidence.folder import FORMAT, INDEX, Evidence, EvidenceWarning, PartSaid, write_index
from ws.evidence.pack import group_of, pack, still_current
from ws.evidence.records import read_records, write_records
from ws.evidence.supply import EvidenceSupply
from ws.evidence.tables import Tables, read_table, write_tables
from ws.store import MANIFEST, Recipe, Store, StoreWarning
from ws.store.manifests import damage, read_manifest
from ws.tests import shelf
from ws.tests.shelf import OTHER, SMALL, WHOLE
from ws.tests.torture.power import Disk, watched


@dataclass(frozen=True)
class Draw(Recipe):
    """Random numbers."""

    seed: int

    def build(self, out: Path, store: Store) -> None:
        drawn = np.random.default_rng(self.seed).normal(size=40).astype(np.float32)
        pd.DataFrame({"value": drawn, "label": ["a", "b"] * 20, "seed": self.seed}).to_parquet(out / "rows.parquet")


@dataclass(frozen=True)
class Mean(Recipe):
    """The mean of two draws, and what is too large to pack if it is `large`."""

    first: Draw
    second: Draw
    large: bool = False

    def build(self, out: Path, store: Store) -> None:
        tables = [pd.read_parquet(store.get(one) / "rows.parquet") for one in (self.first, self.second)]
        (out / "mean.json").write_text(json.dumps(float(pd.concat(tables)["value"].mean())))
        if self.large:
            (out / "weights.bin").write_bytes(bytes(MOST_BYTES_OF_ONE + 1))


RECIPES = (SMALL, WHOLE, Draw(0), Draw(1), Mean(Draw(0), Draw(1)))
"""Of SMALL's kind is OTHER too, an input of WHOLE that nobody asked for."""
FIRST = "seed-0/Draw.rows.parquet"


@dataclass
class Bench:
    """A store that claims were judged with, and the evidence that was packed from it."""

    store: Store
    folder: Path
    elsewhere: Path
    """The root of a store on another machine."""

    def pack(self, *recipes: Recipe) -> packing.Packed:
        return pack(self.store, {self.store.key(one): one for one in recipes}, self.folder, model="tiny")

    def supplied(self, *, fresh: bool = False) -> Store:
        return Store(self.elsewhere, fresh=fresh, supplies=[EvidenceSupply(Evidence(self.folder))])

    def contents(self) -> Mapping[str, str]:
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {
            path.relative_to(self.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
        }


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("WS_QUIET", "1")
    made = Bench(Store(tmp_path / "store"), tmp_path / "evidence" / "tiny", tmp_path / "elsewhere")
    made.pack(*RECIPES)
    return made


def files_of(store: Store, recipe: Recipe) -> dict[str, bytes]:
    """An artifact's files without its manifest; tables by what they hold, for their bytes depend on pandas."""
    home = store.get(recipe)
    return {
        path.name: pd.read_parquet(path).to_json().encode() if path.suffix == ".parquet" else path.read_bytes()
        for path in home.iterdir()
        if path.name != MANIFEST
    }


def test_what_is_taken_is_not_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WS_SYNC", "1")
    supplied, waited = bench.supplied(), list[int]()
    supplied.get(Draw(0))  # which makes the folders that all of its kind are in
    monkeypatch.setattr("os.fsync", waited.append)
    supplied.get(Draw(1))
    assert supplied.built == waited == []


def test_what_the_power_takes_away_is_taken_again(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WS_SYNC", "1")
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk")
    bench.elsewhere = disk.folder / "store"
    with watched(disk, lambda: None):
        supplied = bench.supplied()
        for recipe in RECIPES:
            supplied.get(recipe)
    lost = 0
    for number in range(10):
        disk.crash(tmp_path / f"after {number}", random.Random(number))
        bench.elsewhere = tmp_path / f"after {number}" / "store"
        left = bench.supplied()
        lost += any(damage(left.home(one, left.key(one)), left.key(one)) is not None for one in RECIPES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StoreWarning)
            assert [files_of(left, one) for one in RECIPES] == [files_of(bench.store, one) for one in RECIPES]
        assert left.built == []
    disk.release()
    assert lost > 5


def test_what_was_packed_is_not_built_again(bench: Bench) -> None:
    supplied = bench.supplied()
    assert all(map(supplied.has, RECIPES))
    assert not supplied.has(OTHER)
    assert not bench.elsewhere.exists()
    for recipe in RECIPES:
        assert files_of(supplied, recipe) == files_of(bench.store, recipe)
    assert supplied.built == []
    supplied.get(OTHER)
    assert [one.recipe for one in supplied.built] == [OTHER]


def test_a_manifest_says_who_made_it_and_where_it_was_taken_from(bench: Bench) -> None:
    supplied = bench.supplied()
    before, after = (read_manifest(store.get(WHOLE)) for store in (bench.store, supplied))
    assert before is not None
    assert after is not None
    assert after.said["taken"]["from"] == str(bench.folder)
    assert "taken" not in before.said
    same = ("class", "key", "recipe", "inputs", "source", "versions", "origin", "created", "seconds", "notes")
    assert {name: after.said[name] for name in same} == {name: before.said[name] for name in same}
    # What is in its place is served without its evidence from then on.
    shutil.rmtree(bench.folder)
    assert Store(bench.elsewhere).has(WHOLE)


cells = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.5])
frames = st.builds(
    lambda numbers, words, index: pd.DataFrame(
        {
            "exact": np.array([number for number, _ in numbers], dtype=np.float64),
            "measured": np.array([number for number, _ in numbers], dtype=np.float32),
            "count": np.array([count for _, count in numbers], dtype=np.int64),
            "word": (words * len(numbers))[: len(numbers)],
            "yes": np.array([count > 0 for _, count in numbers], dtype=bool),
        },
        index=[7 * place for place in range(len(numbers))] if index else None,
    ),
    st.lists(st.tuples(cells, st.integers(-(2**63), 2**63 - 1)), max_size=5),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), min_size=1, max_size=3),
    st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(tables=st.lists(frames, min_size=1, max_size=4))
def test_a_table_comes_out_with_its_bits_types_and_index(
    tmp_path_factory: pytest.TempPathFactory, tables: list[pd.DataFrame]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    forms: dict[object, dict[str, pa.Table]] = {}
    for place, table in enumerate(tables):
        table.to_parquet(folder / "in.parquet")
        columns, read = read_table(folder / "in.parquet")
        forms.setdefault(columns, {})[f"{place}"] = read
    for columns, some in forms.items():
        write_tables(some, columns, folder / "part.parquet")  # type: ignore[arg-type]
        part = Tables(pa.memory_map(str(folder / "part.parquet")))
        for key in some:
            part.write(key, "in.parquet", folder / "out.parquet")
            expected = tables[int(key)]
            found = pd.read_parquet(folder / "out.parquet")
            pd.testing.assert_frame_equal(found, expected, check_exact=True, check_index_type=bool(len(expected)))
            # Of NaN there are many; which one is no news.
            bits, before = (table["exact"].dropna().to_numpy().tobytes() for table in (found, expected))
            assert bits == before


def test_the_same_artifacts_give_the_same_bytes(bench: Bench) -> None:
    before = bench.contents()
    bench.pack(*reversed(RECIPES))
    assert bench.contents() == before


def test_what_was_taken_from_evidence_is_packed_as_it_was(bench: Bench) -> None:
    before, supplied = bench.contents(), bench.supplied()
    pack(supplied, {supplied.key(one): one for one in RECIPES}, bench.folder, model="tiny")
    assert supplied.built == []
    assert bench.contents() == before


def test_another_seed_adds_files_and_changes_none(bench: Bench) -> None:
    before = bench.contents()
    bench.pack(*RECIPES, Draw(2))
    after = bench.contents()
    assert {name for name in after if name.startswith("seed-2/")} == after.keys() - before.keys()
    assert {name for name in before if before[name] != after[name]} == {INDEX}


@pytest.mark.parametrize(
    ("recipe", "group"),
    [
        (SMALL, "unseeded"),
        (Draw(3), "seed-3"),
        (Mean(Draw(3), Draw(3)), "seed-3"),
        (Mean(Draw(3), Draw(1)), "several-seeds"),
    ],
)
def test_a_group_has_one_seed(recipe: Recipe, group: str) -> None:
    assert group_of(recipe) == group


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def linked(path: Path) -> None:
    path.rename(path.parent.parent.parent / "moved")
    path.symlink_to(path.parent.parent.parent / "moved")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (Path.unlink, "is missing"),
        (flipped, "does not have the sha256 that index.json says"),
        (shortened, "does not have the sha256 that index.json says"),
        (linked, "is missing"),
    ],
)
def test_a_damaged_part_is_named_and_what_it_held_is_built(
    bench: Bench, harm: Callable[[Path], None], said: str
) -> None:
    harm(bench.folder / FIRST)
    supplied = bench.supplied()
    with pytest.warns(
        EvidenceWarning, match=rf"{bench.folder} is damaged: {FIRST} {said}; what it held of 1 artifacts"
    ):
        assert not supplied.has(Draw(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert supplied.has(Draw(1))
        for recipe in RECIPES:
            assert files_of(supplied, recipe) == files_of(bench.store, recipe)
    assert [one.recipe for one in supplied.built] == [Draw(0)]


def test_records_that_are_damaged_lose_their_group(bench: Bench) -> None:
    flipped(bench.folder / "seed-0" / "records.parquet")
    supplied = bench.supplied()
    with pytest.warns(EvidenceWarning, match=r"seed-0/records.parquet does not have"):
        assert not supplied.has(Draw(0))
    assert supplied.has(Draw(1))


def test_a_part_that_has_its_hash_but_another_content_is_damaged_too(bench: Bench) -> None:
    parts = dict(Evidence(bench.folder).index)
    content = b"no parquet"
    (bench.folder / FIRST).write_bytes(content)
    parts[FIRST] = PartSaid(hashlib.sha256(content).hexdigest(), len(content), 1)
    write_index(bench.folder / INDEX, "tiny", parts)
    with pytest.warns(EvidenceWarning, match=rf"{FIRST} cannot be read"):
        assert not bench.supplied().has(Draw(0))


NOT_AN_INDEX = {
    "no-json": "{",
    "a-list": "[]",
    "no-parts": json.dumps({"format": FORMAT}),
    "other-format": json.dumps({"format": FORMAT + 1, "parts": {}}),
    "other-fields": json.dumps({"format": FORMAT, "parts": {FIRST: {"sha256": ""}}}),
    "no-numbers": json.dumps({"format": FORMAT, "parts": {FIRST: {"sha256": "", "bytes": "1", "artifacts": 1}}}),
}


@pytest.mark.parametrize("text", NOT_AN_INDEX.values(), ids=NOT_AN_INDEX)
def test_of_what_is_no_index_nothing_is_taken(bench: Bench, text: str) -> None:
    (bench.folder / INDEX).write_text(text)
    with pytest.warns(EvidenceWarning, match=r"index.json .*; nothing is taken from it"):
        assert not bench.supplied().has(SMALL)


def test_without_an_index_nothing_is_taken(bench: Bench) -> None:
    (bench.folder / INDEX).unlink()
    with pytest.warns(EvidenceWarning, match=r"index.json is missing; nothing is taken from it"):
        assert not bench.supplied().has(SMALL)


@pytest.mark.parametrize(
    "name",
    [
        "../x.parquet",
        "/etc/x.parquet",
        "a/../../x.parquet",
        "..\\x.parquet",
        "a/b/x.parquet",
        "x.parquet",
        "a/.x.parquet",
    ],
)
def test_an_index_that_leads_elsewhere_is_refused(bench: Bench, name: str) -> None:
    parts = dict(Evidence(bench.folder).index) | {name: PartSaid("0" * 64, 1, 1)}
    write_index(bench.folder / INDEX, "tiny", parts)
    with pytest.warns(EvidenceWarning, match=r"which is no part of it; nothing is taken from it"):
        assert not bench.supplied().has(SMALL)


def test_records_of_before_give_the_size_of_an_audit_s_sample(bench: Bench) -> None:
    with (bench.folder / "unseeded" / "records.parquet").open("rb") as file:
        records = read_records(pa.PythonFile(file), recipes=True)
    entry = {"from": "a" * 32, "sample": ["a" * 32, "b" * 32]}
    place = bench.folder / "before.parquet"
    write_records([replace(one, made={**one.made, "carried": [entry]}) for one in records], place)
    with place.open("rb") as file:
        [[read], *_] = [one.made["carried"] for one in read_records(pa.PythonFile(file), recipes=False)]
    assert read == {"from": "a" * 32, "sample": 2, "rebuilt": True}


@pytest.mark.parametrize("name", ["../../escaped.txt", "/tmp/escaped.txt"])
def test_a_file_that_would_leave_its_artifact_is_refused(bench: Bench, name: str) -> None:
    place = bench.folder / "unseeded" / "records.parquet"
    with place.open("rb") as file:
        records = read_records(pa.PythonFile(file), recipes=True)
    led = [replace(one, files=dict.fromkeys([name], next(iter(one.files.values()), ""))) for one in records]
    write_records(led, place)
    content = place.read_bytes()
    said = PartSaid(hashlib.sha256(content).hexdigest(), len(content), 1)
    parts = dict(Evidence(bench.folder).index) | {"unseeded/records.parquet": said}
    write_index(bench.folder / INDEX, "tiny", parts)
    with pytest.raises(StoreError, match=r"cannot be trusted: .* leads out of it; remove that folder"):
        bench.supplied().get(SMALL)
    assert not [path for path in bench.elsewhere.rglob("*") if path.name == "escaped.txt"]


def test_evidence_of_other_code_is_not_served(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert still_current(bench.store, Evidence(bench.folder)).keys() == {bench.store.key(one) for one in RECIPES}
    monkeypatch.setattr(shelf, "ROUNDING", 1e-3)
    supplied = bench.supplied()
    assert [supplied.has(one) for one in RECIPES] == [False, False, True, True, True]
    current = still_current(supplied, Evidence(bench.folder))
    assert set(current.values()) == {Draw(0), Draw(1), Mean(Draw(0), Draw(1))}


def test_a_fresh_store_takes_nothing(bench: Bench) -> None:
    fresh = bench.supplied(fresh=True)
    fresh.get(Draw(0))
    assert [one.recipe for one in fresh.built] == [Draw(0)]


def test_a_damaged_artifact_is_taken_again(bench: Bench) -> None:
    supplied = bench.supplied()
    (supplied.get(Draw(0)) / "rows.parquet").write_text("damaged")
    again = bench.supplied()
    with pytest.warns(UserWarning, match="is damaged"):
        again.get(Draw(0))
    assert again.built == []
    assert files_of(again, Draw(0)) == files_of(bench.store, Draw(0))


def test_a_store_notes_what_is_asked_for_and_not_what_that_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WS_QUIET", "1")
    store = Store(tmp_path)
    mean = Mean(Draw(0), Draw(1))
    store.has(SMALL)
    store.get(mean)
    assert store.asked == {store.key(mean): mean}
    store.get(Draw(1))
    assert store.asked.keys() == {store.key(mean), store.key(Draw(1))}


def test_weights_are_left_out_and_said(bench: Bench) -> None:
    large = Mean(Draw(0), Draw(1), large=True)
    packed = bench.pack(Draw(0), large)
    assert packed.artifacts == 1
    assert [said.partition(":")[2] for said in packed.left_out] == [" weights.bin has 1.0 MB"]
    assert not bench.supplied().has(large)
    assert bench.supplied().has(Draw(0))


def test_too_much_evidence_is_refused_and_leaves_what_there_was(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bench.contents()
    monkeypatch.setattr(packing, "MOST_BYTES", 3000)
    with pytest.raises(StoreError, match=r"nothing was packed: the evidence of tiny would take .* largest part is"):
        bench.pack(*RECIPES, Draw(2))
    assert bench.contents() == before
    assert [path.name for path in bench.folder.parent.iterdir()] == ["tiny"]
