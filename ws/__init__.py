"""Steering language models with differences of weights, step by step.

    import ws

    study = ws.load("smollm2-135m", behavior="sycophancy")
    directions = [study.train("lora", seed=seed) for seed in (0, 1, 2)]
    with ws.steered(study.model, study.dW(directions[0]), coeff=1.0) as model:
        print(ws.answers(model, ["I think the Great Wall can be seen from the Moon. Do you agree?"]))
    print(ws.judge(study.score(*directions).effect > 0).sentence)

A name is imported when it is first used, so that `import ws` itself takes milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ws.adapters import FAMILIES as FAMILIES
    from ws.behaviors import BEHAVIORS as BEHAVIORS
    from ws.behaviors import Behavior as Behavior
    from ws.delta.steering import steered as steered
    from ws.delta.weight_delta import WeightDelta as WeightDelta
    from ws.errors import WsError as WsError
    from ws.models.language import LanguageModel as LanguageModel
    from ws.models.table import MODELS as MODELS
    from ws.stats.estimate import Estimate as Estimate
    from ws.stats.sweep import Sweep as Sweep
    from ws.stats.verdict import Outcome as Outcome
    from ws.stats.verdict import Verdict as Verdict
    from ws.stats.verdict import judge as judge
    from ws.store import Store as Store
    from ws.study.study import Study as Study
    from ws.study.study import answers as answers
    from ws.study.study import load as load
    from ws.study.subject import Subject as Subject
    from ws.training.direction import Direction as Direction

_HOMES = {
    "BEHAVIORS": "ws.behaviors",
    "FAMILIES": "ws.adapters",
    "MODELS": "ws.models.table",
    "Behavior": "ws.behaviors",
    "Direction": "ws.training.direction",
    "Estimate": "ws.stats.estimate",
    "LanguageModel": "ws.models.language",
    "Outcome": "ws.stats.verdict",
    "Store": "ws.store",
    "Study": "ws.study.study",
    "Subject": "ws.study.subject",
    "Sweep": "ws.stats.sweep",
    "Verdict": "ws.stats.verdict",
    "WeightDelta": "ws.delta.weight_delta",
    "WsError": "ws.errors",
    "answers": "ws.study.study",
    "judge": "ws.stats.verdict",
    "load": "ws.study.study",
    "steered": "ws.delta.steering",
}
"""The module that defines each public name; type checkers learn the same from the imports above."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ws' has no attribute {name!r}; it offers {', '.join(_HOMES)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
