"""Talking with a steered model, beside the same model as it is."""
