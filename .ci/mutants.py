"""Whether the tests notice when the code is wrong: break it in one place at a time and run the tests of that module.

    python .ci/mutants.py                 a sample of every module below, and what survived
    python .ci/mutants.py stats/sweep     of one module; --all for every mutant instead of a sample
    python .ci/mutants.py --smoke         with the claims on the tiny model as judge, in place of unit tests

A mutant is one change to one expression or statement: another operator or number, a condition turned round, an error
not raised, a call left out. It is killed if a test fails or they take far too long. No file is changed: pytest collects
the tests once, each mutant runs in a fork of that process, and there the function gets the code of the changed source.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import pytest
from forks import first_failure, say
from mutation import ROOT, Mutant, mutants
from smoke import judged_by_smoke

PROFILE = "mutants"
TESTS: dict[str, tuple[str, ...]] = {
    "store/artifacts": ("store", "memory"),
    "store/manifests": ("store",),
    "store/recipes": ("store",),
    "stats/estimate": ("estimate", "verdict"),
    "stats/hypothesis": ("verdict", "estimate"),
    "stats/tables": ("estimate",),
    "stats/verdict": ("verdict",),
    "stats/sweep": ("sweep",),
    "stats/specificity": ("specificity",),
    "delta/update": ("update",),
    "delta/weight_delta": ("delta", "rows"),
    "delta/steering": ("steer", "delta", "anatomy"),
    "adapters/lora": ("adapters", "adapters_peft"),
    "adapters/dora": ("adapters", "adapters_peft"),
    "adapters/delora": ("adapters", "adapters_peft"),
    "adapters/pissa": ("adapters", "adapters_peft"),
    "adapters/oft": ("adapters", "adapters_peft"),
    "adapters/boft": ("adapters", "adapters_peft"),
    "adapters/ia3": ("adapters", "adapters_peft"),
    "steering/interventions": ("interventions",),
    "steering/iso_kl": ("iso_kl",),
    "steering/states": ("states", "rivals"),
    "plan/building": ("building",),
    "plan/crew": ("crew", "building"),
    "plan/on_ray": ("ray_engine",),
    "plan/outlook": ("building",),
    "plan/place": ("building", "ray_engine"),
    "plan/schedule": ("plans", "growth"),
    "plan/simulation": ("growth",),
    "receipts/judging": ("receipts",),
    "receipts/receipt": ("receipts",),
    "receipts/writing": ("receipts",),
    "remote/documents": ("remote", "remote_care"),
    "remote/leases": ("remote_leases",),
    "remote/objects": ("remote", "remote_care", "remote_places"),
    "remote/supply": ("remote", "remote_care"),
    "remote/uploads": ("remote", "remote_care"),
    "remote/urls": ("remote_places",),
}
"""The modules of ws/ whose errors would be silent, and the files of ws/tests that prove them."""
SEED = 0
AT_LEAST, LINES_PER_MUTANT = 6, 25
"""How many mutants are drawn of a module: so many, and one more for each of so many lines."""


def drawn(module: str) -> list[Mutant]:
    """A sample of a module's mutants, the same each time."""
    every = mutants(module)
    wanted = AT_LEAST + len((ROOT / "ws" / f"{module}.py").read_text().splitlines()) // LINES_PER_MUTANT
    return sorted(random.Random(f"{SEED} {module}").sample(every, min(wanted, len(every))), key=every.index)


class Breaker:
    """A plugin that runs the collected tests once for each mutant, each time in a fork."""

    def __init__(self, chosen: dict[str, list[Mutant]]) -> None:
        self.chosen = chosen
        self.survivors: list[Mutant] = []
        self.total = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        # The same examples for every mutant and none that another's failure left behind; the first failure will do.
        phases = Phase.explicit, Phase.generate
        settings.register_profile(PROFILE, derandomize=True, database=None, phases=phases)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for module, found in self.chosen.items():
            names = [f"test_{name}.py" for name in TESTS[module]]
            items = [item for item in session.items if item.path.name in names]
            began = time.monotonic()
            failed = first_failure(items, limit=600)
            if failed is not None:
                raise pytest.UsageError(f"{module}: its tests fail before anything is broken: {failed}")
            limit = 10 + 5 * (time.monotonic() - began)
            lived = 0
            for mutant in found:
                failed = first_failure(items, mutant.apply, limit=limit)
                lived += failed is None
                say(f"{'SURVIVED' if failed is None else 'killed'}\t{mutant.line}\t{mutant.name}\t{failed or ''}")
                if failed is None:
                    self.survivors.append(mutant)
            say(f"{module}: {len(found) - lived} of {len(found)} killed, {limit / 5 - 2:.1f} s for its tests")
            self.total += len(found)
        say(f"{self.total - len(self.survivors)} of {self.total} killed")
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description="Break the code in one place at a time and run its tests.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="below ws/, as stats/sweep; default: all listed")
    parser.add_argument("--all", action="store_true", help="every mutant instead of a sample")
    parser.add_argument("--smoke", action="store_true", help="formulas of claims, judged by claims on the tiny model")
    parser.add_argument("--sample", type=int, default=120, metavar="N", help="how many mutants --smoke draws (120)")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where --smoke keeps what it found, and goes on from"
    )
    asked = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "WS_QUIET": "1"}
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    if asked.smoke:
        raise SystemExit(judged_by_smoke(asked.modules, None if asked.all else asked.sample, asked.keep))
    chosen = {module: mutants(module) if asked.all else drawn(module) for module in asked.modules or TESTS}
    files = dict.fromkeys(f"ws/tests/test_{name}.py" for module in chosen for name in TESTS[module])
    with tempfile.TemporaryDirectory() as folder:
        # Given a folder pytest empties it first, so no mutant meets what another one's tests stored.
        options = ["-q", "-p", "no:cacheprovider", f"--hypothesis-profile={PROFILE}", f"--basetemp={folder}/tests"]
        raise SystemExit(pytest.main([*options, *files], plugins=[Breaker(chosen)]))


if __name__ == "__main__":
    main()
