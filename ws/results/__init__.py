"""Verdicts as data: documents that other programs read, and that read back into the records they were written from."""
