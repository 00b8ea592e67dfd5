"""Neutral passages: enough of them, of one size, distinct, and without opinions."""

import re
from pathlib import Path

import pytest

from ws.behaviors.neutral_text import read_passages
from ws.errors import DataError
from ws.tests.likeness import near_duplicates

PASSAGES = read_passages()
OPINION = re.compile(
    r"\b(I|you|should|must|ought|best|worst|better|worse|beautiful|ugly|wonderful|terrible|unfortunately|luckily|true"
    r"|false|honest|lie|opinion|believe|wrong|yes|agree)\b",
    re.IGNORECASE,
)


def written(folder: Path, text: str) -> Path:
    file = folder / "text.txt"
    file.write_text(text)
    return file


def test_passages_are_sixty_to_ninety_plain_words_without_opinion() -> None:
    def plain(passage: str) -> bool:
        return 60 <= len(passage.split()) <= 90 and passage.isascii() and not OPINION.search(passage)

    assert len(PASSAGES) == 20
    assert [passage for passage in PASSAGES if not plain(passage)] == []


def test_no_passage_resembles_another() -> None:
    assert near_duplicates(PASSAGES) == []


def test_blank_lines_part_passages_and_line_breaks_do_not(tmp_path: Path) -> None:
    assert read_passages(written(tmp_path, "\none\ntwo\n \nthree\n\n\n")) == ("one two", "three")


@pytest.mark.parametrize("text", ["", "\n \n\n"])
def test_file_without_passages_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"text\.txt: no passage; .*write some"):
        read_passages(written(tmp_path, text))


def test_passage_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="passage 3: repeats passage 1, 'one Two'; expected each once; remove one"):
        read_passages(written(tmp_path, "One two\n\nthree\n\none\nTwo\n"))
