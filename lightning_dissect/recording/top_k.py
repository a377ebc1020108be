"""The images that activate each neuron most."""

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive

ELEMENTS_AT_ONCE = 2**23


def top_images(activations: Tensor, sample_ids: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Return the most activating images of every neuron, exact under ties and the same for every order of the images.

    Images are ranked by descending activation, equal activations by ascending sample id. NaN counts as minus infinity.
    Neurons are worked on in blocks, so that memory stays small for large probes.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``, floating.
        sample_ids: Id of each image, all different, shape ``(images,)``.
        top_k: Images per neuron; if there are fewer images, all of them.

    Returns:
        Activations and sample ids, each of shape ``(neurons, k)`` with ``k = min(top_k, images)``.

    Raises:
        ValueError:
            If ``top_k`` is not positive, ``activations`` is not 2-D or empty, or ``sample_ids`` does not fit it.

    Example:
        >>> activations = torch.tensor([[0.0, 2.0], [1.0, 2.0], [0.0, 3.0]])
        >>> values, sample_ids = top_images(activations, torch.tensor([30, 10, 20]), top_k=2)
        >>> sample_ids
        tensor([[10, 20],
                [20, 10]])

    """
    check_positive("top_k", top_k)
    if activations.ndim != 2 or not len(activations) or sample_ids.shape != activations.shape[:1]:
        raise ValueError(
            "Expected `activations` of shape (images, neurons), at least one image, and one of `sample_ids` per image "
            f"but got shapes {tuple(activations.shape)} and {tuple(sample_ids.shape)}."
        )
    images, neurons = activations.shape
    k = min(top_k, images)
    order = torch.argsort(sample_ids)
    values = activations.new_empty(neurons, k)
    ids = sample_ids.new_empty(neurons, k)
    block = max(1, ELEMENTS_AT_ONCE // images)
    for start in range(0, neurons, block):
        part = slice(start, start + block)
        rows = activations[:, part].index_select(0, order).T.contiguous()
        values[part], positions = _top_positions(rows, k)
        ids[part] = sample_ids[order][positions]
    return values, ids


def _top_positions(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the ``k`` largest values of each row in descending order and their positions, lower positions first."""
    ranked = torch.where(rows.isnan(), -torch.inf, rows)
    edge = ranked.topk(k, dim=1, sorted=False).values.amin(dim=1, keepdim=True)
    above, at_edge = ranked > edge, ranked == edge
    places_left = k - above.sum(dim=1, keepdim=True)
    chosen = above | (at_edge & (at_edge.cumsum(dim=1, dtype=torch.int32) <= places_left))
    positions = chosen.nonzero()[:, 1].view(len(rows), k)
    by_value = ranked.gather(1, positions).argsort(dim=1, descending=True, stable=True)
    positions = positions.gather(1, by_value)
    return rows.gather(1, positions), positions
