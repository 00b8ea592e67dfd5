"""Hook of MkDocs: a verdict in a table has a class, by which the style sheet colours it."""

import re

VERDICT = re.compile(r"<strong>(HOLDS|REFUTED|INCONCLUSIVE|INVALID)</strong>")


def on_page_content(html: str, **_: object) -> str:
    return VERDICT.sub(lambda found: f'<strong class="verdict {found[1].lower()}">{found[1]}</strong>', html)
