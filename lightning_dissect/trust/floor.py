"""The stricter floor: more than an untrained network of the same architecture would explain."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.trust.concept_axes import ConceptAxes
from lightning_dissect.trust.discovery import exceedance_p_values
from lightning_dissect.trust.principal_components import principal_components
from lightning_dissect.trust.regression import ConceptRegression

IMAGES_PER_COMPONENT = 10
"""There are this many images for every component that is taken out, at least."""

WIDENING = 1.5
"""How much wider than seen the null is taken, for untrained networks differ more from each other than their units do.

Measured on EfficientNet-Lite0: without it up to 29 % of the units of single further networks were called at q = 0.05.
"""


class UntrainedFloor:
    """What concepts say of a layer's neurons beyond what the layer says of the images without any training.

    Units of an untrained network follow brightness, colour and texture, and these follow concepts. So the principal
    components of *some* untrained networks' features on the same images are taken out of activations and concepts
    before `ConceptRegression` asks what concepts explain. What it still finds in the units of *further* untrained
    networks is the null: a neuron's p-value is the share of these units that are explained as well, after their
    distances from their mean have been taken ``widening``-fold.

    Args:
        axes: What all layers share of the concept matrix of these images.
        features: Activations of the same layer in untrained networks with different seeds on the same images, each
            of shape ``(images, units)``: the first half of the networks for the components, the others for the null.
        components: Most components of each network; together never more than a tenth of the images.
        shrinkage: Assumed ratio of noise to signal in a neuron.
        widening: How much wider than seen the null is taken.

    Attributes:
        null: Explained share of every live unit of the further networks, shape ``(units,)``. The lowest p-value is
            ``1 / (1 + units)``, so a layer of few neurons needs more networks.

    Raises:
        ValueError:
            If there are fewer than two networks, their features are of different images, no unit is left for the
            null, or a number is not positive.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> concept_matrix, *features = torch.randn(4, 200, 30, generator=generator)
        >>> floor = UntrainedFloor(ConceptAxes(concept_matrix), features)
        >>> floor.p_values(floor.explained(concept_matrix[:, :2])).max() == 1 / 61
        tensor(True)

    """

    def __init__(
        self,
        axes: ConceptAxes,
        features: Sequence[Tensor],
        components: int = 20,
        shrinkage: float = 1.0,
        widening: float = WIDENING,
    ) -> None:
        check_positive("components", components)
        check_positive("widening", widening)
        if len(features) < 2 or len({len(of_network) for of_network in features}) != 1:
            raise ValueError(
                "Expected `features` of at least two untrained networks on the same images "
                f"but got shapes {[tuple(of_network.shape) for of_network in features]}."
            )
        half = len(features) // 2
        each = min(components, len(features[0]) // (IMAGES_PER_COMPONENT * half))
        directions = torch.cat(
            [principal_components(of_network, each, axes.max_bytes) for of_network in features[:half]], dim=1
        )
        self._regression = ConceptRegression(axes, principal_components(directions, half * each), shrinkage)
        null = torch.cat([self.explained(of_network) for of_network in features[half:]])
        self.null = null[null.isfinite()]
        if not len(self.null):
            raise ValueError("Expected units of untrained networks that are not constant but got none in this layer.")
        self._widening = widening

    def explained(self, activations: Tensor) -> Tensor:
        """Return the floor's statistic, for every neuron on its own; see `ConceptRegression.explained`.

        Args:
            activations: Pooled activations of the layer, shape ``(images, neurons)``.

        """
        return self._regression.explained(activations)

    def p_values(self, explained: Tensor) -> Tensor:
        """Return which share of untrained units is explained as well; see `exceedance_p_values`.

        Args:
            explained: What `explained` returned, shape ``(neurons,)``.

        Returns:
            Shape ``(neurons,)``, float64; 1 for a neuron whose explained share is NaN.

        """
        centre = self.null.mean()
        return exceedance_p_values(centre + (explained - centre) / self._widening, self.null)
