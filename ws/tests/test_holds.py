"""A claim test passes, xfails or fails depending on its verdict, its numbers and its snapshot."""

import json
from dataclasses import replace

import pytest

from ws.report.held import told_apart
from ws.report.verdicts import recorded
from ws.tests.conftest import STEERS, Project

AT_BOTH = STEERS.replace("@", '@pytest.mark.parametrize("footing", ["one", "iso-kl"])\n@').replace(
    "(effect, holds)", "(effect, holds, footing)"
)
GATED = STEERS.replace("effect()", "effect(gates=('pmass of 0.12 is too low',))")


def test_a_claim_that_holds_passes_once_recorded(project: Project) -> None:
    project.record()
    result = project.run()
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK


def test_recording_a_claim_that_holds_passes(project: Project) -> None:
    project.run("--snapshot-update").assert_outcomes(passed=1)


def test_the_snapshot_is_readable_and_whole(project: Project) -> None:
    project.record()
    fields = project.fields()
    assert fields["value"] == 1.0
    assert 0.5 < fields["low"] < 1.0 < fields["high"] < 1.5
    assert (fields["claim"], fields["outcome"], fields["relation"]) == ("C05", "HOLDS", "> 0")
    assert (fields["n_rows"], fields["n_clusters"], fields["n_seeds"]) == (4, 4, 3)
    assert fields["tolerance_from"] == "spread over 3 seeds"
    assert set(fields["versions"]) == {"torch", "transformers", "peft"}
    assert (fields["device"], fields["keys"]) == ("cpu", [])
    assert "snapshot" not in fields
    assert project.snapshot().read_text().startswith('{\n  "claim": "C05",\n')


def test_the_record_names_what_it_was_computed_from(project: Project) -> None:
    project.claims(
        STEERS.replace("effect()", "effect().noting('large', 'steady', sources=['b', 'a']) + effect().noting('large')")
    )
    project.record()
    assert (project.fields()["keys"], project.fields()["beside"]) == (["a", "b"], ["large", "steady"])


def test_the_record_says_at_which_footing(project: Project) -> None:
    project.record()
    assert (project.fields()["footing"], project.records[0].footing) == (None, None)
    project.claims(AT_BOTH)
    project.record()
    assert [record.footing for record in project.records] == ["one", "iso-kl"]
    for footing in ("one", "iso-kl"):
        assert project.fields(f"smollm2-135m/test_it_steers[{footing}].json")["footing"] == footing


def test_a_snapshot_from_before_there_were_footings_still_agrees(project: Project) -> None:
    project.record()
    fields = project.fields()
    del fields["footing"], fields["recorded"]
    project.snapshot().write_text(json.dumps(fields))
    project.run().assert_outcomes(passed=1)
    [record] = recorded(project.snapshot().parent)
    assert record == replace(project.records[0], snapshot="recorded")


@pytest.mark.parametrize(
    ("mean", "outcome"), [("-1", "REFUTED"), ("0.02", "INCONCLUSIVE")], ids=["refuted", "inconclusive"]
)
def test_a_recorded_failure_that_stays_one_is_xfailed_with_its_numbers(
    project: Project, mean: str, outcome: str
) -> None:
    project.record(EFFECT=mean)
    result = project.run("-rx", EFFECT=mean)
    result.assert_outcomes(xfailed=1)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.re_match_lines([rf"XFAIL .*C05 {outcome}, as recorded: {float(mean):.2f}.* \[.*, .*\] > 0"])


def test_runxfail_turns_a_recorded_failure_red(project: Project) -> None:
    project.record(EFFECT="-1")
    project.run("--runxfail", EFFECT="-1").assert_outcomes(failed=1)


def test_a_recorded_gate_is_xfailed_and_named(project: Project) -> None:
    project.claims(GATED)
    project.record()
    result = project.run("-rx")
    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines(["XFAIL *C05 INVALID because of pmass of 0.12 is too low, as recorded: 1.00*"])


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("value", 123456.0),
        ("low", -99.0),
        ("high", 99.0),
        ("leaves", [[1.5, 0.01]]),
        ("leaves", []),
        ("n_rows", 5),
        ("n_clusters", 5),
        ("relation", "> 0.5"),
    ],
)
def test_the_numbers_of_an_invalid_case_are_compared(project: Project, name: str, number: object) -> None:
    project.claims(GATED)
    project.record()
    fields = json.loads(project.snapshot().read_text())
    project.run().assert_outcomes(xfailed=1)
    project.snapshot().write_text(json.dumps(fields | {name: number}))
    project.run().assert_outcomes(failed=1)


def test_a_ratio_with_a_denominator_near_0_is_compared_by_its_tables(project: Project) -> None:
    project.claims(STEERS.replace("effect() > 0", "effect() / effect(0.01) > 0"))
    project.record()
    fields = project.fields()
    assert (fields["outcome"], fields["low"], fields["high"], len(fields["leaves"])) == ("INVALID", None, None, 2)
    # The ratio itself is anything, if its denominator is within the noise of arithmetic.
    assert fields["tolerance"] > 10
    project.run().assert_outcomes(xfailed=1)
    project.run(EFFECT="1.02").assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("name", "number"),
    [("p_holds", 0.3), ("p_refuted", 0.3), ("cases", 2), ("spreads", [])],
)
def test_what_tells_siblings_is_compared(project: Project, name: str, number: object) -> None:
    project.record()
    fields = json.loads(project.snapshot().read_text())
    project.snapshot().write_text(json.dumps(fields | {name: number}))
    project.run().assert_outcomes(failed=1)
    project.snapshot().write_text(json.dumps(fields))
    spread = fields["spreads"][0][1]
    spread["seeds"] = [2 * one for one in spread["seeds"]]
    project.snapshot().write_text(json.dumps(fields))
    project.run().assert_outcomes(failed=1)


def test_numbers_that_are_not_finite_are_recorded_as_null(project: Project) -> None:
    project.record(EFFECT="nan")
    assert (project.fields()["value"], project.fields()["outcome"]) == (None, "INVALID")
    project.run(EFFECT="nan").assert_outcomes(xfailed=1)
    project.run(EFFECT="1").assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("1", "-1", "verdict HOLDS -> REFUTED"),
        ("-1", "1", "verdict REFUTED -> HOLDS"),
        ("1", "0.02", "verdict HOLDS -> INCONCLUSIVE"),
    ],
    ids=["lost", "found", "blurred"],
)
def test_another_verdict_fails_and_says_old_and_new(project: Project, before: str, after: str, words: str) -> None:
    project.record(EFFECT=before)
    result = project.run(EFFECT=after)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*C05 test_it_steers*smollm2-135m*: not what its snapshot says,",
            f"*{words}",
            f"*value {float(before):.2f} -> {float(after):.2f}*, which is beyond its tolerance of 0.1*",
            '*pytest "claims/test_claims.py::test_it_steers*smollm2-135m*" --snapshot-update*',
        ]
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (6.3e-06, 8.4e-06, ("6.3e-06", "8.4e-06")),
        (1.001, 1.002, ("1.001", "1.002")),
        (0.5, 0.7, ("0.50", "0.70")),
        (None, 0.5, ("n/a", "0.50")),
    ],
)
def test_numbers_that_differ_look_different(old: float | None, new: float, said: tuple[str, str]) -> None:
    assert told_apart(old, new) == said


def test_a_verdict_alone_that_changes_fails(project: Project) -> None:
    project.record()
    text = project.snapshot().read_text()
    project.snapshot().write_text(text.replace("HOLDS", "REFUTED"))
    project.run().assert_outcomes(failed=1)


@pytest.mark.parametrize(("after", "outcome"), [("1.0095", "passed"), ("0.9905", "passed"), ("1.011", "failed")])
def test_a_number_may_move_by_the_noise_of_its_tables_and_no_further(
    project: Project, after: str, outcome: str
) -> None:
    project.record()
    [[mean, noise]] = project.fields()["leaves"]
    assert (mean, noise) == (1.0, pytest.approx(0.0101, abs=1e-4))
    assert 0.11 < project.fields()["tolerance"] < 0.13
    project.run(EFFECT=after).assert_outcomes(**{outcome: 1})


@pytest.mark.parametrize("end", ["low", "high"])
@pytest.mark.parametrize(("moved_by", "outcome"), [(1.9, "passed"), (2.5, "failed")])
def test_an_end_of_the_interval_may_move_by_twice_the_tolerance(
    project: Project, end: str, moved_by: float, outcome: str
) -> None:
    project.record()
    fields = project.fields()
    moved = fields[end] + moved_by * fields["tolerance"]
    text = project.snapshot().read_text()
    project.snapshot().write_text(text.replace(f'"{end}": {fields[end]}', f'"{end}": {moved}'))
    project.run().assert_outcomes(**{outcome: 1})


def test_other_rows_fail(project: Project) -> None:
    project.record()
    result = project.run(CLUSTERS="5")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*rows 4 -> 5"])


def test_other_seeds_fail_and_say_what_to_run(project: Project) -> None:
    project.record()
    result = project.run("--seeds", "2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*other seeds than its snapshot's,", "*seeds 3 -> 2", "*run with --seeds 3;*"])
    assert "beyond its tolerance" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*--seeds=2 --snapshot-update*"])


def test_a_missing_snapshot_fails_and_says_how_to_record_it(project: Project) -> None:
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*there is no snapshot yet, this run says HOLDS, 1.00*", '*pytest "claims/*" --snapshot-update*']
    )
    assert project.snapshots() == []


def test_the_advised_command_names_the_model(project: Project) -> None:
    result = project.run("--smoke")
    result.stdout.fnmatch_lines(['*pytest "claims/*tiny-random-qwen3*" --smoke --snapshot-update*'])


def test_an_unreadable_snapshot_fails_and_is_left_alone(project: Project) -> None:
    project.record()
    project.snapshot().write_text("{")
    result = project.run("--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_it_steers.json cannot be read (JSONDecodeError*", "* unreadable"])
    assert project.snapshot().read_text() == "{"


def test_recording_again_within_tolerance_keeps_the_recorded_numbers(project: Project) -> None:
    project.record()
    project.run("--snapshot-update", EFFECT="1.005").assert_outcomes(passed=1)
    assert project.fields()["value"] == 1.0


SOURCED = STEERS.replace("effect()", "effect().noting(sources=['{}'])")


def test_recording_again_replaces_the_keys_of_what_was_read(project: Project) -> None:
    project.claims(SOURCED.format("a"))
    project.record()
    project.claims(SOURCED.format("b"))
    project.run("--snapshot-update", EFFECT="1.005").assert_outcomes(passed=1)
    assert (project.fields()["keys"], project.fields()["value"]) == (["b"], 1.005)


def test_keys_of_an_untrained_model_are_not_renewed(project: Project) -> None:
    project.claims(SOURCED.format("a"))
    project.record("--smoke")
    before = project.fields("tiny-random-qwen3/test_it_steers.json")
    project.claims(SOURCED.format("b"))
    project.run("--smoke", "--snapshot-update").assert_outcomes(passed=1)
    assert project.fields("tiny-random-qwen3/test_it_steers.json") == before


def test_recording_again_outside_of_tolerance_replaces_them(project: Project) -> None:
    project.record()
    project.run("--snapshot-update", EFFECT="-1").assert_outcomes(xfailed=1)
    assert (project.fields()["value"], project.fields()["outcome"]) == (-1.0, "REFUTED")


def test_a_verdict_on_random_weights_is_not_asserted(project: Project) -> None:
    project.record("--smoke", EFFECT="-1")
    result = project.run("--smoke", EFFECT="-1")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*-1.00 *REFUTED *same*", "random weights: *not asserted*"])


def test_a_verdict_on_random_weights_may_change_while_its_numbers_agree(project: Project) -> None:
    project.record("--smoke", EFFECT="0.21")
    name = "tiny-random-qwen3/test_it_steers.json"
    assert project.fields(name)["outcome"] == "INCONCLUSIVE"
    result = project.run("--smoke", EFFECT="0.219")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*0.22 * HOLDS * same"])


def test_numbers_on_random_weights_are_asserted(project: Project) -> None:
    project.record("--smoke")
    project.run("--smoke", EFFECT="1.13").assert_outcomes(failed=1)


@pytest.mark.parametrize("ci", ["true", "1"])
@pytest.mark.parametrize("option", ["--snapshot-update", "--snapshot-update-new-only"])
def test_recording_is_refused_under_ci(project: Project, ci: str, option: str) -> None:
    result = project.run(option, CI=ci)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: snapshots are not recorded under CI;*"])
    assert project.snapshots() == []


def test_recording_is_refused_under_xdist(project: Project) -> None:
    result = project.run("--snapshot-update", "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: snapshots are not recorded by several processes; record without -n"])
    assert project.snapshots() == []


def test_a_claim_without_its_mark_is_told_so(project: Project) -> None:
    project.claims("def test_it_steers(effect, holds):\n    holds(effect() > 0)\n")
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['*asserts a claim without naming it; add @pytest.mark.claim("C05")*'])


@pytest.mark.parametrize(("asked", "seen"), [("effect()", "Estimate"), ("effect() == 0", "bool 'False'")])
def test_what_asks_nothing_is_refused(project: Project, asked: str, seen: str) -> None:
    project.claims(STEERS.replace("effect() > 0", asked))
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*gives holds *{seen}*, which asks nothing; compare an estimate with *"])


def test_a_second_verdict_in_one_test_is_refused(project: Project) -> None:
    project.claims(STEERS + "    holds(effect() > 0)\n")
    project.record()
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*calls holds twice*"])


def test_only_snapshots_without_a_test_are_unused(project: Project) -> None:
    project.record()
    project.snapshot("smollm2-135m/test_gone.json").write_text("{}")
    result = project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*1 snapshot unused.*"])
    project.run("--snapshot-update")
    assert project.snapshots() == ["smollm2-135m/test_it_steers.json"]


@pytest.mark.parametrize("selection", [("-k", "gone or steers"), ("claims/test_claims.py::test_it_steers",)])
def test_a_selection_reports_and_deletes_nothing(project: Project, selection: tuple[str, ...]) -> None:
    project.record()
    project.snapshot("smollm2-135m/test_gone.json").write_text("{}")
    project.snapshot("smollm2-135m/test_it_steers[other].json").write_text("{}")
    assert project.run(*selection).ret == pytest.ExitCode.OK
    project.run("--snapshot-update", *selection)
    assert len(project.snapshots()) == 3


def test_a_claim_that_breaks_before_its_verdict_keeps_its_snapshot(project: Project) -> None:
    project.record()
    project.run("--snapshot-update", EFFECT="broken").assert_outcomes(failed=1)
    assert project.snapshots() == ["smollm2-135m/test_it_steers.json"]


def test_recording_one_model_keeps_the_snapshots_of_another(project: Project) -> None:
    project.record()
    project.record("--smoke")
    assert len(project.snapshots()) == 2
