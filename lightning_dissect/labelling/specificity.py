"""On which side a label errs: too specific, too generic, or another of its kind."""

from collections.abc import Sequence
from math import isnan
from statistics import NormalDist

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.presence import PresenceSource
from lightning_dissect.probe import ConceptHierarchy
from lightning_dissect.standardise import standardised_columns
from lightning_dissect.types import LabelSpecificity, Relation, Relative, Specificity

_VERDICTS: dict[Relation, Specificity] = {"parent": "too specific", "child": "too generic", "sibling": "beside"}
_ROUNDING = 1e-9
"""Differences that come from the order of summation alone, as between two concepts that are in the same images."""

_FEWEST_IMAGES = 5
"""Degrees of freedom below which the quantile is not to be trusted."""

_COPIES = 4
"""Tensors of the size of a block that are alive at once."""


def label_specificity(
    activations: Tensor,
    labels: Sequence[str],
    presence: PresenceSource,
    hierarchy: ConceptHierarchy,
    *,
    confidence: float = 0.95,
    max_bytes: int = 2**26,
) -> tuple[LabelSpecificity, ...]:
    r"""Compare each neuron's label with its parent, its children and its siblings.

    What is compared is the Pearson correlation of the neuron with their presence. The interval of a difference comes
    from the jackknife over images, paired because both correlations leave out the same image:

    .. math::
        d \pm t_\nu \sqrt{\tfrac{n-1}{n} \sum_i \delta_i^2}, \qquad \delta_i = d_{(i)} - \bar d, \qquad
        \nu = \frac{\bigl(\sum_i \delta_i^2\bigr)^2}{\sum_i \delta_i^4}, \qquad
        r_{(i)} = \frac{r - \kappa x_i y_i}{\sqrt{(1 - \kappa x_i^2)(1 - \kappa y_i^2)}}, \quad \kappa = \frac{n}{n-1}

    with :math:`x, y` of mean zero and norm one, so that leaving out costs no second pass. The degrees of freedom
    :math:`\nu` count the images that matter: of a neuron that a few images make, the interval is wide, and with fewer
    than five there is none. The intervals of a neuron hold together: :math:`t_\nu` is the quantile for what
    ``confidence`` leaves, divided among its relatives (Bonferroni). A concept that is in one image only has no
    interval either, and a superclass of all images no correlation; neither decides anything.

    At the default, of neurons without a function one in twenty or fewer is judged where activations are spread over
    many images. With ten images per concept it is one in six of those that are zero in most images, and one in four
    where moreover few images dominate; with a hundred it is one in twenty-five and one in ten.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        labels: Label of each neuron, a name of the hierarchy; empty where there is none.
        presence: Presence of ``hierarchy.names``: from class indices by `annotation_presence`, from an encoder by
            `UnionPresence`, whose rule says what the presence of a parent is: by default the maximum over the concepts
            that it takes in.
        hierarchy: What is above and below each name.
        confidence: Probability that all intervals of a neuron hold.
        max_bytes: Most bytes that intermediate results may take, beside the activations and the presence of one
            label's relatives.

    Returns:
        One record per neuron; ``"undecided"`` where the neuron is constant or not finite or has no label.

    Raises:
        ValueError:
            If shapes do not fit, a label is not in the hierarchy or an argument is out of range.

    Example:
        >>> from lightning_dissect.probe import ConceptVocabulary, annotation_presence
        >>> vocabulary = ConceptVocabulary(("beagle", "husky", "tabby"))
        >>> hierarchy = ConceptHierarchy.of(vocabulary, {"beagle": "dog", "husky": "dog"})
        >>> classes = torch.arange(300) % 3
        >>> fires_for_dogs = (classes < 2) + 0.1 * torch.randn(300, generator=torch.Generator().manual_seed(0))
        >>> presence = annotation_presence(classes, vocabulary, hierarchy)
        >>> [found] = label_specificity(fires_for_dogs[:, None], ["beagle"], presence, hierarchy)
        >>> found.verdict, found.parent.name
        ('too specific', 'dog')

    References:
        Efron, The jackknife, the bootstrap and other resampling plans, SIAM 1982, chapter 3, for the standard error;
        Satterthwaite, An approximate distribution of estimates of variance components, Biometrics Bulletin 1946, for
        the degrees of freedom; Abramowitz and Stegun, Handbook of mathematical functions, 26.7.5, for the quantile.

    """
    check_positive("max_bytes", max_bytes)
    if not 0 < confidence < 1:
        raise ValueError(f"Expected `confidence` to be between 0 and 1 but got {confidence}.")
    if presence.shape[0] < 2:
        raise ValueError(f"Expected `presence` to be in at least 2 images but got {presence.shape[0]}.")
    expected = (presence.shape[0], len(labels))
    if tuple(activations.shape) != expected or presence.shape[1] != len(hierarchy.names):
        raise ValueError(
            f"Expected `activations` of shape {expected}, (images, labels), and `presence` of the "
            f"{len(hierarchy.names)} names of `hierarchy` but got shapes {tuple(activations.shape)} "
            f"and {presence.shape}."
        )
    nothing = LabelSpecificity("", "undecided", float("nan"), None, None, None)
    found = [nothing] * len(labels)
    neurons_of: dict[int, list[int]] = {}
    for neuron, label in enumerate(labels):
        if label:
            neurons_of.setdefault(hierarchy.place(label), []).append(neuron)
    for place, neurons in neurons_of.items():
        family = _Family(place, hierarchy)
        columns = standardised_columns(presence.columns(torch.tensor(family.places))).to(activations.device)
        width = max(1, max_bytes // (8 * _COPIES * len(columns)))
        for block in torch.split(torch.tensor(neurons), width):
            rows = standardised_columns(activations[:, block.to(activations.device)]).T
            correlations, reaches = _compare(rows, columns, confidence, max(1, width // len(rows)))
            for neuron, values, reach in zip(block.tolist(), correlations.tolist(), reaches.tolist(), strict=True):
                found[neuron] = family.verdict(values, reach)
    return tuple(found)


class _Family:
    """A label and what stands next to it, the label first."""

    def __init__(self, place: int, hierarchy: ConceptHierarchy) -> None:
        parent = hierarchy.parents[place]
        relatives: list[tuple[int, Relation]] = [(parent, "parent")] if parent >= 0 else []
        relatives += [(child, "child") for child in hierarchy.children(place)]
        relatives += [(sibling, "sibling") for sibling in hierarchy.siblings(place)]
        self.label = hierarchy.names[place]
        self.places = [place, *(relative for relative, _ in relatives)]
        self.relatives = [(hierarchy.names[relative], relation) for relative, relation in relatives]

    def verdict(self, correlations: list[float], reaches: list[float]) -> LabelSpecificity:
        """Judge one neuron.

        Args:
            correlations: With label and relatives.
            reaches: How far the interval of each relative's difference reaches to both sides.

        """
        own, *others = correlations
        compared = [
            Relative(name, relation, other, other - own, other - own - reach, other - own + reach)
            for (name, relation), other, reach in zip(self.relatives, others, reaches, strict=True)
        ]
        parent, child, sibling = (_best(compared, relation) for relation in ("parent", "child", "sibling"))
        return LabelSpecificity(self.label, _verdict(compared), own, parent, child, sibling)


def _compare(rows: Tensor, columns: Tensor, confidence: float, width: int) -> tuple[Tensor, Tensor]:
    """Return correlations, and how far the intervals of their differences from the first reach to both sides.

    Args:
        rows: Neurons of mean zero and norm one, shape ``(neurons, images)``.
        columns: Presence of label and relatives of mean zero and norm one, shape ``(images, places)``.
        confidence: Probability that all intervals of a neuron hold.
        width: Relatives at once.

    Returns:
        Shapes ``(neurons, places)`` and ``(neurons, places - 1)``; NaN where undefined.

    """
    correlations = rows @ columns
    own = _leaving_one_out(rows, columns[:, :1], correlations[:, :1])
    images, places = columns.shape
    reaches = [rows.new_empty(len(rows), 0)]
    for part in torch.split(torch.arange(1, places), width) if places > 1 else ():
        change = _leaving_one_out(rows, columns[:, part], correlations[:, part]).sub_(own)
        squares = change.sub_(change.mean(dim=2, keepdim=True)).square_()
        total = squares.sum(dim=2)
        freedom = total.square() / squares.square_().sum(dim=2)
        quantile = _quantile((1 - confidence) / (places - 1), freedom)
        reaches.append(quantile * (total * (images - 1) / images).sqrt())
    return correlations.clamp(-1, 1), torch.cat(reaches, dim=1)


def _quantile(outside: float, freedom: Tensor) -> Tensor:
    """Return what a t variable exceeds in magnitude with a probability, NaN with too few degrees of freedom."""
    z = NormalDist().inv_cdf(1 - outside / 2)
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    quantile = z + (first + (second + third / freedom) / freedom) / freedom
    return torch.where(freedom >= _FEWEST_IMAGES, quantile, torch.nan)


def _leaving_one_out(rows: Tensor, columns: Tensor, correlations: Tensor) -> Tensor:
    """Return the correlations without each image, shape ``(neurons, places, images)``."""
    factor = len(columns) / (len(columns) - 1)
    left_rows, left_columns = (_left_over(values, factor) for values in (rows, columns.T))
    products = (rows[:, None] * columns.T).mul_(-factor).add_(correlations[:, :, None])
    return products.div_(left_rows[:, None]).div_(left_columns)


def _left_over(values: Tensor, factor: float) -> Tensor:
    """Return the norms without each image, NaN where nothing is left but rounding."""
    rest = 1 - factor * values.square()
    return torch.where(rest > _ROUNDING, rest, torch.nan).sqrt_()


def _verdict(compared: Sequence[Relative]) -> Specificity:
    better = [relative for relative in compared if relative.low > _ROUNDING]
    if better:
        return _VERDICTS[max(better, key=lambda relative: relative.correlation).relation]
    levels = [relative for relative in compared if relative.relation != "sibling" and not isnan(relative.high)]
    return "fits" if levels and all(relative.high < -_ROUNDING for relative in levels) else "undecided"


def _best(compared: Sequence[Relative], relation: Relation) -> Relative | None:
    """Return the relative that describes the neuron best; one without a correlation only if there is no other."""
    kin = [relative for relative in compared if relative.relation == relation]
    return max(kin, key=lambda found: -2.0 if isnan(found.correlation) else found.correlation, default=None)
