"""Concept proportion: is the label among the concepts that fit an image best?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from lightning_dissect.evaluators.base import EVALUATORS, Answers, Questions
from lightning_dissect.evaluators.encoder_evaluator import EncodedQuestions, EncoderEvaluator
from lightning_dissect.probe import ConceptVocabulary

IMAGES_AT_ONCE = 256


@EVALUATORS.register("concept_proportion")
@dataclass(eq=False)
class ConceptProportion(EncoderEvaluator):
    r"""Says yes where a label is among the best concepts of the vocabulary for an image.

    .. math:: \text{yes} \iff \text{rank}(t) \le p \, |S|

    with the rank of the label :math:`t` by similarity to the image among the concepts :math:`S`: one more than the
    number of concepts that are more similar. The score is :math:`1 - \text{rank} / |S|`.

    Args:
        encoder: An encoder or its registered name; ``None`` for the one that chose the labels.
        fraction: :math:`p`. It was not published; places of Broden, 365 names, were never accepted and 10,000 words
            often, so that it lay between .0001 and .0027.
        cache: Whether embeddings by an encoder of one's own are kept on disk, or the folder where.

    Raises:
        ValueError:
            If ``fraction`` is not in ``(0, 1)``.

    Example:
        >>> from lightning_dissect.evaluators import Encoded, Evidence
        >>> vocabulary, seen = ConceptVocabulary(("cat", "dog")), Encoded(torch.eye(2), torch.eye(2))
        >>> evidence = Evidence(vocabulary, [None, None], reference=torch.arange(2), encoded=seen)
        >>> is_cat = Questions(evidence, ("cat",), images=torch.tensor([0, 1]), label_of=torch.tensor([0, 0]))
        >>> ConceptProportion(fraction=0.5).answer(is_cat).yes
        tensor([ True, False])

    References:
        Wan and Weng, CLIP-Dissect Automatic Evaluation, 2024. https://github.com/houkinwan/CLIPdissectAutoEval

    """

    fraction: float = 0.001
    score_name: ClassVar[str] = "share of concepts that fit worse"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.fraction < 1:
            raise ValueError(f"Expected `fraction` to be in (0, 1) but got {self.fraction}.")

    def check(self, vocabulary: ConceptVocabulary, has_encoder: bool) -> None:
        """Raise what would stop an evaluation; see `LabelEvaluator.check`.

        Raises:
            ValueError:
                If the vocabulary is so small that no label could be accepted.

        """
        super().check(vocabulary, has_encoder)
        if self.fraction * len(vocabulary) < 1:
            raise ValueError(
                f"Expected `fraction` of the vocabulary to be at least one concept but {self.fraction} of "
                f"{len(vocabulary)} is {self.fraction * len(vocabulary):.3g}, so that every label would be refused. "
                f"Use a larger vocabulary or ConceptProportion(fraction={_enough(len(vocabulary))})."
            )

    def answer(self, questions: Questions) -> Answers:
        """Rank the labels among the concepts; see `LabelEvaluator.answer`.

        A label that is no concept of the vocabulary is ranked as if it were; the labels' encoder knows only those.
        """
        seen = self.see(questions)
        ranks = _ranks(seen, seen.places(questions.images), questions.label_of)
        yes = ranks <= self.fraction * len(seen.concepts)
        return Answers(1 - ranks / len(seen.concepts), yes)


def _ranks(seen: EncodedQuestions, places: torch.Tensor, label_of: torch.Tensor) -> torch.Tensor:
    """Return the rank of the label in each question, shape ``(questions,)``; NaN where it has none."""
    ranks = torch.full((len(places),), torch.nan, dtype=torch.float64)
    order = places.argsort(stable=True)
    asked, found, label = places[order], ranks.numpy(), label_of.numpy()
    for start in range(0, len(seen.images), IMAGES_AT_ONCE):
        block = seen.images[start : start + IMAGES_AT_ONCE]
        first, last = torch.searchsorted(asked, torch.tensor([start, start + len(block)])).tolist()
        if first == last:
            continue
        similarities, own = (block @ seen.concepts.T).numpy(), (block @ seen.labels.T).numpy()
        rows, starts = np.unique(asked[first:last].numpy(), return_index=True)
        for row, some in zip(rows - start, np.split(order[first:last].numpy(), starts[1:]), strict=True):
            of_labels = own[row, label[some]]
            better = np.count_nonzero(similarities[row] > of_labels[:, None], axis=1)
            found[some] = np.where(np.isnan(of_labels), np.nan, 1.0 + better)
    return ranks


def _enough(concepts: int) -> float:
    """Return the smallest round fraction that covers one concept."""
    digits = 1
    while digits < concepts:
        digits *= 10
    return next(share / digits for share in (1, 2, 5, 10) if share * concepts >= digits)
