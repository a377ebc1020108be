"""Embedding similarity: is the label close enough to an image, by itself or against images at random?"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lightning_dissect.evaluators.base import EVALUATORS, Answers, Questions
from lightning_dissect.evaluators.encoder_evaluator import EncodedQuestions, EncoderEvaluator

QUESTIONS_AT_ONCE = 2**15


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
        own = _cosines(seen, questions.images, questions.label_of)
        places = seen.places(questions.evidence.reference)
        of_reference = (seen.labels @ seen.images[places[places >= 0]].T).to(torch.float64).sort(dim=1).values
        scores = torch.full_like(own, torch.nan)
        if of_reference.shape[1]:
            for part in torch.split(torch.arange(len(own)), QUESTIONS_AT_ONCE):
                rows = of_reference[questions.label_of[part]]
                below, up_to = (
                    torch.searchsorted(rows, own[part, None], side=side)[:, 0] for side in ("left", "right")
                )
                scores[part] = (below + up_to).to(torch.float64) / (2 * rows.shape[1])
        return Answers.above(scores.where(own.isfinite(), torch.nan), self.threshold)


def _cosines(seen: EncodedQuestions, images: Tensor, label_of: Tensor) -> Tensor:
    """Return the similarity in each question, shape ``(questions,)``, float64; NaN where an embedding is missing."""
    places = seen.places(images)
    found = torch.full((len(images),), torch.nan, dtype=torch.float64)
    for part in torch.split((places >= 0).nonzero().flatten(), QUESTIONS_AT_ONCE):
        found[part] = (seen.images[places[part]] * seen.labels[label_of[part]]).sum(dim=1, dtype=torch.float64)
    return found
