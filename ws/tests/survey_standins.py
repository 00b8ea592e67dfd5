"""Judges of architectures for tests of the survey; they import little, since each runs in a process of its own."""

import os
import time

from ws.bench.survey.finding import Finding


def fine(architecture: str) -> Finding:
    return Finding(architecture, "plain", 1e-6, 2.0)


def raises(architecture: str) -> Finding:
    raise LookupError("no such thing")


def dies(architecture: str) -> Finding:
    os._exit(3)


def hangs(architecture: str) -> Finding:
    time.sleep(60)
    return fine(architecture)
