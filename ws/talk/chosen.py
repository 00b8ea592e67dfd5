"""What steers, as a user names it: a family, two folders, one, a direction in activations, a message, or a file."""

from dataclasses import dataclass
from pathlib import Path

from ws.contest.own_steering import alone, check_blocks, check_seeded, check_words
from ws.contest.vectors import vectors_by
from ws.errors import DataError
from ws.steering.interventions import Activations, Intervention, SystemPrompt, Weights, folder_weights
from ws.study.subject import Subject
from ws.talk.files import AdapterFolder, VectorFile


@dataclass(frozen=True)
class Chosen:
    """One way to steer, named by its options."""

    family: str | None = None
    training: int = 0
    """The seed of the training that dW, or a persona vector, comes from."""
    plus: Path | None = None
    minus: Path | None = None
    adapter: Path | None = None
    activation: str | None = None
    blocks: tuple[int, ...] = ()
    vector: Path | None = None
    system: str | None = None

    def __post_init__(self) -> None:
        both = None if self.plus is None and self.minus is None else (self.plus, self.minus)
        ways = {
            "--family": self.family,
            "--plus and --minus": both,
            "--adapter": self.adapter,
            "--activation": self.activation,
            "--vector": self.vector,
            "--system": self.system,
        }
        given = [name for name, value in ways.items() if value is not None]
        if len(given) != 1:
            raise DataError(
                f"{' with '.join(given) or 'nothing'} to steer by; give one of {'; '.join(ways)}, for example "
                "--family delora"
            )
        if both is not None and None in both:
            raise DataError(f"{alone(self.plus, self.minus)}, or name one as --adapter")
        check_blocks(self.activation, self.blocks)
        check_words({"--system": self.system})
        if self.training and not self.is_trained:
            raise DataError(f"--training-seed {self.training} of {given[0]}, which is not trained here; leave it out")
        check_seeded(self.activation, {"--training-seed": self.training})

    @property
    def is_trained(self) -> bool:
        """Whether it is made of a behavior, here."""
        return self.family is not None or self.activation is not None

    def of_family(self, name: str) -> "Chosen":
        """dW of a family, of the same training if there was one."""
        return Chosen(family=name, training=self.training)

    def intervention(self, subject: Subject) -> Intervention:
        """The steering itself. Raises: WsError for a name or a file that is not there, or is something else."""
        if self.family is not None:
            return Weights(subject.direction(self.family, seed=self.training))
        if self.activation is not None:
            return Activations(vectors_by(subject, self.activation, seed=self.training), self.blocks)
        if self.adapter is not None:
            return AdapterFolder(self.adapter)
        if self.vector is not None:
            return VectorFile(self.vector)
        if self.system is not None:
            return SystemPrompt(self.system)
        return folder_weights(*filter(None, (self.plus, self.minus)))

    @property
    def name(self) -> str:
        """A few words for the head of a column."""
        if self.family is not None:
            return f"dW of {self.family}"
        if self.activation is not None:
            return f"{self.activation} at block {', '.join(map(str, self.blocks))}"
        if self.adapter is not None:
            return f"adapter {self.adapter.name}"
        if self.vector is not None:
            return f"vectors of {self.vector.name}"
        if self.system is not None:
            return "system message"
        return " minus ".join(folder.name for folder in (self.plus, self.minus) if folder is not None)

    def made_of(self, subject: Subject) -> str:
        """What it was made of, if that was a behavior; empty otherwise."""
        return f"{subject.behavior_name}, training seed {self.training}" if self.is_trained else ""
