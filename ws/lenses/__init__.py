"""Lenses: ways to cut the behavior direction apart, and measures of where it points. None runs the model.

`base` has the protocol and what wraps any lens; `spectrum`, `base_spectrum`, `modules` and `shared` have lenses;
`parts` cuts along a family's parameters; `bases`, `energy`, `overlap` and `chance` say where dW points, and what
chance would do.
"""
