"""The lines that are printed while a test runs."""


class Told(list[str]):
    """The lines, in order."""

    def write(self, text: str, /) -> None:
        self.extend(line for line in text.splitlines() if line)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False
