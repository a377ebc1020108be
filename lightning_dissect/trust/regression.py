"""What all concepts together explain of a neuron, beyond given nuisances and on images that did not teach it."""

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.similarity import live_neurons
from lightning_dissect.similarity.concept_space import ConceptSpace
from lightning_dissect.standardise import standardised_columns


class ConceptRegression:
    r"""Ridge regression of neurons on all concepts at once, after nuisances have been taken out of both.

    With the nuisances' orthonormal basis :math:`Q`, the residual maker
    :math:`R = I - QQ^\top - \mathbf{1}\mathbf{1}^\top / N` and the centred concept matrix :math:`B`, scaled so that an
    image has squared norm 1 in the mean,

    .. math::
        R^2_\text{partial} = 1 - \frac{\lVert (I - H) R a \rVert^2}{\lVert R a \rVert^2}
        \left(\frac{N - 1 - q}{N - 1 - q - \operatorname{tr} H}\right)^2, \qquad
        H = RB (B^\top R B + s I)^{-1} B^\top R

    is the share of what the nuisances leave of a neuron that the concepts predict on images left out, by
    generalised cross-validation: about 0 or below if there is nothing, 1 if they say all. It is the regression whose
    single weights the similarity `Correlation` ranks, with the same ``shrinkage``.

    Args:
        space: The concepts' common space on the images.
        nuisances: Orthonormal centred columns to take out first, shape ``(images, nuisances)``.
        shrinkage: Assumed ratio of noise to signal in a neuron.

    Raises:
        ValueError:
            If ``shrinkage`` is not positive, or there are not at least two images more than nuisances.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> concept_matrix, noise = torch.randn(200, 9, generator=generator), torch.randn(200, 1, generator=generator)
        >>> space = ConceptSpace(concept_matrix, max_rank=64, seed=0, max_bytes=2**20)
        >>> regression = ConceptRegression(space, torch.empty(200, 0))
        >>> explained = regression.explained(torch.cat([concept_matrix[:, :1] - concept_matrix[:, 1:2], noise], dim=1))
        >>> explained[0] > 0.99, explained[1] < 0.05
        (tensor(True), tensor(True))

    References:
        Golub, Heath and Wahba, Generalized cross-validation as a method for choosing a good ridge parameter, 1979.

    """

    def __init__(self, space: ConceptSpace, nuisances: Tensor, shrinkage: float = 1.0) -> None:
        check_positive("shrinkage", shrinkage)
        images, count = nuisances.shape
        self._degrees = images - 1 - count
        if self._degrees < 1:
            raise ValueError(
                f"Expected at least two images more than nuisances but got {images} images and {count} nuisances."
            )
        self._space, self._nuisances = space, nuisances.to(torch.float64)
        strengths, directions = torch.linalg.eigh(space.covariance())
        scaled = directions * strengths.clamp_(min=0).sqrt()
        shared = scaled.T @ space.project(self._nuisances)
        energies, axes = torch.linalg.eigh(torch.diag(strengths) - shared @ shared.T)
        energies.clamp_(min=0)
        self._axes = scaled @ axes
        self._gain = (energies + 2 * shrinkage) / (energies + shrinkage).square()
        self._fitted = float((energies / (energies + shrinkage)).sum())

    def explained(self, activations: Tensor) -> Tensor:
        """Return the partial R² of every neuron.

        Args:
            activations: Pooled activations, shape ``(images, neurons)``.

        Returns:
            Shape ``(neurons,)``, float64, at most 1; NaN for a neuron that is constant, not finite, or wholly a
            combination of nuisances.

        """
        live = live_neurons(activations)
        explained: Tensor = self._axes.new_full((activations.shape[1],), torch.nan)
        blocks = torch.split(activations[:, live], self._space.width, dim=1)
        explained[live] = torch.cat([self._explained(standardised_columns(block)) for block in blocks])
        return explained

    def _explained(self, columns: Tensor) -> Tensor:
        left = columns - self._nuisances @ (self._nuisances.T @ columns)
        energy = left.square().sum(dim=0)
        energy = energy.where(energy > torch.finfo(torch.float32).eps, torch.nan)
        along = self._axes.T @ self._space.project(left)
        unexplained = (energy - self._gain @ along.square()).clamp_(min=0) / energy
        explained: Tensor = 1 - unexplained * (self._degrees / (self._degrees - self._fitted)) ** 2
        return explained


def principal_components(features: Tensor, count: int) -> Tensor:
    """Return the directions over images in which standardised features vary most.

    Args:
        features: Shape ``(images, features)``; constant and non-finite ones do not count.
        count: Most components.

    Returns:
        Orthonormal centred columns, strongest first, shape ``(images, components)``, float64; fewer than ``count``
        where the features have fewer dimensions.

    Example:
        >>> principal_components(torch.tensor([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]), count=2).abs()
        tensor([[0.7071],
                [0.0000],
                [0.7071]], dtype=torch.float64)

    """
    columns = standardised_columns(features[:, live_neurons(features)])
    tall = len(columns) > columns.shape[1]
    strengths, vectors = torch.linalg.eigh(columns.T @ columns if tall else columns @ columns.T)
    kept = (strengths > 1e-10 * columns.shape[1]).nonzero().flatten().flip(0)[:count]
    components: Tensor = columns @ (vectors[:, kept] / strengths[kept].sqrt()) if tall else vectors[:, kept]
    return components
