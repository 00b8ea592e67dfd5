"""Small chat templates in the styles of families of models, and small tokenizers that carry them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ws.models import tiny

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

HEADER = "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}"
PROMPTED = "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"

QWEN = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}"
    "{%- if m.role == 'assistant' %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
    "{{- m.content + '<|im_end|>\\n' }}{%- endfor %}" + PROMPTED + "{%- if enable_thinking is defined and "
    "enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)
"""Thinks unless told not to."""

DEEPSEEK = (
    "{%- for m in messages %}{%- if m.role == 'system' %}{{- m.content }}{%- elif m.role == 'user' %}"
    "{{- '<|user|>' + m.content }}{%- else %}{{- '<|assistant|>' + m.content + '<|im_end|>' }}{%- endif %}{%- endfor %}"
    "{%- if messages[-1].role == 'user' %}{{- '<|assistant|><think>\\n' }}{%- endif %}"
)
"""Opens a thought by itself, whatever `add_generation_prompt` says."""

HYBRID = HEADER + PROMPTED + "{{- '<think>' if thinking else '</think>' }}{%- endif %}"
"""Thinks only where told to; without a thought there is its end alone."""

EFFORT = HEADER + (
    "{%- set effort = reasoning_effort if reasoning_effort is defined else 'high' %}" + PROMPTED + "{%- if effort != "
    "'none' %}{{- '[THINK]' }}{%- endif %}{%- endif %}"
)
"""Thinks with an effort, of which none is one."""

CHANNELS = (
    "{%- for m in messages %}{%- if m.role == 'assistant' %}"
    "{{- '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|return|>' }}"
    "{%- else %}{{- '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}"
)
"""Leaves it to the model whether the channel it begins with is a thought."""

LLAMA = (
    "{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}"
    "{{- '<|im_start|>system\\nToday Date: ' + date_string + '\\n' }}"
    "{%- if messages[0].role == 'system' %}{{- messages[0].content | trim }}{%- set messages = messages[1:] %}"
    "{%- endif %}{{- '<|im_end|>' }}{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + (m.content | trim) + "
    "'<|im_end|>' }}{%- endfor %}" + PROMPTED + "{%- endif %}"
)
"""Prints a date that it is given, or else today's."""

CLOCK = "{{- 'Today is ' + strftime_now(\"%A, %d %B %Y, %H:%M\") + '.\\n' }}" + HEADER + PROMPTED + "{%- endif %}"
"""Asks the clock."""

GEMMA = (
    "{%- set head = '' %}{%- if messages[0].role == 'system' %}{%- set head = messages[0].content + '\\n\\n' %}"
    "{%- set messages = messages[1:] %}{%- endif %}{%- for m in messages %}{{- '<start_of_turn>' + ('model' if "
    "m.role == 'assistant' else m.role) + '\\n' + (head if loop.first else '') + (m.content | trim) + "
    "'<end_of_turn>\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}"
)
"""Has no system role and folds a system message into the first user turn."""

NO_SYSTEM = "{%- if messages[0].role == 'system' %}{{- raise_exception('System role not supported') }}{%- endif %}" + (
    HEADER + PROMPTED + "{%- endif %}"
)
DROPS_SYSTEM = "{%- set messages = messages | rejectattr('role', 'equalto', 'system') | list %}" + (
    HEADER + PROMPTED + "{%- endif %}"
)

SPECIAL = (
    "<eos>",
    *tiny.SPECIAL_TOKENS[1:],
    "[THINK]",
    "[/THINK]",
    "<|user|>",
    "<|assistant|>",
    "<|start|>",
    "<|channel|>",
    "<|message|>",
    "<|end|>",
    "<|return|>",
    "<start_of_turn>",
    "<end_of_turn>",
)


def tokenizer(source: str, *, added: Sequence[str] = ()) -> "PreTrainedTokenizerFast":
    """A tokenizer of bytes that has the control tokens of all these templates; its end of sequence is <eos>."""
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast(
        tokenizer_object=_bytes(), eos_token="<eos>", clean_up_tokenization_spaces=False, chat_template=source
    )
    made.add_tokens([AddedToken(token, special=False, normalized=False) for token in added])
    return made


def _bytes():
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    words = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = Tokenizer(models.BPE(vocab={word: place for place, word in enumerate(words)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return made
