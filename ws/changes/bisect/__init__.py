"""Rebuilding one case with one input changed at a time, to see which of them moves its number."""
