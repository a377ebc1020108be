"""Embedding similarity: is the label close enough to an image, by itself or against images at random?"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lightning_dissect.evaluators.base import EVALUATORS, Answers, Questions
from lightning_dissect.evaluators.encoder_evaluator import EncodedQuestions, EncoderEvaluator

QUESTIONS_AT_ONCE = 2**15
LABELS_AT_ONCE = 256


@EVALUATORS.register("embedding_similarity")
@dataclass(eq=False)
class EmbeddingSimilarity(EncoderEvaluator):
    """Says yes where the cosine of an image and a label is above a threshold.

    The cosine is brought to the scale of CLIP's first by the encoder's temperature, which is 1 for all of CLIP. Still,
    the threshold was chosen for one checkpoint: `EmbeddingPercentile` needs none.

    Args:
        encoder: An encoder or its registered name; ``None`` for the one that chose the labels.
        threshold: The least cosine that is not enough; .25 as published.
        cache: Whether embeddings by an encoder of one's own are kept on disk, or the folder where.

    Example:
        >>> from lightning_dissect.evaluators import Encoded, Evidence
        >>> from lightning_dissect.probe import ConceptVocabulary
        >>> vocabulary, seen = ConceptVocabulary(("cat", "dog")), Encoded(torch.eye(2), torch.eye(2))
        >>> evidence = Evidence(vocabulary, [None, None], reference=torch.arange(2), encoded=seen)
        >>> is_cat = Questions(evidence, ("cat",), images=torch.tensor([0, 1]), label_of=torch.tensor([0, 0]))
        >>> EmbeddingSimilarity().answer(is_cat).yes
        tensor([ True, False])

    References:
        Wan and Weng, CLIP-Dissect Automatic Evaluation, 2024. https://github.com/houkinwan/CLIPdissectAutoEval

    """

    threshold: float = 0.25
    score_name: ClassVar[str] = "cosine"

    def answer(self, questions: Questions) -> Answers:
        """Compare with the threshold; see `LabelEvaluator.answer`."""
        return Answers.above(_cosines(self.see(questions), questions.images, questions.label_of), self.threshold)


@EVALUATORS.register("embedding_percentile")
@dataclass(eq=False)
class EmbeddingPercentile(EncoderEvaluator):
    """Says yes where an image fits a label better than most images of the probe do.

    The score is the share of the reference images, drawn from the probe at random, that are less similar to the label;
    those that are equally similar count half. It does not depend on how a checkpoint scales its cosines, nor on
    whether a label is close to everything.

    Args:
        encoder: An encoder or its registered name; ``None`` for the one that chose the labels.
        threshold: The largest share that is not enough.
        cache: Whether embeddings by an encoder of one's own are kept on disk, or the folder where.

    Raises:
        ValueError:
            If ``threshold`` is not in ``[0, 1)``.

    Example:
        >>> from lightning_dissect.evaluators import Encoded, Evidence
        >>> from lightning_dissect.probe import ConceptVocabulary
        >>> vocabulary, seen = ConceptVocabulary(("cat", "dog")), Encoded(torch.eye(2), torch.eye(2))
        >>> evidence = Evidence(vocabulary, [None, None], reference=torch.arange(2), encoded=seen)
        >>> is_cat = Questions(evidence, ("cat",), images=torch.tensor([0, 1]), label_of=torch.tensor([0, 0]))
        >>> EmbeddingPercentile().answer(is_cat).scores
        tensor([0.7500, 0.2500], dtype=torch.float64)

    """

    threshold: float = 0.95
    score_name: ClassVar[str] = "percentile"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.threshold < 1:
            raise ValueError(f"Expected `threshold` to be in [0, 1) but got {self.threshold}.")

    def answer(self, questions: Questions) -> Answers:
        """Compare with the reference images; see `LabelEvaluator.answer`."""
        seen = self.see(questions)
        places, reference = seen.places(questions.images), seen.places(questions.evidence.reference)
        reference = reference[reference >= 0]
        scores = torch.full((len(questions),), torch.nan, dtype=torch.float64)
        order = questions.label_of.argsort(stable=True)
        order = order[places[order] >= 0]
        for labels in torch.split(torch.arange(len(seen.labels)), LABELS_AT_ONCE) if len(reference) else ():
            first, last = torch.searchsorted(questions.label_of[order], labels[[0, -1]] + torch.tensor([0, 1])).tolist()
            part = order[first:last]
            similarities = seen.labels[labels] @ seen.images.T
            rows, own = questions.label_of[part] - labels[0], places[part]
            ascending = similarities[:, reference].sort(dim=1).values
            scores[part] = _percentiles(similarities[rows, own], ascending, rows)
        return Answers.above(scores, self.threshold)


def _percentiles(values: Tensor, ascending: Tensor, rows: Tensor) -> Tensor:
    """Return the share of a row that is below each value, and half of what equals it, shape ``(values,)``."""
    shares = torch.empty(len(values), dtype=torch.float64)
    for part in torch.split(torch.arange(len(values)), QUESTIONS_AT_ONCE):
        of_rows, some = ascending[rows[part]], values[part, None]
        counts = torch.searchsorted(of_rows, some) + torch.searchsorted(of_rows, some, right=True)
        shares[part] = counts[:, 0].to(torch.float64) / (2 * ascending.shape[1])
    return shares.where(values.isfinite(), torch.nan)


def _cosines(seen: EncodedQuestions, images: Tensor, label_of: Tensor) -> Tensor:
    """Return the similarity in each question, shape ``(questions,)``, float64; NaN where an embedding is missing."""
    places = seen.places(images)
    found = torch.full((len(images),), torch.nan, dtype=torch.float64)
    for part in torch.split((places >= 0).nonzero().flatten(), QUESTIONS_AT_ONCE):
        found[part] = (seen.images[places[part]] * seen.labels[label_of[part]]).sum(dim=1, dtype=torch.float64)
    return found
