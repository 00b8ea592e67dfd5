"""The parity section of the benchmark reports how far the two engines' numbers are apart."""

import pytest

from ws.bench import parity, run
from ws.bench.settings import Settings
from ws.store import Store
from ws.study.subject import Subject

SETTINGS = Settings(model="tiny-random-qwen3", families=("lora", "ia3"))
NATIVE, PEFT = (Subject(SETTINGS.model, engine=engine) for engine in ("native", "peft"))


@pytest.mark.parametrize("family", ["lora", "boft"])
def test_what_claims_read_is_the_same_whoever_trains(store: Store, family: str) -> None:
    found = parity.agreement(family, NATIVE, PEFT, store)
    assert found.loss < 1e-5
    assert found.update < 1e-4
    assert found.log_ratio < 1e-4
    for mine, its in (found.raw, found.corrected):
        assert mine == pytest.approx(its, abs=1e-4)
        assert abs(mine) > 1e-5


def test_another_adapter_would_be_seen(store: Store) -> None:
    class Other(Subject):
        """Takes one family for another."""

        def direction(self, arm: str, *, seed: int):
            return NATIVE.direction(arm, seed=seed + 1)

        def adapter(self, arm: str, *, sign: str, seed: int):
            return NATIVE.adapter(arm, sign=sign, seed=seed + 1)

    found = parity.agreement("lora", NATIVE, Other(SETTINGS.model), store)
    assert min(found.loss, found.update, found.log_ratio) > 1e-3


def test_a_run_compares_the_families_asked_for(store: Store) -> None:
    section = run.measured(["parity"], SETTINGS, store, out=None)["parity"]
    assert [one["family"] for one in section["families"]] == ["lora", "ia3"]
    assert section["settings"]["model"] == SETTINGS.model
