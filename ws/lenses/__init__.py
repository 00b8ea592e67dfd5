"""Lenses: ways to cut the behavior direction apart, and measures of where it points. None runs the model.

`base` has the protocol and the lenses that wrap another lens; `spectrum`, `base_spectrum`, `modules` and `shared` have
the others; `parts` cuts along a family's own parameters; `bases`, `energy`, `overlap` and `chance` measure where dW
points, beside what a random direction would give.
"""
