"""How a concept that a search has found stands up to images that the search has not seen."""

import math
from collections.abc import Sequence

import numpy as np

from lightning_dissect.label_refinement import CoSyScore
from lightning_dissect.refine.bank import ConceptBank
from lightning_dissect.refine.base import NoImageError
from lightning_dissect.refine.scoring import cosy_score


class HeldOutJudge:
    """Scores concepts by judging images, against control images that no search has used.

    Control images that are among those of the concept are left out.

    Args:
        bank: Concepts and their images.
        seed: Seed of the bootstrap behind the intervals.

    """

    def __init__(self, bank: ConceptBank, seed: int) -> None:
        self.new_images = 0
        self._bank = bank
        self._seed = seed
        self._control = bank.pool.content_ids[bank.pool.rows("judging")].tolist()

    def score(self, layer: str, unit: int, concept: str) -> CoSyScore | None:
        """Return how well a concept describes a neuron, ``None`` if there are no images to tell.

        Args:
            layer: Name of its layer.
            unit: Index within it.
            concept: The concept.

        """
        try:
            drawn = self._bank.draw(concept, "judging")
        except NoImageError:
            return None
        self.new_images += drawn.new_images
        shown = set(drawn.image_ids)
        control = [image_id for image_id in self._control if image_id not in shown]
        if len(control) < 2:
            return None
        of_control, of_concept = (self._bank.activations(layer, ids)[:, unit] for ids in (control, drawn.image_ids))
        return cosy_score(of_control, of_concept, seed=self._seed)


def q_values(scores: Sequence[CoSyScore | None]) -> list[float]:
    """Return, for each score, the lowest false-discovery rate at which it counts as better than chance.

    The p-values are one-sided, of Mann and Whitney's test; the procedure is Benjamini and Hochberg's.

    Args:
        scores: Scores of any neurons; those without a number get NaN and do not count.

    Example:
        >>> import torch
        >>> high, low = torch.arange(20.0, 25), torch.arange(5.0)
        >>> [round(q, 4) for q in q_values([cosy_score(torch.arange(10.0), images) for images in (high, low)])]
        [0.0007, 0.9301]

    """
    from scipy.stats import false_discovery_control

    found = [place for place, score in enumerate(scores) if score is not None and score.is_scorable]
    values = [math.nan] * len(scores)
    if found:
        of_found = np.array([(scores[place].p_value, scores[place].auc) for place in found])  # type: ignore[union-attr]
        one_sided = np.where(of_found[:, 1] > 0.5, of_found[:, 0] / 2, 1 - of_found[:, 0] / 2)
        for place, value in zip(found, false_discovery_control(one_sided).tolist(), strict=True):
            values[place] = value
    return values
