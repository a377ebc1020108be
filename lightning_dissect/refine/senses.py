"""How many meanings a neuron has: one, or several that have nothing to do with each other."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lightning_dissect.label_refinement import Sense
from lightning_dissect.standardise import standardised_columns

SHARE = 0.5
"""Part of the best score that a concept needs to say a meaning of a neuron."""
SHOWN = 0.5
"""Part of its largest standardised similarity with any image from which on an image shows a concept."""


def find_senses(
    concepts: Sequence[str],
    scores: Tensor,
    *,
    text_embeddings: Tensor,
    similarities: Tensor,
    activations: Tensor,
    image_ids: Tensor,
    errors: Tensor | None = None,
    share: float = SHARE,
    num_images: int = 20,
    affinity: float = 0.25,
    shown: float = SHOWN,
    least_share: float = 0.1,
) -> tuple[Sense, ...]:
    r"""Group the concepts that activate a neuron by their texts and by the images that activate it and show them.

    Concepts with a score of at least ``share`` of the best, but for a standard error, are joined while the affinity of
    their groups, by average linkage, is at least ``affinity``:

    .. math:: \text{affinity}(i, j) = \tfrac{1}{2} \max(\cos(t_i - \bar t, t_j - \bar t), 0)
              + \tfrac{1}{2} \cos(\max(s_i, 0), \max(s_j, 0))

    where :math:`t` are text embeddings, :math:`\bar t` their mean over all concepts, and :math:`s` the similarities of
    a concept with the most activating images, standardised over all images. Both terms are free of the scale of the
    encoder. A group whose concepts are hardly shown by these images is no meaning. A neuron that is constant or
    not finite, and one that no concept activates, has none.

    A meaning whose concepts score less than ``share`` of the best is not found: of two strengths one hides the other.

    Args:
        concepts: All concepts that were scored, each once.
        scores: How strongly the neuron answers to each, 0 for not at all, shape ``(concepts,)``.
        text_embeddings: Shape ``(concepts, dimensions)``.
        similarities: Similarity or presence of each concept in real images, shape ``(images, concepts)``.
        activations: Activations of the neuron on these images, shape ``(images,)``.
        image_ids: Content ids of the images, shape ``(images,)``, int64.
        errors: Standard errors of the scores, shape ``(concepts,)``; NaN and ``None`` stand for 0.
        share: Part of the best score that a concept needs.
        num_images: Most activating images that count.
        affinity: Affinity from which on two groups are one, between 0 and 1.
        shown: Part of its largest standardised similarity with any image from which on an image shows a concept.
        least_share: Share of the most activating images that a meaning needs.

    Returns:
        The meanings, the largest share first.

    Raises:
        ValueError:
            If shapes do not fit or a number is out of range.

    Example:
        >>> similarities = torch.eye(4)[:, [0, 0, 1]]
        >>> texts = torch.tensor([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]])
        >>> activations = torch.tensor([3.0, 2.0, 0.1, 0.0])
        >>> senses = find_senses(
        ...     ("dog", "puppy", "ball"), torch.tensor([2.0, 1.9, 1.5]), text_embeddings=texts,
        ...     similarities=similarities, activations=activations, image_ids=torch.arange(4), num_images=2)
        >>> [(sense.concepts, sense.share, sense.image_ids) for sense in senses]
        [(('dog', 'puppy'), 0.5, (0,)), (('ball',), 0.5, (1,))]

    References:
        Thresholds are those at which, on photographs and planted units, units of one concept have one meaning and units
        of two show both.

    """
    _check_shapes(
        len(concepts),
        len(activations),
        scores=scores,
        text_embeddings=text_embeddings,
        similarities=similarities,
        activations=activations,
        image_ids=image_ids,
    )
    _check_ranges(share=share, affinity=affinity, shown=shown, least_share=least_share)
    if num_images < 1:
        raise ValueError(f"Expected `num_images` to be 1 or more but got {num_images}.")
    best = float(scores.nan_to_num(nan=0).max())
    if best <= 0 or not activations.isfinite().all() or activations.min() == activations.max():
        return ()
    margin = torch.zeros_like(scores) if errors is None else errors.nan_to_num(nan=0)
    good = (scores + margin >= share * best).nonzero().squeeze(1)
    good = good[scores[good].argsort(descending=True, stable=True)]
    top = _most_activating(activations, image_ids, num_images)
    evidence = _evidence(similarities[:, good])
    texts = normalize(text_embeddings.double() - text_embeddings.double().mean(dim=0), dim=1)[good]
    images = normalize(evidence[top].clamp(min=0), dim=0)
    groups = _linked(((texts @ texts.T).clamp(min=0) + images.T @ images) / 2, affinity)
    shows = _shows(evidence, shown)[top]
    by_group = torch.stack([shows[:, groups == group].any(dim=1) for group in range(int(groups.max()) + 1)], dim=1)
    shares = (by_group / by_group.sum(dim=1, keepdim=True).clamp(min=1)).mean(dim=0)
    return tuple(
        Sense(
            concepts=tuple(concepts[place] for place in good[groups == number].tolist()),
            share=float(shares[number]),
            image_ids=tuple(image_ids[top[by_group[:, number]]].tolist()),
        )
        for number in shares.argsort(descending=True, stable=True).tolist()
        if shares[number] >= least_share
    )


def shown_images(similarities: Tensor, shown: float = SHOWN) -> Tensor:
    """Return which images show at least one of some concepts, shape ``(images,)``, bool.

    Args:
        similarities: Similarity or presence of each concept in real images, shape ``(images, concepts)``.
        shown: See `find_senses`.

    """
    return _shows(_evidence(similarities), shown).any(dim=1)


def _evidence(similarities: Tensor) -> Tensor:
    return standardised_columns(similarities).nan_to_num(nan=0)


def _shows(evidence: Tensor, shown: float) -> Tensor:
    return evidence >= shown * evidence.amax(dim=0).clamp(min=torch.finfo(evidence.dtype).eps)


def _most_activating(activations: Tensor, image_ids: Tensor, count: int) -> Tensor:
    """Return the rows of the most activating images, the smaller id first of equal ones."""
    by_id = image_ids.argsort()
    return by_id[activations[by_id].argsort(descending=True, stable=True)][:count]


def _linked(affinities: Tensor, least: float) -> Tensor:
    """Return the group of each concept by average linkage, numbered by their first concepts."""
    if len(affinities) == 1:
        return torch.zeros(1, dtype=torch.int64)
    from scipy.cluster.hierarchy import fcluster, linkage

    above = torch.triu_indices(len(affinities), len(affinities), offset=1)
    distances = (1 - affinities[above[0], above[1]]).clamp(min=0)
    found = fcluster(linkage(distances.numpy(), "average"), 1 - least, criterion="distance").tolist()
    order = list(dict.fromkeys(found))
    return torch.tensor([order.index(group) for group in found])


def _check_shapes(num_concepts: int, num_images: int, **tensors: Tensor) -> None:
    if not num_concepts or not num_images:
        raise ValueError(f"Expected concepts and images but got {num_concepts} and {num_images}.")
    shapes: dict[str, tuple[int, ...]] = {
        "scores": (num_concepts,),
        "text_embeddings": (num_concepts, *tensors["text_embeddings"].shape[-1:]),
        "similarities": (num_images, num_concepts),
        "activations": (num_images,),
        "image_ids": (num_images,),
    }
    for name, value in tensors.items():
        if value.shape != shapes[name]:
            raise ValueError(f"Expected `{name}` of shape {shapes[name]} but got {tuple(value.shape)}.")


def _check_ranges(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 <= number <= 1:
            raise ValueError(f"Expected `{name}` to be between 0 and 1 but got {number}.")
