"""The log of what did not replicate, from Markdown; ids of claims become links to their cards.

Markup in the text is shown and not obeyed, and links are left as words: they lead to files that a page does not have.
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup, escape

FILE = "LOG.md"
"""The file beside the tests of claims."""

ID = re.compile(r"\b[A-Z]\d+\b")


class Words(RendererHTML):
    """Writes text with links to the ids it knows, and no other link."""

    ids: Collection[str] = ()

    def text(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: object) -> str:
        said = str(escape(tokens[idx].content))
        return ID.sub(lambda found: f'<a href="#{found[0]}">{found[0]}</a>' if found[0] in self.ids else found[0], said)

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: object) -> str:
        return ""

    link_close = image = link_open

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: object) -> str:
        """A wide table scrolls by itself, with a keyboard too."""
        return '<div class="scroll" role="region" aria-label="Table of the log" tabindex="0"><table>'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: object) -> str:
        return "</table></div>"


def log(text: str, ids: Collection[str]) -> Markup:
    """A log as HTML for the inside of a page: without its title, and with every heading one level down.

    ids: the claims that have a place on the page.
    """
    reader = MarkdownIt("commonmark", {"html": False}, renderer_cls=Words).enable("table")
    assert isinstance(reader.renderer, Words)
    reader.renderer.ids = ids
    tokens = _without_title(reader.parse(text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
    return Markup(reader.renderer.render(tokens, reader.options, {}))


def log_beside(tests: Path, ids: Collection[str]) -> Markup | None:
    """The log of a folder of claim tests; None if it has none."""
    path = tests / FILE
    return log(path.read_text(encoding="utf-8"), ids) if path.is_file() else None


def _without_title(tokens: list[Token]) -> list[Token]:
    """The tokens behind a heading of the first level, if they begin with one."""
    has_title = bool(tokens) and (tokens[0].type, tokens[0].tag) == ("heading_open", "h1")
    return tokens[3:] if has_title else tokens
