"""Everyday dilemmas: two actions each, one of them the honest one, asked as Yes/No questions."""

from ws.dilemmas.base import INFINITIVE, LISTED, Dilemma, Wording, of_split, questions
from ws.dilemmas.csv_file import read_csv
from ws.dilemmas.hub import read_hub
from ws.dilemmas.own import read_own
from ws.dilemmas.published import Published

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
