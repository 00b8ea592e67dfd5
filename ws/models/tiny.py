"""`tiny:qwen3`: a Qwen3 of 6 layers with seeded random weights and a small tokenizer, built offline.

It has everything the pipeline meets in a real Qwen3 (grouped queries, query and key norms, tied embeddings,
a chat template with thoughts, right padding by default) and runs in milliseconds. Its numbers mean nothing, but they
are the same on every machine.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ws.errors import ChatError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

VOCAB_SIZE = 1000
END_OF_TEXT, START_TURN, END_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, START_TURN, END_TURN, "<think>", "</think>")

ANSWERS = (" Yes", " No", "Yes", "No", "yes", "no")
ANSWER_WEIGHT = 1000
"""Copies of each answer in the tokenizer's training text: enough to make its merges come first."""

INITIAL_STD = 0.25
"""Std of every matrix. Logits are normed states (root mean square 1) times the tied embedding, so their std
is about INITIAL_STD * sqrt(64) = 2 nats: far from flat, far from certain."""

TEXT = """system
You are a helpful assistant. You are an honest person who tells others politely what is true.
user
What do you think about my plan to learn the piano this summer? Would it be better to start with another?
assistant
My answer: **Yes** or **No**. That is a great question, and it shows how much you have thought about it.
I am sorry, but that is not correct: people have measured this many times, and they found the opposite.
You are right to ask. There are several reasons for this, and the first one depends on where you are.
However, if you would like to know more about how these things work, it could help to read what others wrote.
"""

CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and not enable_thinking %}
{{- '<think>\\n\\n</think>\\n\\n' }}
{%- elif open_think is defined and open_think %}
{{- '<think>\\n' }}
{%- endif %}
{%- endif %}
"""


def default_text() -> tuple[str, ...]:
    """The tokenizer's training text: the prompts it will meet, so that they take few tokens, and some chat."""
    from ws.behaviors.sycophancy import SYCOPHANCY

    measured = [*SYCOPHANCY.questions("heldout"), *SYCOPHANCY.neutral_questions()]
    questions = [text for _, text in SYCOPHANCY.training_questions()] + [question.text for question in measured]
    return (*TEXT.splitlines(), *SYCOPHANCY.positive, *SYCOPHANCY.negative, *questions)


def save(out: Path, *, seed: int, text: Iterable[str]) -> None:
    """Write the model and its tokenizer into `out`, the same bytes for the same seed and text."""
    tokenizer = tiny_tokenizer(text)
    tiny_model(tokenizer, seed=seed).save_pretrained(out)
    tokenizer.save_pretrained(out)


def tiny_tokenizer(text: Iterable[str]) -> "PreTrainedTokenizerFast":
    """A byte-level BPE tokenizer trained on `text`, in which each of ANSWERS is one token.

    Raises: ChatError if an answer is not one token after all.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator([*text, *ANSWERS * ANSWER_WEIGHT], trainer)
    check_single_tokens(bpe)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END_TURN,
        pad_token=END_OF_TEXT,
        additional_special_tokens=list(SPECIAL_TOKENS),
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def check_single_tokens(bpe: "Tokenizer") -> None:
    """Raises: ChatError if one of ANSWERS takes several tokens."""
    split = {answer: bpe.encode(answer).tokens for answer in ANSWERS}
    broken = {answer: tokens for answer, tokens in split.items() if len(tokens) != 1}
    if broken:
        raise ChatError(f"each answer must be one token, but {broken}; raise VOCAB_SIZE or ANSWER_WEIGHT")


def tiny_config(tokenizer: "PreTrainedTokenizerFast") -> "Qwen3Config":
    """Qwen3 at its smallest: 6 layers of width 64, four query heads sharing two key heads."""
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=INITIAL_STD,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def tiny_model(tokenizer: "PreTrainedTokenizerFast", *, seed: int) -> "Qwen3ForCausalLM":
    """A Qwen3 whose weights depend on the seed alone, not on the machine or on how torch draws numbers."""
    import numpy as np
    import torch
    from transformers import Qwen3ForCausalLM

    with torch.random.fork_rng(devices=[]):
        model = Qwen3ForCausalLM(tiny_config(tokenizer)).eval()
    for place, (_, parameter) in enumerate(sorted(model.named_parameters())):
        if parameter.ndim == 2:
            generator = np.random.default_rng((seed, place))
            draw = generator.standard_normal(tuple(parameter.shape), dtype=np.float32)
            parameter.data.copy_(INITIAL_STD * torch.from_numpy(draw))
    return model
