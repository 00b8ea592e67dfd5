"""A reader of HTML that is strict about what it reads, for tests of pages."""

from collections import Counter
from html.parser import HTMLParser

VOID = frozenset({"meta", "input", "br", "link", "hr", "img"})
IMPLIED = {"li": {"li"}, "td": {"td", "th"}, "th": {"td", "th"}, "tr": {"td", "th", "tr"}}
"""For each tag, the open ones that its start ends, as HTML says."""

ENDED_BY = {"ul": {"li"}, "ol": {"li"}, "tr": {"td", "th"}, "tbody": {"tr", "td", "th"}, "thead": {"tr", "td", "th"}}
"""For each tag, the open ones that its end ends with it."""

LOADS = frozenset({"src", "srcset", "poster", "data", "action", "formaction"})


class Page(HTMLParser):
    """What a page has; `faults` is empty if every tag is ended where HTML wants it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags = Counter[str]()
        self.ids = Counter[str]()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.scripts: list[str] = []
        self.handlers: list[str] = []
        self.faults: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, dict[str, str]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"{tag} is never ended" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        while self._open and self._open[-1] in IMPLIED.get(tag, ()):
            self._open.pop()
        self._met(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._met(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open[-1] in ENDED_BY.get(tag, ()):
            self._open.pop()
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> at {self.getpos()} where {self._open[-1:]} is open")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            self.scripts.append(data)
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def _met(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        self.attributes.append((tag, found))
        self.ids.update([found["id"]] if "id" in found else [])
        self.links += [found[name] for name in ("href", "xlink:href") if name in found]
        self.loaded += [found[name] for name in LOADS if name in found]
        self.handlers += [name for name in found if name.startswith("on")]
        if len(found) != len(attrs):
            self.faults.append(f"{tag} has an attribute twice")
