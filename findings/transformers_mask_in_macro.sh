#!/bin/sh
# transformers 5.24.0: a generation tag inside a macro, a set or a filter block marks the wrong tokens.
#
# With return_assistant_tokens_mask=True the template says by its generation tags which tokens are the answer's: those
# that a loss is taken over. A tag's place is the length of the text that the template has put out before it. Jinja puts
# out the text of a macro, a set block or a filter block only when that block is done, so that nothing before the tag
# inside it counts. An answer that a macro writes behind its header is marked from the header on, and as many letters
# short at its end; in a conversation inside a set or filter block, all marks begin where the conversation does. The
# text is right and the mask has ones, so that training goes on: plus and minus learn headers and questions, and never
# how an answer ends. Nothing is raised or printed. Seen on 2026-11-30 with jinja2 3.1.6, one token a letter; the marked
# text of two answers, "Yes" and "No, why?":
#
#   tag in a loop          Yes[end] | No, why?[end]
#   tag in a macro         [assista | [assistant]No
#   tag around its call    Yes[end] | No, why?[end]
#   in a filter block      [user]So?[end
#   in a set block         [user]So?[end
#
# So: put the tag around the call of the macro, and look at what is marked. In this project: ws/training/train.py does
# not ask the template; question_rows joins the prompt's tokens and the answer's, and the loss is over the latter.
# Exits 1 when this has changed.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place"
"$place/bin/pip" install --quiet transformers=="${TRANSFORMERS:-5.24.0}" jinja2==3.1.6 2>/dev/null
"$place/bin/python" - <<'PYTHON'
import logging
import sys
import warnings

import jinja2, transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

HEADER, BEGIN, END = "{{ '[assistant]' }}", "{% generation %}", "{% endgeneration %}"
ANSWER = "{{ turn['content'] + '[end]' }}"
USER = "{{ '[user]' + turn['content'] + '[end]' }}"


def conversation(answer):
    """A template that writes answers in this way."""
    return (
        "{% for turn in messages %}{% if turn['role'] == 'assistant' %}" + answer
        + "{% else %}" + USER + "{% endif %}{% endfor %}"
    )  # fmt: skip


loop = conversation(HEADER + BEGIN + ANSWER + END)
TEMPLATES = {
    "tag in a loop": loop,
    "tag in a macro": "{% macro answer(turn) %}" + HEADER + BEGIN + ANSWER + END + "{% endmacro %}"
    + conversation("{{ answer(turn) }}"),
    "tag around its call": "{% macro answer(turn) %}" + ANSWER + "{% endmacro %}"
    + conversation(HEADER + BEGIN + "{{ answer(turn) }}" + END),
    "in a filter block": "{% filter trim %}" + loop + "{% endfilter %}",
    "in a set block": "{% set text %}" + loop + "{% endset %}{{ text }}",
}  # fmt: skip
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
made = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
made.decoder = decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=made)
turns = [
    {"role": role, "content": content}
    for role, content in (("user", "So?"), ("assistant", "Yes"), ("user", "Sure?"), ("assistant", "No, why?"))
]
said = []
handler = logging.Handler()
handler.emit = lambda record: said.append(record.getMessage())
logging.getLogger("transformers").addHandler(handler)


def marked(template):
    """All text, and each stretch of it that the mask marks."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        batch = tokenizer.apply_chat_template(
            turns, chat_template=template, return_dict=True, return_assistant_tokens_mask=True
        )
    said.extend(str(warning.message) for warning in warned)
    text = tokenizer.decode(batch["input_ids"])
    mask = "".join(letter if on else "\0" for letter, on in zip(text, batch["assistant_masks"], strict=True))
    return text, [stretch for stretch in mask.split("\0") if stretch]


print(f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}")
texts, seen = set(), {}
for name, template in TEMPLATES.items():
    text, seen[name] = marked(template)
    texts.add(text)
    print(f"  {name:20} {' | '.join(seen[name])}")
answers = ["Yes[end]", "No, why?[end]"]
recorded = {
    "tag in a loop": answers,
    "tag in a macro": ["[assista", "[assistant]No"],
    "tag around its call": answers,
    "in a filter block": ["[user]So?[end"],
    "in a set block": ["[user]So?[end"],
}
changed = [name for name in recorded if seen[name] != recorded[name]]
changed += ["the text"] if len(texts) != 1 else []
changed += [f"it says {message}" for message in said]
print(f"changed: {changed}" if changed else "as recorded")
sys.exit(bool(changed))
PYTHON
