"""What judges labels by looking at images: questions, answers and who may answer them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.registry import Registry
from lightning_dissect.types import Picture


@dataclass(frozen=True)
class Encoded:
    """Images and concepts as the encoder sees them that chose the labels.

    Args:
        images: Embeddings of norm 1, shape ``(images, dimensions)``, in the order of the evidence.
        concepts: Embeddings of norm 1, shape ``(concepts, dimensions)``, in the order of the vocabulary.
        temperature: Factor that brings the cosines to the scale of CLIP's.
        family: Family of the encoder, such as ``"CLIP"``.

    """

    images: Tensor
    concepts: Tensor
    temperature: float = 1.0
    family: str = ""


@dataclass(frozen=True)
class Evidence:
    """The images that labels are judged by, and what else is known of them.

    Args:
        vocabulary: The concepts among which labels were chosen.
        pictures: Each image, ``(height, width, 3)`` uint8; ``None`` where there is no picture of it any more.
        reference: Rows of images drawn from the probe at random, shape ``(references,)``, long.
        encoded: The images as the labels' encoder sees them, ``None`` if there is none.

    """

    vocabulary: ConceptVocabulary
    pictures: Sequence[Picture | None]
    reference: Tensor
    encoded: Encoded | None = None

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True)
class Questions:
    """Whether images show what labels say: any pairs of the two.

    Args:
        evidence: The images.
        labels: Any texts; they need not stand in the vocabulary.
        images: Row of the image in each question, shape ``(questions,)``, long.
        label_of: Place of the label in each question, shape ``(questions,)``, long.

    Example:
        >>> evidence = Evidence(ConceptVocabulary(("cat", "dog")), pictures=[None, None], reference=torch.arange(2))
        >>> len(Questions(evidence, ("cat",), images=torch.tensor([0, 1]), label_of=torch.tensor([0, 0])))
        2

    """

    evidence: Evidence
    labels: tuple[str, ...]
    images: Tensor
    label_of: Tensor

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Answers:
    """What an evaluator answers.

    Args:
        scores: How well image and label fit, the higher the better, shape ``(questions,)``, float64; NaN where there is
            no answer.
        yes: Whether the label is right for the image, shape ``(questions,)``, bool; ``False`` where there is no answer.

    """

    scores: Tensor
    yes: Tensor

    @classmethod
    def above(cls, scores: Tensor, threshold: float) -> "Answers":
        """Say yes where a score is above a threshold.

        Args:
            scores: Shape ``(questions,)``.
            threshold: The threshold, itself a no.

        Example:
            >>> Answers.above(torch.tensor([0.2, 0.3, float("nan")]), threshold=0.25).yes
            tensor([False,  True, False])

        """
        return cls(scores.to(torch.float64), scores > threshold)


@runtime_checkable
class LabelEvaluator(Protocol):
    """Answers whether images show what labels say.

    An evaluator is given a name by its registration; settings are fields, so that its ``repr`` says how it judges.
    """

    @property
    def family(self) -> str:
        """Family of the model that answers, such as ``"CLIP"`` or ``"blip-2"``; empty for that of the labels' encoder.

        Where it is that of the labels' encoder, reports say so: a model is no witness of its own labels.
        """
        ...

    @property
    def questions_at_once(self) -> int:
        """Questions that `answer` should get at a time; the time that is left is looked at in between."""
        ...

    def check(self, vocabulary: ConceptVocabulary, has_encoder: bool) -> None:
        """Raise what would stop an evaluation, without loading a model.

        Args:
            vocabulary: The concepts among which labels are chosen.
            has_encoder: Whether an encoder chooses them.

        Raises:
            ValueError:
                If the settings do not fit the vocabulary, or a model is missing.
            ModuleNotFoundError:
                If a package is not installed; the message says which to install.

        """
        ...

    def answer(self, questions: Questions) -> Answers:
        """Answer every question, each independently of the others.

        Args:
            questions: At most about `questions_at_once`.

        Raises:
            RuntimeError:
                If a model cannot be loaded.

        """
        ...

    def release(self) -> None:
        """Give back what is only needed while questions are answered, such as memory on a device."""
        ...


EVALUATORS: Registry[LabelEvaluator] = Registry("evaluator")
