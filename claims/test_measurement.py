"""Three measurement bugs of the journal stay fixed: stale token cache, the text "</think>", right padding.

Our scores are compared with the reference, every prompt alone in a forward pass of its own. The controls show that the
comparison would reveal each bug: scored the buggy way, the same rows do not agree with the reference.

Source: research journal, 2026-04-26, "three bugs found and fixed before getting valid results".
"""

import pytest

CLOSE = 1e-3
"""Nats by which a row may differ because floating-point sums are taken in another order."""


@pytest.mark.claim("C32")
def test_packed_rows_score_as_each_row_alone(distance, holds):
    holds(distance("packed", "alone") < CLOSE)


def test_right_padding_read_at_the_last_column_would_be_seen(distance, must_not_hold):
    must_not_hold(distance("right_padded", "alone") < CLOSE)


@pytest.mark.claim("C32")
def test_a_new_answer_header_is_scored_afresh(distance, holds):
    holds(distance("other_header_packed", "other_header_alone") < CLOSE)


def test_tokens_of_the_old_header_would_be_seen(distance, must_not_hold):
    must_not_hold(distance("packed", "other_header_alone") < CLOSE)


@pytest.mark.thinking
@pytest.mark.claim("C32")
def test_an_open_thought_is_closed_by_its_token(distance, holds):
    holds(distance("thought_guarded", "thought_token") < CLOSE)


@pytest.mark.thinking
def test_a_thought_closed_by_text_would_be_seen(distance, must_not_hold):
    must_not_hold(distance("thought_text", "thought_token") < CLOSE)
