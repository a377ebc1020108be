"""What all concepts together explain of a neuron, beyond given nuisances and on images that did not teach it."""

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.similarity import CrossProducts, live_neurons
from lightning_dissect.trust.concept_axes import ConceptAxes


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

    Activations are read once, for their products with the image factors and the nuisances.

    Args:
        axes: What all layers share of the concept matrix of these images.
        nuisances: Orthonormal centred columns to take out first, shape ``(images, nuisances)``.
        shrinkage: Assumed ratio of noise to signal in a neuron.

    Raises:
        ValueError:
            If ``shrinkage`` is not positive, there are not at least two images more than nuisances, or the nuisances
            are of other images.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> concept_matrix, noise = torch.randn(200, 9, generator=generator), torch.randn(200, 1, generator=generator)
        >>> regression = ConceptRegression(ConceptAxes(concept_matrix), torch.empty(200, 0))
        >>> explained = regression.explained(torch.cat([concept_matrix[:, :1] - concept_matrix[:, 1:2], noise], dim=1))
        >>> explained[0] > 0.99, explained[1] < 0.05
        (tensor(True), tensor(True))

    References:
        Golub, Heath and Wahba, Generalized cross-validation as a method for choosing a good ridge parameter, 1979.

    """

    def __init__(self, axes: ConceptAxes, nuisances: Tensor, shrinkage: float = 1.0) -> None:
        check_positive("shrinkage", shrinkage)
        images, count = nuisances.shape
        if images != axes.shape[0]:
            raise ValueError(f"Expected `nuisances` of the {axes.shape[0]} images of `axes` but got {images} images.")
        self._degrees = images - 1 - count
        if self._degrees < 1:
            raise ValueError(
                f"Expected at least two images more than nuisances but got {images} images and {count} nuisances."
            )
        self._factors, self._nuisances = axes.image_factors, nuisances.to(axes.towards)
        self._max_bytes = axes.max_bytes
        on_factors = CrossProducts.of(self._nuisances, self._factors, axes.max_bytes).products
        shared = axes.towards.T @ on_factors
        energies, turned = torch.linalg.eigh(torch.diag(axes.strengths) - shared @ shared.T)
        energies.clamp_(min=0)
        towards = axes.towards @ turned
        self._towards = torch.cat([towards, -on_factors.T @ towards])
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
        width = max(1, self._max_bytes // (8 * len(self._towards)))
        return torch.cat([self._explained(block) for block in torch.split(activations, width, dim=1)])

    def _explained(self, activations: Tensor) -> Tensor:
        sums = self._products(activations)
        norms = sums.energies.sqrt().where(live_neurons(activations), torch.nan)
        products = sums.products.div_(norms)
        energy = 1 - products[self._factors.shape[1] :].square().sum(dim=0)
        energy = energy.where(energy > torch.finfo(torch.float32).eps, torch.nan)
        along = self._towards.T @ products
        unexplained = (energy - self._gain @ along.square_()).clamp_(min=0) / energy
        explained: Tensor = 1 - unexplained * (self._degrees / (self._degrees - self._fitted)) ** 2
        return explained

    def _products(self, activations: Tensor) -> CrossProducts:
        """Multiply activations with image factors and nuisances, some images at a time."""
        sums = CrossProducts(len(self._towards), activations.shape[1], activations.device)
        rows = max(1, self._max_bytes // (8 * (len(self._towards) + activations.shape[1])))
        parts = (torch.split(values, rows) for values in (activations, self._factors, self._nuisances))
        for batch, *columns in zip(*parts, strict=True):
            sums.update(batch, torch.cat([values.to(torch.float64) for values in columns], dim=1))
        return sums
