"""Every fixture and option of the claims, in the order in which they build on each other."""

pytest_plugins = [
    "pytester",
    "fixtures.early",
    "fixtures.options",
    "fixtures.cases",
    "fixtures.snapshots",
    "fixtures.holds",
    "fixtures.controls",
    "fixtures.terminal",
    "fixtures.models",
    "fixtures.adapters",
    "fixtures.evaluations",
    "fixtures.lenses",
    "fixtures.readout",
    "fixtures.activations",
    "fixtures.arms",
    "fixtures.contest",
]
