"""What llama.cpp does with an export is compared question by question with what dW does here, and told in words."""

from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from ws.behaviors import Question, behavior
from ws.behaviors.layout import read_behavior
from ws.errors import DataError, MismatchError
from ws.exports import check, control_vector, gguf_lora, llama_cpp, peft_lora
from ws.exports.base import EXACT_NATS, Limits
from ws.exports.check import Checked, checked, told
from ws.exports.questions import Asked
from ws.models.language import LanguageModel
from ws.models.yesno import AnswerTokens
from ws.tests import small
from ws.tests.exporting import in_llama_cpp, llama_file, of_delta, of_steps, random_prompts
from ws.tests.test_own_behaviors import of_text, written

pytestmark = pytest.mark.usefixtures("told")


def questioned(lm: LanguageModel) -> Asked:
    """Random prompts that stand for questions, of which Yes shows the behavior in every second one."""
    plain = random_prompts(lm, (3, 9, 20, 31, 12, 17))
    signs = [+1, -1] * 3
    return replace(plain, questions=tuple(Question(f"q{n}", f"c{n}", "", "", "", "", s) for n, s in enumerate(signs)))


def found(*, scale: float = 1.0, blur: float = 0.0) -> Checked:
    """Effects of 1 to 6 nats towards the behavior, and `scale` times as much there with an error of `blur`."""
    signs = torch.tensor([1.0, -1, 1, -1, 1, -1])
    base, effect = torch.zeros(6), signs * torch.arange(1.0, 7)
    error = blur * torch.tensor([1.0, 1, -1, -1, 1, -1])
    questions = tuple(Question(f"q{n}", f"c{n}", "", "", "", "", int(s)) for n, s in enumerate(signs))
    return Checked(
        Asked(questions, (), AnswerTokens((1,), (2,))), base, effect, base + 0.5, 0.5 + scale * effect + error
    )


def test_an_equal_effect_is_all_of_it() -> None:
    same = found()
    assert (same.slope, same.correlation, same.blur) == (pytest.approx(1), pytest.approx(1), pytest.approx(0))
    assert same.apart == pytest.approx(0.5)
    assert same.towards(same.effect).value == pytest.approx(3.5)


def test_a_weaker_effect_has_a_slope_and_a_blurred_one_an_error() -> None:
    weak, blurred = found(scale=0.6), found(blur=0.3)
    assert (weak.slope, weak.correlation) == (pytest.approx(0.6), pytest.approx(1))
    assert blurred.blur == pytest.approx(0.3)
    assert blurred.correlation < 1


def file_of(path: Path, kind: gguf.GGMLQuantizationType | None) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    value = np.ones((2, 32), dtype=np.float32)
    if kind is None:
        writer.add_tensor("blk.0.attn_q.weight", value)
    else:
        writer.add_tensor("blk.0.attn_q.weight", gguf.quantize(value, kind), raw_dtype=kind)
    writer.add_tensor("blk.0.attn_norm.weight", value[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_words_have_the_users_own_figures(tmp_path: Path) -> None:
    plain = told(found(blur=0.3), file_of(tmp_path / "plain.gguf", None))
    words = " ".join(plain.split())
    assert "plain.gguf, 6 held-out questions; nats, towards the behavior" in words
    assert "effect here +3.500 [" in words
    assert "effect in llama.cpp +3.600 [" in words
    assert "row by row: slope 1.0" in words
    assert "each off by 0.3;" in words
    assert "unsteered, both are 0.5 apart" in words
    assert "quantised" not in words
    quantised = told(found(blur=0.3), file_of(tmp_path / "q.gguf", gguf.GGMLQuantizationType.Q8_0))
    words = " ".join(quantised.split())
    assert "q.gguf is quantised (Q8_0), and llama.cpp rounds activations to 8 bits for such weights" in words
    assert "puts a question's effect off by 0.3, where steering moves it by 3.5. Trust the mean over" in words
    assert max(map(len, quantised.splitlines())) <= 80


def test_a_behavior_without_questions_has_no_effect_to_compare(tmp_path: Path) -> None:
    check.check_asks(behavior("sycophancy"))
    with pytest.raises(DataError, match=r"effects on Yes/No questions, and .* has messages alone"):
        check.check_asks(read_behavior(written(tmp_path / "mine.json", of_text())))


def test_only_what_llama_cpp_reads_is_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="reads no PEFT LoRA; export --to gguf or --to control-vector"):
        check.check_file(tmp_path / "m.gguf", peft_lora)
    with pytest.raises(DataError, match=r"m\.gguf: no such file; give the model's own GGUF file"):
        check.check_file(tmp_path / "m.gguf", gguf_lora)
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(3))
    with pytest.raises(DataError, match=r"m\.gguf is no GGUF file that can be read: its version has 4 bytes at byte 4"):
        check.check_file(tmp_path / "m.gguf", gguf_lora)


@in_llama_cpp
def test_a_lora_has_the_same_effect_in_llama_cpp(tmp_path: Path) -> None:
    lm, file = llama_file("Llama", tmp_path)
    what = of_delta(lm, small.random_update(lm), coeff=0.5)
    gguf_lora.write(tmp_path / "dw.gguf", what, Limits(energy=1.0))
    check.check_file(file, gguf_lora)
    both = checked(tmp_path / "dw.gguf", file, what, gguf_lora, questioned(lm), exactly=True)
    assert max(both.blur, both.apart) <= EXACT_NATS < both.effect.abs().min()
    assert both.slope == pytest.approx(1, abs=1e-3)
    assert "row by row: slope 1.00, correlation 1.000" in " ".join(told(both, file).split())


@in_llama_cpp
def test_a_control_vector_has_the_same_effect_in_llama_cpp(tmp_path: Path) -> None:
    lm, file = llama_file("Qwen3", tmp_path)
    what = of_steps(lm, {2: torch.linspace(-1, 1, 32)}, coeff=0.5)
    control_vector.write(tmp_path / "v.gguf", what, Limits())
    both = checked(tmp_path / "v.gguf", file, what, control_vector, questioned(lm), exactly=True)
    assert max(both.blur, both.apart) <= EXACT_NATS < both.effect.abs().min()


@in_llama_cpp
def test_a_file_with_other_tokens_is_refused(tmp_path: Path) -> None:
    lm, file = llama_file("Llama", tmp_path)
    what = of_delta(lm, small.random_update(lm))
    lm.model.config.vocab_size += 1
    with (
        llama_cpp.opened(file, longest=8) as model,
        pytest.raises(MismatchError, match=r"Llama.gguf has 284 tokens, tiny Llama has 285; give a file of the same"),
    ):
        check.check_same(model, file, what)
