"""Artifacts get the keys of new code only if a sample that it builds agrees with what is stored."""

import json
import math
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from ws.engine.loading import SelfCheck
from ws.errors import StoreError
from ws.models.table import weights_of
from ws.models.weights import OWN_FOLDER, ModelWeights
from ws.plan.lost import Lost
from ws.report import store_commands
from ws.store import MANIFEST, Recipe, Store
from ws.store.manifests import read_manifest
from ws.tests import shelf
from ws.tests.manifest_words import say
from ws.tests.shelf import OTHER, SMALL, WHOLE, Config, Numbers, Sum, Title, Titled
from ws.upkeep import carry as carrying
from ws.upkeep.carry import plan
from ws.upkeep.compare import gap, gaps
from ws.upkeep.following import is_as_it_was
from ws.upkeep.rebuilding import Rebuild
from ws.upkeep.sampling import Move, drawn
from ws.upkeep.strata import Stratum, stratum

Change = Callable[..., Store]

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Change:
    """A store that was filled by older code, used by code with other constants."""

    def with_code(**constants: object) -> Store:
        Store(tmp_path).get(WHOLE)
        capsys.readouterr()
        for name, value in constants.items():
            monkeypatch.setattr(shelf, name, value)
        return Store(tmp_path)

    return with_code


Built = Callable[[], list[str]]


@pytest.fixture
def built(capsys: pytest.CaptureFixture[str]) -> Built:
    """The builds since the last call, or since the store was filled."""
    return lambda: capsys.readouterr().out.splitlines()


def carried(store: Store, **options: object) -> str:
    chosen = {"tolerance": 1e-5, "sample": 0, "seed": 0, "dry_run": False} | options
    return "".join(store_commands.carry(store, **chosen))  # type: ignore[arg-type]


def has_all(store: Store) -> bool:
    return all(store.has(recipe) for recipe in (SMALL, OTHER, WHOLE))


def home(store: Store, recipe: Recipe) -> Path:
    return store.home(recipe, store.key(recipe))


def test_code_that_makes_the_same_numbers_takes_over_what_is_stored(changed: Change, built: Built) -> None:
    store = changed(ROUNDING=1e-9)
    before = {path: path.stat().st_ino for path in store.root.rglob("rows.parquet")}
    assert not has_all(store)
    assert "2 of 2 agree within 1e-05; largest" in carried(store)
    assert has_all(store)
    after = {path.stat().st_ino for path in store.root.rglob("rows.parquet")}
    assert after == set(before.values())
    built()
    Store(store.root).get(WHOLE)
    assert built() == []


def test_the_manifest_says_on_what_evidence(changed: Change) -> None:
    old = changed().key(SMALL)
    store = changed(ROUNDING=1e-9)
    made = read_manifest(home(Store(store.root), SMALL))
    assert made is None
    carried(store, tolerance=1e-6, seed=3)
    manifest = read_manifest(home(store, SMALL))
    assert manifest is not None
    [entry] = manifest.carried
    assert (entry["from"], entry["tolerance"], entry["seed"], entry["of"]) == (old, 1e-6, 3, 3)
    assert (entry["sample"], entry["rebuilt"]) == (2, True)
    assert 0 < entry["largest_difference"] < 1e-8
    assert {"commit", "date", "audit", "strata"} <= entry.keys()
    assert manifest.said["recipe"]["fields"]["count"] == 3
    text = " ".join(store_commands.why(store, store.key(SMALL), None).split())
    assert f"from {old[:12]} by audit {entry['audit']}: 2 of 3 built anew" in text
    assert "today's code makes the same key" in text
    whole = read_manifest(home(store, WHOLE))
    assert whole is not None
    assert whole.said["inputs"].keys() == {store.key(SMALL), store.key(OTHER)}


def test_only_the_sample_is_built_and_from_what_is_stored(changed: Change, built: Built) -> None:
    store = changed(ROUNDING=1e-9)
    carried(store)
    assert sorted(built()) == ["numbers 3", "numbers 4"]


def test_what_only_follows_its_inputs_is_carried_unbuilt(changed: Change, built: Built) -> None:
    store = changed(ROUNDING=1e-9)
    text = " ".join(carried(store, dry_run=True).split())
    assert "1 of them only follow their inputs: their own code is as it was, so none is built" in text
    assert {move.recipe: move.follows for move in plan(store).moves} == {SMALL: False, OTHER: False, WHOLE: True}
    carried(store)
    assert "sum" not in built()
    assert (home(store, WHOLE) / "sum.txt").read_text() == "16.000"


def test_an_input_that_is_not_stored_comes_along_with_its_kind(changed: Change, built: Built) -> None:
    old = changed()
    alike, another = Numbers(5), Numbers(6, Config("ia3"))
    wholes = {one: Sum((one,)) for one in (alike, another)}
    for one, whole in wholes.items():
        old.get(whole)
        shutil.rmtree(home(old, one))
    store = changed(ROUNDING=1e-9)
    moves = {move.recipe: move for move in plan(store).moves}
    assert {one: moves[whole].follows for one, whole in wholes.items()} == {alike: True, another: False}
    assert {move.recipe for move in plan(store).sample} == {SMALL, OTHER, wholes[another]}
    built()
    carried(store)
    assert sorted(built()) == ["numbers 3", "numbers 4", "numbers 6", "sum"]
    assert store.has(wholes[alike])
    assert not store.has(alike)


def test_an_input_of_other_code_than_its_kind_does_not_come_along(
    changed: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, absent = Sum((Numbers(5),)), Numbers(5)
    older = changed(ROUNDING=2e-9)
    older.get(whole)
    shutil.rmtree(home(older, absent))
    monkeypatch.setattr(shelf, "ROUNDING", 4e-9)
    [found] = [one for one in plan(Store(older.root)).moves if one.recipe == whole]
    assert not found.follows
    monkeypatch.setattr(shelf, "ROUNDING", 2e-9)
    Store(older.root).get(Numbers(7))
    monkeypatch.setattr(shelf, "ROUNDING", 4e-9)
    [found] = [one for one in plan(Store(older.root)).moves if one.recipe == whole]
    assert found.follows


def test_an_input_that_is_not_stored_and_has_the_key_that_it_had_is_no_hindrance(changed: Change) -> None:
    old, titled = changed(), Titled(Title("three"), SMALL)
    old.get(titled)
    shutil.rmtree(home(old, titled.title))
    assert {move.recipe: move.follows for move in plan(changed(ROUNDING=1e-9)).moves}[titled]


def test_of_a_stratum_whose_inputs_are_stored_in_part_a_whole_one_is_drawn(changed: Change) -> None:
    old = changed()
    for count in range(5, 12):
        old.get(Sum((Numbers(count, Config("oft")), SMALL)))
        shutil.rmtree(home(old, Numbers(count, Config("oft"))))
    store = changed(ROUNDING=1e-9, SUFFIX=" ")
    for seed in range(5):
        assert WHOLE in {move.recipe for move in plan(store, seed=seed).sample}


def test_a_sample_of_each_has_every_family_and_every_lens_and_not_all_combinations(changed: Change) -> None:
    old = changed()
    families, parts = ("lora", "oft", "ia3"), ("top", "rest", "all")
    for number, (family, part) in enumerate(product(families, parts), start=10):
        old.get(Numbers(number, Config(family, part)))
    store = changed(ROUNDING=1e-9)
    for seed in range(5):
        found = [move.recipe for move in plan(store, seed=seed, cover="each").sample]
        several = [one.config for one in found if isinstance(one, Numbers)]
        assert {one.family for one in several} == set(families)
        assert {one.part for one in several} == set(parts)
        assert len(several) < len(families) * len(parts) == len(drawn_of(store, seed=seed))
    text = " ".join(carried(store, cover="each", dry_run=True).split())
    assert "artifacts, one of each model and family and one of each lens, in 9 strata, anew" in text
    carried(store, cover="each")
    manifest = read_manifest(home(store, SMALL))
    assert manifest is not None
    assert manifest.carried[-1]["cover"] == "each"


def drawn_of(store: Store, *, seed: int) -> list[Numbers]:
    return [move.recipe for move in plan(store, seed=seed).sample if isinstance(move.recipe, Numbers)]


def test_several_processes_build_a_sample_as_one_does(changed: Change, built: Built) -> None:
    """Other processes begin with the constants of the file, so what was built is made another than these make."""
    store = changed(ROUNDING=1e-9)
    older = store.root
    for recipe in (SMALL, OTHER, WHOLE):
        Store(older).get(recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "ROUNDING", 0.0)
        for recipe in (SMALL, OTHER, WHOLE):
            shutil.rmtree(home(Store(older), recipe))
        built()
        store = Store(older)
        assert "2 of 2 agree within 1e-05; largest 1e-09" in carried(store, workers=2)
        assert built() == []
        assert has_all(store)


def test_a_stratum_that_an_audit_has_proven_is_not_built_again(changed: Change, built: Built) -> None:
    later = Numbers(5), Numbers(6, Config("ia3"))
    old = changed()
    store = changed(ROUNDING=1e-9)
    before = plan(store).id
    carried(store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "ROUNDING", 0.0)
        for recipe in later:
            Store(old.root).get(recipe)
    built()
    text = " ".join(carried(store, dry_run=True).split())
    assert "of 2 strata this code has built one anew in an earlier audit, so none of these is built" in text
    assert "builds 1 of 3 strata anew" in text
    carried(store)
    assert built() == ["numbers 6"]
    assert all(map(store.has, later))
    manifest = read_manifest(home(store, later[0]))
    assert manifest is not None
    assert manifest.carried[-1]["earlier"] == [before]
    text = " ".join(store_commands.why(store, store.key(later[0]), None).split())
    assert f"1 of 5 built anew by commit {manifest.carried[-1]['commit'][:12]}" in text
    assert f", and of other strata by {before}, largest difference" in text


def test_lists_of_a_whole_sample_are_read_as_its_size(changed: Change) -> None:
    """Carrying wrote one into each manifest once: 90 MB of the evidence of a model, and all of it in memory."""
    changed()
    store = changed(ROUNDING=1e-9)
    carried(store)
    was = {}
    for recipe in (SMALL, WHOLE):
        found = read_manifest(home(store, recipe))
        assert found is not None
        was[recipe] = found
    [rebuilt], [other] = was[SMALL].carried, was[WHOLE].carried
    keys = [rebuilt["from"], "f" * 32]
    for recipe, entry in ((SMALL, rebuilt), (WHOLE, other)):
        before = {name: value for name, value in entry.items() if name != "rebuilt"}
        say(home(store, recipe), carried=[{**before, "sample": keys}])
    now = [found.carried for recipe in was if (found := read_manifest(home(store, recipe)))]
    assert now == [[{**rebuilt, "sample": 2, "rebuilt": True}], [{**other, "sample": 2, "rebuilt": False}]]


def test_what_followed_in_an_audit_proves_nothing(changed: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = changed(ROUNDING=1e-9), Sum((Numbers(5), OTHER))
    carried(store)
    assert stratum(other) == stratum(WHOLE)
    monkeypatch.setattr(shelf, "SUFFIX", " ")
    Store(store.root).get(other)
    monkeypatch.setattr(shelf, "SUFFIX", "")
    assert [move.recipe for move in plan(Store(store.root)).sample] == [other]


def test_a_looser_audit_proves_nothing_for_a_stricter_one(changed: Change, built: Built) -> None:
    store = changed(ROUNDING=1e-4)
    carried(store, tolerance=1e-2)
    assert len(plan(store, tolerance=1e-2).sample) == 0
    assert {move.recipe for move in plan(store, tolerance=1e-6).sample} == {SMALL, OTHER}


@pytest.mark.parametrize(
    ("said", "value"),
    [("source", "0" * 64), ("versions", {"torch": "1.0"}), ("fields", {"parts": []})],
    ids=["code", "libraries", "fields"],
)
def test_what_is_another_in_itself_does_not_follow(changed: Change, said: str, value: object) -> None:
    store = changed(ROUNDING=1e-9)
    [file] = [path for path in store.root.rglob(MANIFEST) if json.loads(path.read_text())["class"].endswith("Sum")]
    manifest = json.loads(file.read_text())
    (manifest["recipe"] if said == "fields" else manifest)[said] = value
    recipe = next(move.recipe for move in plan(store).moves if move.recipe == WHOLE)
    assert is_as_it_was(json.loads(file.read_text()), recipe, store)
    assert not is_as_it_was(manifest, recipe, store)


def test_numbers_that_differ_are_shown_and_nothing_is_carried(changed: Change) -> None:
    store = changed(ROUNDING=0.5)
    texts = store_commands.carry(store, tolerance=1e-5, sample=0, seed=0, dry_run=False)
    next(texts)
    found = next(texts)
    assert "0 of 2 agree within 1e-05" in found
    assert "rows.parquet value: 0.33, 1 -> 1.5" in found
    assert "report.json mean: 0.2" in found
    with pytest.raises(StoreError, match="nothing was carried"):
        next(texts)
    assert not any(store.has(recipe) for recipe in (SMALL, OTHER, WHOLE))


def test_a_stated_tolerance_lets_more_through(changed: Change) -> None:
    store = changed(ROUNDING=1e-3)
    with pytest.raises(StoreError, match="nothing was carried"):
        carried(store)
    carried(store, tolerance=1e-2)
    assert has_all(store)


def test_text_has_to_be_equal(changed: Change) -> None:
    store = changed(SUFFIX=" ")
    with pytest.raises(StoreError, match="nothing was carried"):
        carried(store, tolerance=1.0)


def test_a_dry_run_builds_nothing_and_says_what_it_costs(changed: Change, built: Built) -> None:
    store = changed(ROUNDING=1e-9)
    text = carried(store, dry_run=True)
    assert "3 artifacts have another key today, 3 of them not yet carried" in text
    assert "builds 2 of 2 strata anew in about 0:00" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert built() == []
    assert not (store.root / "carry").exists()


def test_an_audit_that_was_killed_goes_on_where_it_was(
    changed: Change, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = changed(ROUNDING=1e-9)
    rebuild, done = Rebuild.__call__, []

    def killed(self: Rebuild, move: Move) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(move)
        rebuild(self, move)

    with monkeypatch.context() as patch:
        patch.setattr(Rebuild, "__call__", killed)
        with pytest.raises(KeyboardInterrupt):
            carried(store)
    assert not any(map(store.has, (SMALL, OTHER, WHOLE)))
    built()
    carried(store)
    assert len(built()) == 1
    assert has_all(store)
    assert list((store.root / "carry").iterdir()) == []


def test_what_other_code_built_for_an_audit_is_not_compared(changed: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    store = changed(ROUNDING=0.5)
    with pytest.raises(StoreError, match="nothing was carried"):
        carried(store)
    monkeypatch.setattr(shelf, "ROUNDING", 1e-9)
    assert "2 of 2 agree within 1e-05" in carried(Store(store.root))


def test_carrying_that_was_killed_goes_on_under_the_same_audit(
    changed: Change, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real, done = changed(ROUNDING=1e-9), os.link, []

    def link(source: Path, target: Path) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(target)
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", link)
        with pytest.raises(KeyboardInterrupt):
            carried(store)
    before = sum(map(store.has, (SMALL, OTHER, WHOLE)))
    assert 0 < before < 3
    built()
    assert f"carried {3 - before} artifacts" in carried(store)
    assert built() == []
    assert has_all(store)


def test_a_second_process_waits_and_then_finds_all_done(changed: Change) -> None:
    store = changed(ROUNDING=1e-9)
    texts: list[str] = []
    with carrying.alone(store):
        other = threading.Thread(target=lambda: texts.append(carried(Store(store.root))))
        other.start()
        moved = plan(store)
        carrying.carry(store, moved, carrying.audit(store, moved))
        assert texts == []
    other.join()
    assert "3 artifacts have another key today, 0 of them not yet carried" in texts[0]
    assert "agree" not in texts[0]


def test_what_another_process_carried_meanwhile_stays_as_it_is(changed: Change) -> None:
    store = changed(ROUNDING=1e-9)
    moved = plan(store)
    found = carrying.audit(store, moved)
    assert carrying.carry(store, moved, found) == 3
    before = {path: path.stat().st_ino for path in store.root.rglob(MANIFEST)}
    assert carrying.carry(store, moved, found) == 0
    assert {path: path.stat().st_ino for path in store.root.rglob(MANIFEST)} == before


def test_what_was_built_by_new_code_already_is_not_carried(changed: Change) -> None:
    store = changed(ROUNDING=1e-9)
    store.get(SMALL)
    assert {move.recipe for move in plan(store).moves} == {OTHER, WHOLE}


def test_a_damaged_artifact_stays_where_it_is(changed: Change) -> None:
    damaged = home(changed(), OTHER)
    store = changed(ROUNDING=1e-9)
    (damaged / "report.json").write_text("{}")
    assert "1 are damaged and stay where they are" in carried(store)
    small, other = read_manifest(home(store, SMALL)), read_manifest(home(store, OTHER))
    assert small is not None
    assert small.carried
    assert other is not None  # as an input of the sum, which is sampled since this input of it is not carried
    assert not other.carried


def test_what_no_model_can_build_stays_where_it_is_and_hinders_nothing(
    changed: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = changed(ROUNDING=1e-9)
    monkeypatch.setattr(store_commands, "Lost", lambda store: lambda recipe: recipe == WHOLE)
    text = carried(store, sample=9)
    assert f"1 are of models whose files are gone, such as {WHOLE.describe()}" in " ".join(text.split())
    assert store.has(SMALL)
    assert not store.has(WHOLE)


def own_model(tmp_path: Path, *, files: Sequence[str]) -> ModelWeights:
    """The weights of a model of one's own whose store has links to these files, of two."""
    folder = tmp_path / OWN_FOLDER / "mine@0123abcd" / "files"
    folder.mkdir(parents=True)
    for name in files:
        (tmp_path / name).touch()
        (folder / name).symlink_to(tmp_path / name)
    pins = tuple((name, "0" * 64) for name in ("config.json", "model.safetensors"))
    return ModelWeights("mine", "files", "0123abcd", "", "", pins)


def test_a_model_is_lost_once_a_file_of_it_is_gone(tmp_path: Path) -> None:
    weights = own_model(tmp_path, files=("config.json", "model.safetensors"))
    check = SelfCheck(weights, "cpu")
    assert not Lost(Store(tmp_path))(check)
    (tmp_path / "model.safetensors").unlink()
    assert Lost(Store(tmp_path))(check)
    assert Lost(Store(tmp_path / "another"))(check)


def test_a_model_that_can_be_fetched_is_never_lost(tmp_path: Path) -> None:
    assert not Lost(Store(tmp_path))(SelfCheck(weights_of("tiny-random-qwen3"), "cpu"))


def test_what_cannot_be_built_today_is_not_carried(changed: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    store = changed(ROUNDING=None)
    with pytest.raises(StoreError, match=r"nothing was carried: .* cannot be built with today's code"):
        carried(store)


def test_of_two_generations_the_later_is_carried(changed: Change, built: Built) -> None:
    carried(changed(ROUNDING=1e-9))
    store = changed(ROUNDING=2e-9)
    built()
    moved = plan(store)
    assert len(moved.moves) == 3
    assert all(move.manifest.carried for move in moved.moves)
    carried(store)
    manifest = read_manifest(home(store, SMALL))
    assert manifest is not None
    assert len(manifest.carried) == 2


def test_strata_are_kind_family_and_names() -> None:
    assert stratum(SMALL) == ("Numbers", ("lora",), ("Config top",))
    assert stratum(WHOLE) == ("Sum", ("lora", "oft"), ())
    assert stratum(Numbers(3, Config("lora", "x" * 41))) == ("Numbers", ("lora",), ("Config",))


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6), sample=st.integers(0, 40), seed=st.integers(0, 9))
def test_a_sample_has_one_of_each_stratum_and_the_size_asked_for(sizes: list[int], sample: int, seed: int) -> None:
    moves = [move(f"{kind}-{place}", str(kind)) for kind, size in enumerate(sizes) for place in range(size)]
    found = drawn(moves, sample=sample, seed=seed)
    assert {one.stratum for one in found} == {one.stratum for one in moves}
    assert len({one.manifest.key for one in found}) == len(found)
    assert len(found) == min(len(moves), max(sample, len(sizes)))
    assert drawn(moves, sample=sample, seed=seed) == found


def move(key: str, stratum: str) -> Move:
    from ws.store.manifests import Manifest

    return Move(Manifest(Path(key), {"key": key}), SMALL, key, Stratum(stratum, (), ()))


plain = st.integers(-9, 9) | st.floats(allow_nan=True) | st.text(max_size=2) | st.booleans() | st.none()


@given(plain, plain)
def test_a_gap_is_symmetric_and_zero_only_between_equals(old: object, new: object) -> None:
    size = gap(old, new)
    assert size == gap(new, old)
    assert size >= 0
    assert gap(old, old) == 0
    if size == 0:
        assert old == new or (old != old and new != new)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e-3))
def test_a_gap_is_absolute_near_zero_and_relative_far_from_it(value: float, off: float) -> None:
    assert gap(value, value + off) == pytest.approx(off / max(1, abs(value), abs(value + off)), abs=1e-9)


@pytest.mark.parametrize(("old", "new"), [(1, 2), ("a", "b"), (True, 1), (None, 0.0), (1.0, math.inf), (1.0, math.nan)])
def test_what_is_no_measured_number_has_to_be_equal(old: object, new: object) -> None:
    assert gap(old, new) == math.inf


def sides(tmp_path: Path) -> tuple[Path, Path]:
    folders = tmp_path / "old", tmp_path / "new"
    for folder in folders:
        folder.mkdir()
    return folders


def test_tables_are_compared_column_by_column(tmp_path: Path) -> None:
    old, new = sides(tmp_path)
    table = pd.DataFrame(
        {"x": [1.0, 200.0], "n": [1, 2], "w": ["a", "b"], "v": [[1.0, 2.0], [3.0]], "z": [math.nan, 0]}
    )
    table.to_parquet(old / "t.parquet")
    other = table.assign(x=[1.0, 201.0], n=[1, 3], v=[[1.0, 2.5], [3.0]], new=0)
    other.drop(columns="z").to_parquet(new / "t.parquet")
    found = {one.where: one.size for one in gaps(old, new, {"t.parquet": {}})}
    assert found == {"x": 1 / 201, "n": math.inf, "v": 0.5 / 2.5, "z": math.inf, "new": math.inf}


def test_tensors_are_compared_by_their_root_mean_square(tmp_path: Path) -> None:
    old, new = sides(tmp_path)
    a = torch.tensor([[3.0, -3.0], [3.0, 3.0]])
    save_file({name: a.clone() for name in ("a", "same", "shape", "gone")}, old / "t.safetensors")
    save_file({"a": a + torch.tensor([[0, 0.3], [0, 0]]), "same": a, "shape": a[0].clone()}, new / "t.safetensors")
    found = {one.where: one.size for one in gaps(old, new, {"t.safetensors": {}})}
    assert found == {"a": pytest.approx(0.1, rel=1e-6), "shape": math.inf, "gone": math.inf}


def test_files_that_are_only_on_one_side_differ(tmp_path: Path) -> None:
    old, new = sides(tmp_path)
    (new / "more.txt").write_text("a")
    [missing, more] = gaps(old, new, {"gone.json": {}})
    assert (missing.file, missing.size, missing.new) == ("gone.json", math.inf, "missing")
    assert (more.file, more.size, more.old) == ("more.txt", math.inf, "missing")


def test_json_is_compared_place_by_place(tmp_path: Path) -> None:
    old, new = sides(tmp_path)
    (old / "r.json").write_text(json.dumps({"a": [1.0, {"b": 2.0}], "c": "x", "n": 1}))
    (new / "r.json").write_text(json.dumps({"a": [1.0, {"b": 2.5}], "c": "x", "n": 2}))
    assert {one.where: one.size for one in gaps(old, new, {"r.json": {}})} == {"a[1].b": 0.2, "n": math.inf}


def test_no_gap_is_seen_where_arrays_hold_the_same(tmp_path: Path) -> None:
    old, new = sides(tmp_path)
    for folder, index in ((old, [0, 1]), (new, [5, 6])):
        pd.DataFrame({"x": np.array([1.0, 2.0])}, index=index).to_parquet(folder / "t.parquet")
    assert gaps(old, new, {"t.parquet": {}}) == []
    assert (old / MANIFEST).exists() is False
