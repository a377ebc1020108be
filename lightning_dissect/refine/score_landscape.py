"""What a few scored texts say of the scores of all others."""

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import normalize

_KEPT_COLUMNS = 512
"""Cosines of so many texts with all words are kept, for texts that come again: 80 kB each for 20,000 words."""


class ScoreLandscape:
    r"""Regression of scores on text embeddings, by a Gaussian process.

    Embeddings are centred and brought to norm 1, so that encoders whose texts all lie in one corner are treated as
    others; the kernel is :math:`k(x, y) = \exp(-\|x - y\|^2)`. With standardised scores :math:`z` of the known texts,

    .. math:: \mu(x) = k_x^T (K + \lambda I)^{-1} z, \qquad
              \sigma^2(x) = 1 - k_x^T (K + \lambda I)^{-1} k_x .

    Args:
        embeddings: Embeddings of all words, shape ``(words, dimensions)``.
        noise: Variance of the noise in units of the variance of the scores, λ.

    Example:
        >>> words = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-1.0, 0.0]])
        >>> known = {"left": words[3], "right": words[0]}
        >>> mean, deviation = ScoreLandscape(words).predict(known, torch.tensor([0.0, 1.0]))
        >>> mean.argmax().item(), deviation.argmax().item()
        (0, 2)

    References:
        Rasmussen and Williams, Gaussian processes for machine learning, 2006, section 2.2.

    """

    def __init__(self, embeddings: Tensor, noise: float = 0.2) -> None:
        self.noise = noise
        self._mean = embeddings.mean(dim=0)
        self._words = normalize(embeddings - self._mean, dim=1)
        self._columns: OrderedDict[str, Tensor] = OrderedDict()

    def predict(self, known: Mapping[str, Tensor], scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return the expected score of every word and how uncertain it is.

        Args:
            known: Embeddings of the texts that were scored, by text, each of shape ``(dimensions,)``.
            scores: Their scores, shape ``(texts,)``.

        Returns:
            Mean and deviation, in standard deviations of ``scores`` from their mean, each of shape ``(words,)``.

        """
        points = normalize(torch.stack(list(known.values())) - self._mean, dim=1)
        cosines = self._cosines(dict(zip(known, points, strict=True)))
        kernel = _kernel((points @ points.T).double()) + self.noise * torch.eye(len(points), dtype=torch.float64)
        factor = torch.linalg.cholesky(kernel)
        centred = _standardised(scores.double())
        to_words = _kernel(cosines)
        coefficients = torch.cholesky_solve(centred[:, None], factor).squeeze(1)
        explained = torch.linalg.solve_triangular(factor.to(to_words.dtype), to_words, upper=False)
        deviation = (1 - explained.square().sum(dim=0)).clamp(min=0).sqrt()
        return coefficients.to(to_words.dtype) @ to_words, deviation

    def cosines(self, embedding: Tensor) -> Tensor:
        """Return how like all words a text or a direction is, shape ``(words,)``.

        Args:
            embedding: Shape ``(dimensions,)``.

        """
        return self._words @ normalize(embedding - self._mean, dim=0)

    def alikeness(self, embeddings: Tensor) -> Tensor:
        """Return the cosines of texts with each other once what all words share is taken away.

        Args:
            embeddings: Shape ``(texts, dimensions)``.

        Returns:
            Shape ``(texts, texts)``.

        """
        points = normalize(embeddings - self._mean, dim=1)
        return points @ points.T

    def _cosines(self, points: Mapping[str, Tensor]) -> Tensor:
        """Return the cosines of texts with all words, shape ``(texts, words)``; those of new texts in one go."""
        new = [text for text in points if text not in self._columns]
        if new:
            found = torch.stack([points[text] for text in new]) @ self._words.T
            self._columns.update(zip(new, map(torch.clone, found), strict=True))
        for text in points:
            self._columns.move_to_end(text)
        cosines = torch.stack([self._columns[text] for text in points])
        while len(self._columns) > _KEPT_COLUMNS:
            self._columns.popitem(last=False)
        return cosines


def _standardised(scores: Tensor) -> Tensor:
    """Return scores with mean 0 and deviation 1; 0 where they differ by no more than rounding."""
    centred = scores - scores.mean()
    deviation = centred.square().mean().sqrt()
    return centred / deviation if deviation > 1e-9 * scores.abs().max() else torch.zeros_like(scores)


def _kernel(cosines: Tensor) -> Tensor:
    """Return the kernel of points of norm 1."""
    return torch.exp(2 * cosines - 2)
