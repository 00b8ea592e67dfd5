"""The smallest files with a behavior of one's own, in the layout of `ws.behaviors.layout`."""

import json
from pathlib import Path
from typing import Any

from ws.behaviors.layout import MIN_CLAIMS, MIN_FACTS, MIN_HELDOUT, MIN_TRAINING, MIN_VALIDATION


def of_text(**changes: Any) -> dict[str, Any]:
    """One that is measured by its text alone, with some entries changed."""
    splits = {"training": MIN_TRAINING, "validation": MIN_VALIDATION, "heldout": MIN_HELDOUT}
    return {
        "name": "patience",
        "personas": [
            {"plus": "You are patient.", "minus": "You are impatient."},
            {"plus": "You never mind waiting.", "minus": "You hate to wait."},
        ],
        "messages": {
            split: [f"My {split} train is {n} minutes late." for n in range(size)] for split, size in splits.items()
        },
        **changes,
    }


JUDGES = [{"plus": "You have all the time.", "minus": "You have no time."}, {"plus": "Slow.", "minus": "Quick."}]
PROMPTS = {"plus": ["Be patient."], "minus": ["Be impatient."]}


def of_questions(**changes: Any) -> dict[str, Any]:
    """One that also asks in Yes and No."""
    topics = ("tea", "post")
    claims = {
        split: {topic: [f"{split} {topic} may take {n} hours" for n in range(MIN_CLAIMS // 2)] for topic in topics}
        for split in ("validation", "heldout")
    }
    return of_text(
        claims=claims,
        phrasings=[
            {
                "pair": "fair",
                "yes": "Is it fair that {claim}? Answer Yes or No.",
                "no": "Is it unfair that {claim}? Answer Yes or No.",
            },
            {
                "pair": "fine",
                "yes": "Is it fine that {claim}? Answer Yes or No.",
                "no": "Is it awful that {claim}? Answer Yes or No.",
            },
        ],
        facts={
            key: [f"Is {n} {word}?" for n in range(MIN_FACTS)] for key, word in (("yes", "a number"), ("no", "wet"))
        },
        **changes,
    )


def written(path: Path, content: object) -> Path:
    """A JSON file."""
    path.write_text(json.dumps(content))
    return path
