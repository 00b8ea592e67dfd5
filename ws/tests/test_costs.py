"""How long an artifact will take, by what a store has built: of the same model first, of others by their size."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ws.models.language import Placed
from ws.models.table import MODELS
from ws.plan import costs
from ws.plan.costs import Costs, Expected
from ws.plan.plan import plan_of
from ws.plan.simulation import on_one_machine
from ws.plan.text import in_words
from ws.store import Recipe, Store, artifacts
from ws.store.manifests import made_here, read_manifest, write_manifest
from ws.store.origin import machine
from ws.tests.manifest_words import say
from ws.tests.planned_recipes import Computed, Said

SMALL, LARGE, TINY = "smollm2-135m", "qwen2.5-coder-0.5b", "tiny-random-qwen3"
NUMBERS = {SMALL: 100, LARGE: 400, TINY: 1}
"""How many numbers the weights of each model have in these tests."""


@pytest.fixture
def own(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def computed(model: str, text: str, *, device: str = "cpu", times: tuple[int, ...] = ()) -> Computed:
    return Computed(text, times=times, on=Placed(MODELS[model].weights, device))


def there(store: Store, *models: str) -> None:
    """Have the store hold the weights of some models."""
    for model in models:
        weights = MODELS[model].weights
        home = store.home(weights, store.key(weights))
        home.mkdir(parents=True)
        save_file({"weight": np.zeros(NUMBERS[model], np.float32)}, home / "model.safetensors")


def took(store: Store, recipes: Sequence[Recipe], seconds: float, *, cpu_seconds: float | None = None) -> None:
    """Have the store hold artifacts that took so long, each changed a second after the one before."""
    for recipe in recipes:
        key = store.key(recipe)
        home = store.home(recipe, key)
        home.mkdir(parents=True)
        (home / "said.txt").write_text("said")
        said = made_here(seconds, seconds, {})
        del said["cpu_seconds"]
        said |= {} if cpu_seconds is None else {"cpu_seconds": cpu_seconds}
        write_manifest(home, recipe, key, keys=store.key, source="", said=said)
        later = len(list(store.root.glob("*/*/manifest.json")))
        os.utime(home, (later, later))


def words(count: int, prefix: str = "w") -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


def test_the_most_similar_artifacts_tell_the_time(own: Store) -> None:
    assert Costs(own).seconds(Said("long", times=(1,))) is None
    took(own, [Said("long", times=(place,)) for place in range(costs.NEAREST)], 10.0)
    took(own, [Said("short", times=(place, 1)) for place in range(costs.NEAREST)], 4.0)
    assert Costs(own).seconds(Said("long", times=(99,))) == pytest.approx(10.0)
    assert Costs(own).seconds(Said("short", times=(98, 98))) == pytest.approx(4.0)
    assert Costs(own).seconds(Said("short", times=(97, 98, 99))) == pytest.approx(6.0)


def test_the_same_processor_tells_more(own: Store) -> None:
    here = str(machine()["processor"])
    for place, (seconds, processor) in enumerate([(2.0, "another"), (8.0, here)] * costs.NEAREST):
        say(own.get(Said(f"{place}")), seconds=seconds, origin={"machine": {"processor": processor}})
    assert Costs(own).seconds(Said("new")) == pytest.approx(8.0)


def test_what_was_taken_from_elsewhere_tells_no_time(own: Store) -> None:
    say(own.get(Said("a")), taken={"from": "elsewhere"})
    assert Costs(own).seconds(Said("b")) is None


def test_the_same_model_tells_the_time_however_much_was_built_of_others_since(
    own: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "LATEST", 3)
    there(own, SMALL, TINY)
    took(own, [computed(SMALL, word) for word in words(2)], 10.0)
    took(own, [computed(TINY, word) for word in words(8)], 0.1)
    took(own, [computed(SMALL, word, device="cuda") for word in words(8)], 1.0)
    assert Costs(own).expected(computed(SMALL, "new")) == Expected(10.0)


def test_the_latest_artifacts_of_a_model_are_looked_into(own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "LATEST", 3)
    took(own, [computed(SMALL, word) for word in words(5, "old")], 90.0)
    took(own, [computed(SMALL, word) for word in words(3, "new")], 10.0)
    assert Costs(own).expected(computed(SMALL, "next")) == Expected(10.0)


def test_another_model_tells_the_time_by_its_size(own: Store) -> None:
    there(own, SMALL, LARGE, TINY)
    took(own, [computed(SMALL, word) for word in words(3)], 10.0)
    took(own, [computed(TINY, word) for word in words(3)], 0.1)
    wanted = computed(LARGE, "new")
    assert Costs(own).expected(wanted) == Expected(pytest.approx(40.0), SMALL)
    planned = plan_of({own.key(wanted): wanted}, own, cases=1)
    said = " ".join(in_words(planned, on_one_machine(1)).split())
    assert f"1 are expected by those of {SMALL}, times the size of the model" in said


def test_a_model_of_quite_another_size_tells_nothing(own: Store) -> None:
    there(own, LARGE, TINY)
    took(own, [computed(TINY, word) for word in words(3)], 0.1)
    assert Costs(own).expected(computed(LARGE, "new")) is None


def test_a_cpu_tells_nothing_of_a_gpu(own: Store) -> None:
    there(own, SMALL, LARGE)
    took(own, [computed(SMALL, word) for word in words(3)], 10.0)
    assert Costs(own).expected(computed(SMALL, "new", device="cuda")) is None
    assert Costs(own).expected(computed(LARGE, "new", device="cuda")) is None


def test_what_other_processes_took_of_the_cores_does_not_count(own: Store) -> None:
    took(own, [computed(SMALL, word) for word in words(3)], 30.0, cpu_seconds=10.0)
    assert Costs(own).seconds(computed(SMALL, "new")) == pytest.approx(10.0)
    took(own, [computed(SMALL, word, device="cuda") for word in words(3)], 30.0, cpu_seconds=10.0)
    assert Costs(own).seconds(computed(SMALL, "new", device="cuda")) == pytest.approx(30.0)


def test_times_at_work_are_preferred(own: Store) -> None:
    took(own, [computed(SMALL, word) for word in words(costs.NEAREST, "a")], 10.0, cpu_seconds=9.0)
    took(own, [computed(SMALL, word) for word in words(costs.NEAREST, "b")], 30.0)
    assert Costs(own).seconds(computed(SMALL, "new")) == pytest.approx(9.0)


def test_one_that_was_disturbed_does_not_spoil_a_mean(own: Store) -> None:
    took(own, [computed(SMALL, word) for word in words(costs.NEAREST - 1)], 2.0)
    took(own, [computed(SMALL, "slept")], 5000.0)
    mean = (2.0 * (costs.NEAREST - 1) + 2.0 * costs.MOST_TIMES) / costs.NEAREST
    assert Costs(own).seconds(computed(SMALL, "new")) == pytest.approx(mean)


def test_the_time_at_work_is_without_that_of_inputs(own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 4.0, 10.0])
    monkeypatch.setattr(artifacts, "cpu_seconds", lambda: next(clock))
    a = Said("a")
    b = Said("b", after=(a,))
    own.get(b)
    said = [read_manifest(own.home(one, own.key(one))) for one in (a, b)]
    assert [one.said["cpu_seconds"] for one in said if one is not None] == [3.0, 7.0]


def test_a_name_that_is_part_of_another_is_not_taken_for_it(own: Store) -> None:
    took(own, [computed(SMALL, json.dumps(LARGE)[1:-1])], 10.0)
    assert Costs(own).expected(computed(LARGE, "new")) is None


def test_a_recipe_of_another_form_tells_what_it_can(own: Store) -> None:
    old = Said("old")
    took(own, [old], 7.0)
    home = own.home(old, own.key(old))
    found = read_manifest(home)
    assert found is not None
    recipe = found.said["recipe"]
    say(home, recipe={**recipe, "fields": {**recipe["fields"], "settings": {"rate": 1}}})
    assert Costs(own).seconds(Said("new")) == 7.0
