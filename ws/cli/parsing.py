"""The words behind a command, read as the arguments of its function; what cannot be read is one line.

A parameter that is a dataclass stands for its fields: options that several commands have.
tyro reads them, and prints its own errors as boxes on standard error. They are caught there, and said as ours are.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, is_dataclass, make_dataclass
from functools import partial
from io import StringIO
from itertools import dropwhile, takewhile
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from ws.cli.overview import described, examples, filled
from ws.errors import CommandError, UnknownNameError, near

HELP = {"-h", "--help"}
POSITIONAL = get_args(tyro.conf.Positional[str])[1]
WORDS: dict[Any, str] = {int: "INTEGER", float: "NUMBER", Path: "PATH"}
"""The word that help has for a value of a type; TEXT for others."""
KINDS: dict[Any, str] = {int: "a whole number", float: "a number", Path: "a file or folder"}
"""What may not be read, in words."""
FRAME = " │╭╮╰╯"
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def parsed(function: Callable[..., Any], prog: str, words: list[str]) -> Callable[[], object]:
    """The command with the arguments that the words give, ready to be called. Prints help if the words ask for it.

    Raises: CommandError for words that are none of its arguments, and for an option that is given twice.
    """
    _refuse_repeats(function, words, see=f"see {prog} --help")
    shown, said = Heard(), StringIO()
    try:
        with redirect_stdout(shown), redirect_stderr(said):
            given, unknown = tyro.cli(
                _asked(function),
                prog=prog,
                args=words,
                description="",
                return_unknown_args=True,
                config=(tyro.conf.PositionalMetavarFromFieldName,),
            )
    except SystemExit as end:
        if not end.code:
            usage, _, options = shown.getvalue().partition("\n")
            print(described(function), filled(usage), options.strip(), sep="\n\n")
            raise
        raise CommandError(f"{_unread(said.getvalue(), function, words)}; see {prog} --help") from None
    if unknown:
        raise CommandError(f"{_stranger(unknown, function)}; see {prog} --help")
    return partial(function, **_gathered(function, vars(given)))


def _refuse_repeats(function: Callable[..., Any], words: list[str], *, see: str) -> None:
    """Raises: CommandError for an option with a value that is given twice, of which tyro would take the last alone."""
    given = [word.partition("=")[0] for word in words]
    for one in arguments(function).values():
        times = 0 if one.is_positional or one.value is None else sum(given.count(name) for name in one.spellings)
        if times > 1:
            several = get_origin(one.type) is tuple
            whole = f" with all its values: {one.spelled} ONE ANOTHER" if several else ""
            raise CommandError(f"{one.spelled} is given {times} times; give it once{whole}; {see}")


class Heard(StringIO):
    """What is printed in place of standard output, by whoever draws boxes and colours as that allows."""

    def __init__(self) -> None:
        super().__init__()
        self._encoding, self._is_terminal = sys.stdout.encoding, sys.stdout.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._is_terminal


def _asked(function: Callable[..., Any]) -> type[Any]:
    """A class with a function's arguments as fields, described as help is to show them."""
    fields = [
        (one.name, _annotation(one), field() if one.is_required else field(default=one.default))
        for one in arguments(function).values()
    ]
    return make_dataclass("Arguments", fields, kw_only=True)


@dataclass(frozen=True)
class Argument:
    """One argument of a command."""

    name: str
    type: Any
    """Without what tyro is told about it."""
    told: tuple[Any, ...]
    """What tyro is told about it."""
    default: Any

    @property
    def is_positional(self) -> bool:
        return POSITIONAL in self.told

    @property
    def is_required(self) -> bool:
        return self.default is inspect.Parameter.empty

    @property
    def spelled(self) -> str:
        """As it is written on the command line or, without a name there, in help."""
        if self.is_positional:
            return self.name.upper()
        return f"{'-' if len(self.name) == 1 else '--'}{self.name.replace('_', '-')}"

    @property
    def spellings(self) -> set[str]:
        """All that may stand for it on the command line."""
        return {self.spelled, f"--{self.name.replace('_', '-')}"}

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types that one value may have, without None."""
        one = get_args(self.type)[0] if get_origin(self.type) is tuple else self.type
        is_union = isinstance(one, UnionType) or get_origin(one) is Union
        return tuple(kind for kind in (get_args(one) if is_union else (one,)) if kind is not NoneType)

    @property
    def choices(self) -> tuple[str, ...]:
        """The only values that it may have; none if there are others."""
        return tuple(str(value) for kind in self.kinds if get_origin(kind) is Literal for value in get_args(kind))

    @property
    def value(self) -> str | None:
        """The word for its value in help; None for one that is only there or not."""
        if self.kinds == (bool,):
            return None
        word = self.spelled if self.is_positional else "|".join(self.choices) or WORDS.get(self.kinds[0], "TEXT")
        word = f"{word} ..." if get_origin(self.type) is tuple else word
        return word if self.is_required or not self.is_positional else f"[{word}]"

    @property
    def hint(self) -> str | None:
        """Its default, where help does not say it in words; None if it has none."""
        if self.is_required:
            return None
        if self.default is None or self.default is False or self.default in ((), ""):
            return ""
        shown = self.spelled if self.default is True else self.default
        return f"(default: {' '.join(map(str, shown)) if isinstance(shown, tuple) else shown})"


def arguments(function: Callable[..., Any]) -> dict[str, Argument]:
    """The arguments of a function by name, with the fields of those that are dataclasses in their places."""
    found: dict[str, Argument] = {}
    for name, hint in _hints(function).items():
        if isinstance(hint, type) and is_dataclass(hint):
            found |= arguments(hint)
        else:
            found[name] = Argument(name, *_taken_apart(hint), inspect.signature(function).parameters[name].default)
    return found


def _gathered(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a function is called with, given its arguments by name."""
    return {
        name: hint(**_gathered(hint, given)) if isinstance(hint, type) and is_dataclass(hint) else given[name]
        for name, hint in _hints(function).items()
    }


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The type of each parameter, as it is written."""
    hints = get_type_hints(function, include_extras=True)
    return {name: hints[name] for name in inspect.signature(function).parameters}


def _taken_apart(annotated: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(annotated) is not Annotated:
        return annotated, ()
    plain, *told = get_args(annotated)
    return plain, tuple(told)


def _annotation(one: Argument) -> Any:
    # What a command says itself comes last, which tyro prefers.
    return Annotated[(one.type, tyro.conf.arg(metavar=one.value, help_behavior_hint=one.hint), *one.told)]


def _unread(box: str, function: Callable[..., Any], words: list[str]) -> str:
    """What tyro could not read, in one line of ours; in its own words where they are of an unknown kind."""
    taken = arguments(function)
    by_spelling = {one.spelled: one for one in taken.values()}

    def meant(spelled: str) -> Argument:
        # With another name of its own, an argument is called by both: -k/--k.
        return next(by_spelling[name] for name in spelled.split("/") if name in by_spelling)

    text = _unboxed(box)
    if strange := [word for word in words if _is_strange(word, taken.values())]:
        # Where a positional argument may stand, tyro takes an unknown option for one without its value.
        return _stranger(strange, function)
    if text.startswith("Missing from"):
        given = {word.partition("=")[0] for word in words}
        missing = [one.spelled for one in taken.values() if one.is_required and one.spelled not in given]
        example = "".join(f"; for example: {line}" for line in examples(function)[:1])
        return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing{example}"
    if found := re.match(r"Missing value for argument '(.*?)'", text):
        one = meant(found[1])
        return f"{one.spelled} has no value; expected {_kind(one)} behind it"
    if found := re.match(r"invalid choice '(.*)' for argument '(.*?)'", text):
        return str(UnknownNameError(found[2], found[1], meant(found[2]).choices))
    if found := re.match(r"Error parsing (\S+): (.*)", text):
        seen = re.search(r"'(.*?)'", found[2])
        return f"{found[1]} {seen[0] if seen else found[2]} cannot be read; expected {_kind(meant(found[1]))}"
    return text


def _kind(one: Argument) -> str:
    """What one value of an argument is, in words."""
    return " or ".join(one.choices) or KINDS.get(one.kinds[0], "text")


def _unboxed(box: str) -> str:
    """The first paragraph of a box, in one line."""
    _title, *lines = (ANSI.sub("", line).strip(FRAME) for line in box.splitlines())
    text = dropwhile(_is_rule, lines)
    return " ".join(takewhile(lambda line: not _is_rule(line), text))


def _is_rule(line: str) -> bool:
    return set(line) <= {"─", "-"}


def _is_strange(word: str, known: Iterable[Argument]) -> bool:
    """Whether a word is an option that no argument is called by."""
    spelled = {name for one in known if not one.is_positional for name in one.spellings}
    name = word.partition("=")[0].replace("_", "-")
    return name.startswith("--") and name not in spelled and name.replace("--no-", "--", 1) not in spelled


def _stranger(words: list[str], function: Callable[..., Any]) -> str:
    """What is said of words that are no argument."""
    known = [one.spelled for one in arguments(function).values() if not one.is_positional]
    option = next((word.partition("=")[0] for word in words if word.startswith("-")), None)
    if option is None:
        return f"{words[0]!r} stands where nothing was expected but {', '.join(known)}"
    if close := near(option, known):
        return f"unknown option {option}; did you mean {' or '.join(close)}?"
    return f"unknown option {option}; expected {', '.join(known)}"
