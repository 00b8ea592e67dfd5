"""The lines that are printed while a test runs."""


class Told(list[str]):
    """The lines, in order."""

    # One of several streams, as a file is, and no value.
    __hash__ = object.__hash__

    def write(self, text: str, /) -> None:
        self.extend(line for line in text.splitlines() if line)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False
