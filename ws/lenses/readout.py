"""Whether the output head can read what a direction does to the hidden states.

The journal's functional probe (2026-04-27, "v10 wendler-style functional probe"), whose code is public
(github.com/wassname/weight-steering: nbs/v10_llama.py). States are read at a prompt's last token, layer by layer, and
dh is the state at coefficient +1 minus the state at -1. Differences from the journal's code:

* Token energy. Wendler et al. 2024, "Do Llamas Work in English?", arXiv:2402.10588, eq. 2, divide the mean squared
  cosine of a state with the rows of the unembedding by the mean squared cosine of the rows with each other. The
  journal's code uses the formula for states of norm sqrt(d) on states of any norm, so that a short vector has little
  energy wherever it points (`sized`). Both are measured.
* Logit lens. Ours is the change of the answers' log-ratio after the final norm, in nats at every depth; at the last
  layer this is the change of the model's own answer. The journal's is `linear`, (e_yes - e_no) . dh.
* The task basis. The journal's is fitted on centred samples (principal components), which leaves out the mean of dh,
  and then measured on that mean. `uncentred` keeps the mean.

As in the journal's code, the gain of the final norm is folded into neither the readers nor the axis.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from ws.behaviors import Question
from ws.engine.loading import loaded
from ws.engine.plain import own_readout
from ws.errors import ChatError, MismatchError, ShapeError
from ws.lenses.bases import Bases, check_width, principal, random_layers, read_bases
from ws.lenses.chance import ALL, Random, chance
from ws.models.language import LanguageModel, layer_range
from ws.models.yesno import AnswerTokens
from ws.scoring.rows import answers_of
from ws.steering.states import Prompt, States, read_states
from ws.store import Recipe, Store
from ws.store.tables import read_table
from ws.training.direction import Direction

RANKS = (8, 16, 32, 64, 128)
"""Ranks of task bases, as far as there are enough prompts to fit them."""

DECODED = 12
"""How many tokens a direction is decoded into, as in the journal's code."""


@dataclass(frozen=True)
class Moved:
    """The states at some questions in the unchanged model and steered by +1 and by -1 times a direction.

    Raises: MismatchError unless all three are of these questions, and the steered two of one direction.
    """

    questions: tuple[Question, ...]
    base: States
    plus: States
    minus: States

    def __post_init__(self) -> None:
        asked = [question.text for question in self.questions]
        if any([prompt.user for prompt in states.prompts] != asked for states in (self.base, self.plus, self.minus)):
            raise MismatchError(f"states of other prompts than these {len(asked)} questions; read all of one tuple")
        seen = [states.coeff for states in (self.base, self.plus, self.minus)]
        if seen != [0.0, 1.0, -1.0] or self.plus.direction != self.minus.direction:
            raise MismatchError(f"states at coefficients {seen}; expected 0, +1 and -1, the latter of one direction")

    @property
    def direction(self) -> Direction:
        return self.plus.direction  # type: ignore[return-value]  # checked above

    def states(self, store: Store) -> tuple[Float[Tensor, "layer prompt d_model"], ...]:
        """The states after each block: of the unchanged model, at +1 and at -1."""
        return tuple(read_states(store, states)[1:] for states in (self.base, self.plus, self.minus))

    def change(self, store: Store) -> Float[Tensor, "layer prompt d_model"]:
        """dh, layer by layer."""
        _, plus, minus = self.states(store)
        return plus - minus

    def layers(self, lm: LanguageModel) -> range:
        """The layers that have dW."""
        return layer_range(lm.n_layers, *self.direction.plus.training.layers)


def moved(direction: Direction, questions: tuple[Question, ...], prefill: str) -> Moved:
    """The recipes of all states at these questions, each with `prefill` as the start of its answer."""
    on = direction.on
    prompts = tuple(Prompt(question.text, prefill=prefill) for question in questions)
    plus, minus = (States(on, prompts, direction, coeff) for coeff in (1.0, -1.0))
    return Moved(questions, States(on, prompts), plus, minus)


@dataclass(frozen=True)
class Readout(Recipe):
    """What the output head reads of a direction's dh, from the first layer that has dW on.

    `layers.parquet`: a row per layer and question with question_id, cluster, pair, sign, layer, adapted (whether the
    layer has dW), clean_energy and dh_energy (`token_energy`), clean_sized and dh_sized (`sized`), lens (nats), linear.
    `preserved.parquet`: the share of dh that bases keep, by basis, rank, adapted layer and question outside `fit`.
    `tokens.json`: the tokens that +dh and -dh decode to, by layer, averaged over the questions outside `fit`.
    """

    of: Moved
    fit: tuple[str, ...]
    """The clusters whose questions task bases are fitted on; bases are measured on the questions of all others."""

    def describe(self) -> str:
        return f"readout of {self.of.direction.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.of.base.on, store)
        base, plus, minus = self.of.states(store)
        layers = self.of.layers(lm)
        by_layer(lm, self.of.questions, base, plus, minus, layers).to_parquet(out / "layers.parquet")
        fit = torch.tensor([question.cluster in self.fit for question in self.of.questions])
        asked = [question for question in self.of.questions if question.cluster not in self.fit]
        kept = pd.concat(
            [kept_of_dh(plus[at, fit] - minus[at, fit], plus[at, ~fit] - minus[at, ~fit], asked, at) for at in layers]
        )
        kept.to_parquet(out / "preserved.parquet")
        means = (plus - minus)[layers.start :, ~fit].mean(1)
        tokens = {str(layers.start + place): decoded(lm, mean) for place, mean in enumerate(means)}
        (out / "tokens.json").write_text(json.dumps(tokens, ensure_ascii=False, indent=1), encoding="utf-8")


def read_layers(store: Store, recipe: Readout) -> pd.DataFrame:
    """The table of layers and questions."""
    return read_table(store.get(recipe) / "layers.parquet")


def read_preserved(store: Store, recipe: Readout) -> pd.DataFrame:
    """Columns basis (task, uncentred, own), k, layer, question_id, cluster and share."""
    return read_table(store.get(recipe) / "preserved.parquet")


def read_tokens(store: Store, recipe: Readout) -> dict[str, dict[str, list[str]]]:
    """By layer, the tokens that +dh and -dh ("plus", "minus") decode to, strongest first."""
    return json.loads((store.get(recipe) / "tokens.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class AxisShares(Recipe):
    """`axis.parquet`: how much of the Yes-No axis each base-model basis contains, a row per basis, layer and draw.

    Columns basis, layer, draw (0 for all but the random basis), k, width, share, null (k / width), null_sd and z. The
    basis `answers`, spanned by the unembedding's rows of the two answers, contains all of the axis.
    """

    bases: Bases
    draws: int = 20
    """How often the random basis is drawn."""

    def describe(self) -> str:
        return f"the Yes-No axis in {self.bases.describe()}"

    def build(self, out: Path, store: Store) -> None:
        lm = loaded(self.bases.texts.on, store)
        rows = torch.stack(answer_rows(lm)).T.cpu()
        axis = rows[:, 0] - rows[:, 1]
        named = read_bases(store, self.bases)
        layers = list(named.pop("random"))
        named["answers"] = dict.fromkeys(layers, torch.linalg.qr(rows).Q)
        drawn = [random_layers(layers, width=len(axis), k=self.bases.k, seed=draw) for draw in range(self.draws)]
        arms = [(name, 0, found) for name, found in named.items()]
        arms += [("random", draw, found) for draw, found in enumerate(drawn)]
        lines = [
            {"basis": name, "draw": draw, "layer": layer, **axis_share(basis, axis)}
            for name, draw, found in arms
            for layer, basis in found.items()
        ]
        pd.DataFrame(lines).to_parquet(out / "axis.parquet")


def read_axis(store: Store, recipe: AxisShares) -> pd.DataFrame:
    """The shares of the Yes-No axis."""
    return read_table(store.get(recipe) / "axis.parquet")


def token_form(unembedding: Float[Tensor, "vocab d_model"]) -> Float[Tensor, "d_model d_model"]:
    """The quadratic form whose value at a unit vector is its squared token energy: v U^T U / |U^T U|^2, U's rows unit.

    A row of zeros, padding of the vocabulary, counts as a token without any cosine.
    Source: Wendler et al. 2024, arXiv:2402.10588, eq. 2 and footnote 3.
    """
    rows = torch.nn.functional.normalize(unembedding, dim=1)
    gram = einsum(rows, rows, "vocab i, vocab j -> i j").double()
    return len(rows) * gram / gram.square().sum()


def token_energy(h: Float[Tensor, "*batch d_model"], form: Float[Tensor, "d_model d_model"]) -> Float[Tensor, "*batch"]:
    """Squared token energy: mean squared cosine of a state with token embeddings, over that of embeddings themselves.

    Its mean over all token embeddings is 1. Raises: ShapeError for a zero state, which has no direction.
    Source: Wendler et al. 2024, arXiv:2402.10588, eq. 2.
    """
    h = h.to(form)
    squares = h.square().sum(-1)
    if (squares == 0).any():
        raise ShapeError("token energy of a state that is zero; leave out the layers below the lowest dW")
    return einsum(h @ form, h, "... d, ... d -> ...") / squares


def sized(energy: Float[Tensor, "*batch"], h: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch"]:
    """Squared token energy times |h|^2 / d: the journal's measure, which does not scale states to one norm."""
    return energy * h.to(energy).square().mean(-1)


def answer_rows(lm: LanguageModel) -> tuple[Float[Tensor, " d_model"], Float[Tensor, " d_model"]]:
    """e_yes and e_no: the unembedding's rows of the spellings Yes and No, which questions ask for.

    Raises: ChatError if a spelling is not one token.
    """
    ids = [lm.tokenizer.encode(word, add_special_tokens=False) for word in ("Yes", "No")]
    if any(len(found) != 1 for found in ids):
        raise ChatError(f"Yes and No are tokens {ids} of {lm.name}; the Yes-No axis needs one token each")
    yes, no = _head(lm)[[found[0] for found in ids]].float()
    return yes, no


def yes_no_axis(lm: LanguageModel) -> Float[Tensor, " d_model"]:
    """e_yes - e_no."""
    yes, no = answer_rows(lm)
    return yes - no


def log_ratios(
    lm: LanguageModel, states: Float[Tensor, "*batch d_model"], answers: AnswerTokens
) -> Float[Tensor, "*batch"]:
    """Logit lens: log P(yes) - log P(no) if this state were the last, in nats.

    All other tokens cancel in the ratio, so only the head's rows of the answers' spellings are computed. A model that
    does more to its last state than the final norm and the head runs its own code instead.
    """
    states = states.to(lm.device, lm.dtype)
    with torch.no_grad():
        if lm.passes == "packed":
            normed = lm.model.get_decoder().norm(states)
            logits = [normed @ _head(lm)[list(ids)].T for ids in (answers.yes, answers.no)]
        else:
            read = own_readout(lm, states.flatten(0, -2)).unflatten(0, states.shape[:-1])
            logits = [read[..., list(ids)] for ids in (answers.yes, answers.no)]
    yes, no = (found.float().logsumexp(-1).cpu() for found in logits)
    return yes - no


def by_layer(
    lm: LanguageModel,
    questions: Sequence[Question],
    base: Float[Tensor, "layer prompt d_model"],
    plus: Float[Tensor, "layer prompt d_model"],
    minus: Float[Tensor, "layer prompt d_model"],
    adapted: range,
) -> pd.DataFrame:
    """The rows of `layers.parquet`, for states after every block."""
    form, axis, answers = _form(lm), yes_no_axis(lm).cpu(), answers_of(lm)
    frames = []
    for layer in range(adapted.start, len(base)):
        dh = plus[layer] - minus[layer]
        clean_energy, dh_energy = token_energy(base[layer], form), token_energy(dh, form)
        measured = {
            "clean_energy": clean_energy,
            "dh_energy": dh_energy,
            "clean_sized": sized(clean_energy, base[layer]),
            "dh_sized": sized(dh_energy, dh),
            "lens": log_ratios(lm, plus[layer], answers) - log_ratios(lm, minus[layer], answers),
            "linear": dh @ axis,
        }
        columns = {name: values.double().numpy() for name, values in measured.items()}
        frames.append(_labels(questions).assign(layer=layer, adapted=layer in adapted, **columns))
    return pd.concat(frames, ignore_index=True)


def kept_of_dh(
    fit: Float[Tensor, "fitted d_model"],
    test: Float[Tensor, "tested d_model"],
    questions: Sequence[Question],
    layer: int,
) -> pd.DataFrame:
    """The rows of `preserved.parquet` of one layer: the share of the tested prompts' dh in bases of growing rank.

    task: principal components of dh of the fit prompts, centred as in the journal; uncentred: their singular
    directions without centring; own: singular directions of the tested prompts themselves, an upper bound.
    """
    frames = []
    for name, samples, centred in (("task", fit, True), ("uncentred", fit, False), ("own", test, False)):
        for k in (rank for rank in RANKS if rank < min(len(samples), samples.shape[1] + 1)):
            basis = principal(samples, k) if centred else dominant(samples, k)
            share = preserved(basis, test).double().numpy()
            frames.append(_labels(questions).assign(basis=name, k=k, layer=layer, share=share))
    return pd.concat(frames, ignore_index=True)


def dominant(samples: Float[Tensor, "prompt d_model"], k: int) -> Float[Tensor, "d_model k"]:
    """The k leading singular directions of uncentred samples. Raises: ShapeError if there are fewer."""
    check_width(k, min(samples.shape))
    return torch.linalg.svd(samples, full_matrices=False).Vh[:k].T


def preserved(basis: Float[Tensor, "d_model k"], h: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch"]:
    """|P h|^2 / |h|^2 of each vector h, where P projects onto the orthonormal columns of `basis`."""
    return (h @ basis).square().sum(-1) / h.square().sum(-1)


def axis_share(basis: Float[Tensor, "d_model k"], axis: Float[Tensor, " d_model"]) -> dict[str, int | float]:
    """How much of an axis a basis contains, and what random directions would: k, width, share, null, null_sd, z."""
    width, k = basis.shape
    null = chance(torch.ones(1), left=Random(k, width), right=ALL)
    share = preserved(basis, axis).item()
    spread = {"null": null.mean, "null_sd": null.sd, "z": (share - null.mean) / null.sd if null.sd else float("nan")}
    return {"k": k, "width": width, "share": share, **spread}


def decoded(lm: LanguageModel, h: Float[Tensor, " d_model"]) -> dict[str, list[str]]:
    """The tokens whose rows of the unembedding point most along h ("plus") and against it ("minus")."""
    logits = _head(lm) @ h.to(lm.device, lm.dtype)
    return {
        name: [lm.tokenizer.decode([token]) for token in (sign * logits).topk(DECODED).indices.tolist()]
        for name, sign in (("plus", 1), ("minus", -1))
    }


def _head(lm: LanguageModel) -> Float[Tensor, "vocab d_model"]:
    return lm.model.get_output_embeddings().weight.detach()


@lru_cache(maxsize=2)
def _form(lm: LanguageModel) -> Float[Tensor, "d_model d_model"]:
    return token_form(_head(lm).float()).cpu()


def _labels(questions: Sequence[Question]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"question_id": q.id, "cluster": q.cluster, "pair": q.pair, "sign": q.sign} for q in questions]
    )
