"""Receipts: what a GPU found, with all that somebody without one needs to judge it and to refuse what does not fit."""
