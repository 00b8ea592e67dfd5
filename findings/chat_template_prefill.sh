#!/bin/sh
# transformers 5.24.0: continue_final_message loses what a template trims, and for an answer without letters the header.
#
# A template that trims each message (as those of the Llama 3 kind do) has its line breaks between the header of a turn
# and its content. Going on from an answer that is begun, the text is cut where the answer ends; if the template has
# trimmed the answer's end, all white space before the cut goes as well. So "Answer: " goes on as "Answer:", and an
# answer that is empty or white space takes the header's own line breaks with it: the prompt is no longer the one of
# add_generation_prompt, and the first token of the answer is asked for at a place that no training text has. A sweep
# over prefills whose control is the empty one compares two prompts. Nothing is raised or printed. Seen on 2026-11-30
# with jinja2 3.1.6, text after the last message:
#
#   prefill         template that trims       template that does not
#   "Yes"           header, 2 breaks, Yes     header, 2 breaks, Yes
#   "Answer: "      ... Answer:               ... Answer: and the space
#   "" or "\n"      header, 0 breaks          header, 2 breaks, and the prefill
#
# In this project: ws/models/chat.py puts the beginning of an answer behind the generation prompt. Exits 1 when this has
# changed.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet transformers=="${TRANSFORMERS:-5.24.0}" jinja2==3.1.6 2>/dev/null
"$place/bin/python" - <<'PYTHON'
import sys

import jinja2, transformers
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

TURNS = (
    "{% for turn in messages %}{{ '[' + turn['role'] + ']\n\n' + CONTENT + '[end]' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]\n\n' }}{% endif %}"
)
TEMPLATES = {
    "trims": TURNS.replace("CONTENT", "turn['content'] | trim"),
    "keeps": TURNS.replace("CONTENT", "turn['content']"),
}
tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab={"a": 0}, merges=[])))
asked = [{"role": "user", "content": "Is it so?"}]


def prompt(template, prefill=None):
    """The text behind the question, with an answer that is begun or with none."""
    begun = [] if prefill is None else [{"role": "assistant", "content": prefill}]
    how = {"add_generation_prompt": True} if prefill is None else {"continue_final_message": True}
    text = tokenizer.apply_chat_template(asked + begun, chat_template=template, tokenize=False, **how)
    return text.partition("Is it so?[end]")[2]


print(f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}")
seen = {}
for name, template in TEMPLATES.items():
    for prefill in (None, "Yes", "Answer: ", "", "\n"):
        seen[name, prefill] = prompt(template, prefill)
        print(f"  {name}, prefill {prefill!r}: {seen[name, prefill]!r}")
header = "[assistant]\n\n"
recorded = {(name, None): header for name in TEMPLATES}
recorded |= {("keeps", prefill): header + prefill for prefill in ("Yes", "Answer: ", "", "\n")}
recorded |= {("trims", "Yes"): header + "Yes", ("trims", "Answer: "): header + "Answer:"}
recorded |= {("trims", ""): "[assistant]", ("trims", "\n"): "[assistant]"}
changed = [place for place in recorded if seen[place] != recorded[place]]
print(f"changed: {changed}" if changed else "as recorded")
sys.exit(bool(changed))
PYTHON
