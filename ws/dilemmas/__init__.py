"""Everyday dilemmas: two actions each, one of them the honest one, asked as Yes/No questions."""

from ws.dilemmas.base import INFINITIVE, LISTED, Dilemma, Wording, of_split, questions
from ws.dilemmas.read import Published, read_csv, read_hub, read_own

__all__ = [
    "INFINITIVE",
    "LISTED",
    "Dilemma",
    "Published",
    "Wording",
    "of_split",
    "questions",
    "read_csv",
    "read_hub",
    "read_own",
]
