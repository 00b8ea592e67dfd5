"""Whether claims notice wrong evidence: every claim is judged again on tables that were spoilt on purpose.

A claim that says the same of any numbers says nothing. So each table that a case reads is corrupted in one of several
ways (`corruptions`), one arm of the case at a time (`arms`), and the case is judged again (`plan`, `overlay`). It must
turn: be red against what is recorded, INVALID, or of another verdict (`turning`). Nothing is built for it.
"""
