"""`ws` says what it takes, and what was wrong with what it was given: one line on standard error, and a status."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ws import cli
from ws.cli import entry, overview, parsing
from ws.errors import UnknownNameError, near

COLUMNS = 80


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("NO_COLOR", "1")


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str) -> tuple[str, int]:
    """What `ws` writes to standard error for a command line, which must be all that it writes, and its status."""
    monkeypatch.setattr(sys, "argv", ["ws", *shlex.split(line)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    written = capsys.readouterr()
    assert written.out == ""
    return written.err, int(end.value.code)


MISTAKES = {
    "tabel": r"unknown command 'tabel'; known: .*, table, why; did you mean 'table'\?",
    "stor": r"unknown command 'stor'.*did you mean 'store'",
    "store wy": r"unknown command ws store 'wy'; known: carry, check, copy, gc, why; did you mean 'why'\?",
    "--modle x": r"unknown command '--modle'",
    "table --claim C05": r"unknown option --claim; did you mean --claims\?; see ws table --help",
    "table --modl=x": r"unknown option --modl; did you mean --models\?",
    "table --zzz": r"unknown option --zzz; expected --models, .*--store; see ws table --help",
    "table c05": r"'c05' stands where nothing was expected but --models",
    "table --form nope": r"unknown --form 'nope'; known: cases, counts, loose, plain; see ws table --help",
    "table --claims C99": r"unknown claim 'C99'; known: C01, C02, C03, \.\.\., S9 \(\d+ in all\)",
    "table --models qwen": r"unknown model 'qwen'; .*did you mean 'qwen3-0.6b' or",
    "claims c5": r"unknown claim 'C5'.*did you mean 'C05'",
    "plan --workers 0": r"--workers 0; expected a number from 1 on, or auto",
    "plan nofile.py": r"nofile.py is not there; name a file or folder of claims",
    "plan --seeds 0": r"--seeds 0; expected a number from 1 on",
    "plan --store file": r"--store file cannot be one: .*file is no folder; name a folder, there or not",
    "build --workers many": r"--workers many; expected a number from 1 on, or auto",
    "build --engine dask": r"unknown --engine 'dask'; known: processes, ray; see ws build --help",
    "build --address host:1": r"--address host:1 is that of a cluster; add --engine ray, or drop it",
    "build --engine ray --workers 2": r"--workers 2 are processes of this machine, and Ray has its own; drop it",
    "build --family lora --family=dora": r"--family is given 2 times; give it once with all its values: --family ONE",
    "build --seeds 2 --seeds 3": r"--seeds is given 2 times; give it once; see ws build --help",
    "build -k lora --k dora": r"-k is given 2 times; give it once; see",
    "build -k": r"-k has no value; expected text behind it",
    "search": r"MODEL is missing; for example: ws search smollm2-135m; see ws search --help",
    "falsify": r"--model is missing; for example: ws falsify --model smollm2-135m",
    "search --model ./my-model": r"unknown option --model; expected --families, --out, .*; see ws search",
    "search --famlies lora ./my-model": r"unknown option --famlies; did you mean --families\?",
    "export dw --out X --family lora": r"unknown option --out; did you mean --to\?; see ws export dw --help",
    "why --model x": r"unknown option --model; expected --behavior, --seeds, --snapshots, --tests, --store",
    "why test_it --seeds 0": r"--seeds 0; expected a number from 1 on",
    "why test_it --snapshots nowhere": r"--snapshots nowhere is no folder; name the one that `pytest --snapshots` was",
    "store why": r"KEY is missing; for example: ws store why 05410e92",
    "eval --model": r"--model has no value; expected text behind it",
    "eval --rows a --coeffs 0 one": r"--coeffs '.*' cannot be read; expected a number; see ws eval --help",
    "lenses smollm2-135m --seeds 1.5": r"--seeds '1.5' cannot be read; expected a whole number",
    "chat": r"nothing to steer by; give one of --family; .*for example --family delora",
    "chat --family lora --system x": r"--family with --system to steer by; give one of",
    "chat --family lora --seed 1": r"--seed 1 draws nothing at --temperature 0; give a temperature too",
    "chat --famly lora": r"unknown option --famly; did you mean --family\?; see ws chat --help",
    "eval": r"--rows None and --text None; give the one or the other",
    "eval --rows nofile.jsonl --model tiny-random-qwen3": r"no file nofile.jsonl; expected a JSONL or CSV",
    "eval --rows folder --model tiny-random-qwen3": r"folder ends in ''; expected .jsonl",
    "eval --rows a.txt --model tiny-random-qwen3": r"a.txt ends in '.txt'; expected .jsonl, one object a line, or .csv",
    "eval --rows a.jsonl --csv folder": r"--csv folder is a folder; name a file, such as folder/csv",
    "eval --rows a.jsonl --family lora --coeffs nan": r"--coeffs nan; expected a finite number",
    "eval --rows a.jsonl --family lora --seeds 0": r"--seeds 0; expected a number from 1 on",
    "eval --rows a.jsonl --family delroa --model tiny-random-qwen3": r"unknown adapter family 'delroa'; .*'delora'",
    "eval --rows a.jsonl --family lora --behavior honsety": r"unknown behavior 'honsety'; known: .*mean 'honesty'",
    "eval --rows a.jsonl --model ./nothere": r".*nothere is no folder and no .gguf file; expected the folder",
    "search smollm2-135m --families lorra": r"unknown adapter family 'lorra'; .*did you mean 'lora'",
    "lenses smollm2-135m --seeds 0": r"--seeds 0; expected a number from 1 on",
    "table --write folder": r"--write folder is a folder; name a file, such as folder/write",
    "table --claims C05 --write page.md": r"page.md: No such file or directory; expected a file",
    "table --tests nowhere": r"--tests nowhere is not there; name a folder",
    "report --out folder": r"--out folder is a folder; name a file",
    "diff": r"OLD is missing; for example: ws diff HEAD~3; see ws diff --help",
    "diff ./nowhere": r"nothing is called './nowhere'; name a commit, a folder",
    "diff HEAD --dry-run": r"--python and --dry-run say how to rebuild a case; name it with --bisect CASE",
    "why test_nothing": r"unknown case 'test_nothing'; known: ",
    "results --out results.xml": r"results.xml ends in '.xml'; expected .json, .csv, .parquet",
    "results --out folder": r"folder ends in ''; expected .json, .csv, .parquet",
    "results --claims C99": r"unknown claim 'C99'; known: C01",
    "results --run none.json": r"no file none.json; expected a file of `pytest --results FILE` or `ws results`",
    "results --run file": r"file ends in ''; expected .json, .csv, .parquet",
    "results --write folder": r"--write folder is a folder; name a file",
    "results --write page.md": r"page.md: No such file or directory; expected a file",
    "export inspec": r"unknown command ws export 'inspec'; known: dw, inspect, lm-eval; did you mean 'inspect'\?",
    "export inspect": r"OUT is missing; for example: ws export inspect logs",
    "export inspect file": r"file is no folder; name one, there or not",
    "export lm-eval out --model x": r"unknown option --model; did you mean --models\?",
    "export lm-eval out --claims C99": r"unknown claim 'C99'; known: C01",
    "store why zz": r"'zz' is no key; give its first 4 to 32 hex digits",
    "store --store file": r"--store file cannot be one: .*file is no folder; name a folder, there or not",
    "store gc --store dead/link": r"--store dead/link cannot be one: .*/dead is a link that leads nowhere; name",
    "store check --store empty": r".*empty has no artifacts; name a store's folder with --store PATH or WS_STORE",
    "evidence nomodel": r"unknown model 'nomodel'",
    "store gc --older-than -1": r"--older-than -1; expected a number from 0 on",
    "store carry --tolerance nan": r"--tolerance nan; expected a number from 0 on",
    "calibrate --trials 0": r"--trials 0; expected a number from 1 on",
    "evidence audit --minutes -3": r"--minutes -3; expected a number from 0 on",
    "falsify --model smollm2-135m --only nam": r"unknown corruption 'nam'; .*did you mean 'nan'",
    "eval --rows a.jsonl --behavior honesty": r"--behavior changes nothing without --family or --activation, .*leave",
    "eval --rows a.jsonl --behavior honsety --equal-kl": r"unknown behavior 'honsety'",
    "eval --text a.jsonl --behavior honesty --system x": r"--behavior changes nothing without --family or --activation",
    "eval --rows a.jsonl --behavior honesty --plus a --minus b": r"--behavior changes nothing without --family or",
    "chat --system x --behavior honesty --model none": r"--behavior changes nothing without --family or --activation",
    "chat --activation pca --blocks 2 --training-seed 2": r"--training-seed 2 of --activation pca, which comes out",
    "results --schema --claims C05 --out a.json": r"--out and --claims change nothing beside --schema, .*leave them",
    "results --schema --write page.md": r"--write changes nothing beside --schema, which prints the schema alone",
    "results --write page.md --store empty": r"--store changes nothing beside --write, which writes the schema's table",
    "results --run none.json --store empty": r"--store changes nothing beside --run, whose verdicts are no artifacts",
    "export inspect out --run none.json --store empty": r"--store changes nothing beside --run",
    "table --pages new --form plain": r"--form changes nothing in --pages and --picture, which have forms of their own",
    "report --format png": r"--format changes nothing without --figure: a page is HTML; leave it out",
    "report --figure C05 --claims C03": r"--claims changes nothing beside --figure, which draws one claim's verdicts",
    "report --figure C05 --evidence folder": r"--evidence changes nothing beside --figure",
    "report --behavior mine.toml --evidence folder": r"--evidence changes nothing beside --behavior, whose page has no",
    "diff HEAD --bisect x --all --markdown": r"--markdown and --all change nothing beside --bisect, which rebuilds one",
    "bench --write page.md --only train --quick": r"--only and --quick change nothing beside --write, which measures",
    "bench --claims --repeats 2 --model none": r"--repeats changes nothing beside --claims, which times pytest alone",
    "bench --only eval svd --families lora --model none": r"--families changes nothing with --only eval svd, which",
    "bench --only parity --repeats 2 --model none": r"--repeats changes nothing with --only parity, which trains once",
    "eval --activation pcaa": r"unknown --activation 'pcaa'; known: mean-difference, pca, persona-vector; did you mean",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WS_STORE", str(tmp_path / "store"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "dead").symlink_to("nowhere")
    text, status = said(monkeypatch, capsys, line)
    assert re.fullmatch(rf"ws: {MISTAKES[line]}.*\n", text)
    assert status == entry.MISTAKE


def test_debug_shows_where_a_mistake_was_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, status = said(monkeypatch, capsys, "table --claims C99 --debug")
    assert re.match(r"Traceback (?s:.*)UnknownNameError.*\nws: unknown claim 'C99'", text)
    assert status == entry.MISTAKE


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setitem(cli.COMMANDS, "fail", fail)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            FileNotFoundError(2, "No such file or directory", "rows.jsonl"),
            r"rows\.jsonl: No such file or directory; .*",
        ),
        (OSError(28, "No space left on device"), r"No space left on device; .*"),
    ],
    ids=["file", "disk"],
)
def test_what_the_system_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: OSError, line: str
) -> None:
    raising(monkeypatch, error)
    text, status = said(monkeypatch, capsys, "fail")
    assert re.fullmatch(rf"ws: {line}\n", text)
    assert status == entry.MISTAKE


def test_a_fault_of_ours_is_one_line_and_its_traceback_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(entry.tempfile, "tempdir", str(tmp_path))
    raising(monkeypatch, ZeroDivisionError("division\nby zero"))
    text, status = said(monkeypatch, capsys, "fail")
    [kept] = tmp_path.iterdir()
    assert text == f"ws: ZeroDivisionError: division by zero; a fault of ws itself: please report it with {kept}\n"
    assert re.match(r"Traceback (?s:.*)in fail\n", kept.read_text())
    assert status == entry.FAULT


def test_ctrl_c_says_that_nothing_is_lost(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    text, status = said(monkeypatch, capsys, "fail")
    assert (text.count("\n"), status) == (2, 130)
    assert "the same command goes on there" in text


def test_a_reader_that_stops_is_no_fault() -> None:
    command = f"{shlex.quote(sys.executable)} -m ws claims; echo status $? >&2"
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as done:
        assert done.stdout is not None
        done.stdout.close()
        assert done.stderr is not None
        assert done.stderr.read() == "status 141\n"


def test_no_command_is_answered_with_all_of_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, status = said(monkeypatch, capsys, "")
    assert (text, status) == (f"{overview.overview()}\n", entry.MISTAKE)
    for name, function in cli.COMMANDS.items():
        assert f"\n  {name} " in text
        assert " ".join(overview.first_line(function).split()) in " ".join(text.split())


@pytest.fixture(params=cli.COMMANDS)
def command(request: pytest.FixtureRequest) -> str:
    return request.param


def test_help_fits_80_columns_and_its_defaults_are_those_of_the_function(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["ws", *command.split(), "--help"])
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main()
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if len(line) > COLUMNS] == []
    assert f"\nusage: ws {command} " in text
    assert "None" not in text
    assert "default: )" not in text
    for name, argument in parsing.arguments(cli.COMMANDS[command]).items():
        option = f"--{name.replace('_', '-')}"
        assert option in text or f"{name.upper()}" in text
        if isinstance(argument.default, int | float | str) and argument.default not in ("", False, True):
            assert re.search(rf"\(default:\s+(│\s+│\s+)?{re.escape(str(argument.default))}\)", text)


def test_examples_stay_as_they_are_and_are_understood(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    shown = overview.described(cli.COMMANDS[command])
    examples = overview.examples(cli.COMMANDS[command])
    assert examples
    for example in examples:
        assert f"    {example}\n" in f"{shown}\n"
        _, *words = shlex.split(re.split(r"\s{2,}", example)[0])
        name, rest = cli.named(words)
        assert callable(
            parsing.parsed(
                cli.COMMANDS[name], f"ws {name}", [word for word in rest if word != "KEY"] or ["x"][: "KEY" in rest]
            )
        )


def test_a_word_behind_a_group_is_its_argument_where_it_takes_one() -> None:
    assert cli.named(["evidence", "smollm2-135m"]) == ("evidence", ["smollm2-135m"])
    assert cli.named(["evidence", "check", "smollm2-135m"]) == ("evidence check", ["smollm2-135m"])
    assert cli.named(["store", "--store", "x"]) == ("store", ["--store", "x"])


def test_near_names_are_much_alike_or_longer() -> None:
    assert near("delroa", ["lora", "delora", "oft"]) == ["delora"]
    assert near("c5", ["C05", "C15", "C50"]) == ["C05"]
    assert near("QWEN", ["qwen3-0.6b", "smollm2-135m", "Qwen3-1.7B"]) == ["qwen3-0.6b", "Qwen3-1.7B"]
    assert near("zzz", ["lora"]) == []


def test_a_long_table_is_not_shown_in_full() -> None:
    text = str(UnknownNameError("claim", "X", [f"C{n:02}" for n in range(40)]))
    assert text == "unknown claim 'X'; known: C00, C01, C02, ..., C39 (40 in all)"


def test_the_version_of_an_installed_package_is_what_was_written_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(entry.ws, "__file__", str(tmp_path / "ws" / "__init__.py"))
    monkeypatch.setattr(entry, "version", lambda name: f"{name} as installed")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\nversion = "9.9.9"\n')
    assert entry.release() == "weight-steering-claims as installed"
