"""The images that activate each neuron most."""

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.top_positions import top_positions

ELEMENTS_AT_ONCE = 2**21
IMAGES_PER_TILE = 1024


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
    ascending = bool((sample_ids[1:] > sample_ids[:-1]).all())
    order = torch.arange(images, device=sample_ids.device) if ascending else torch.argsort(sample_ids)
    values = activations.new_empty(neurons, k)
    ids = sample_ids.new_empty(neurons, k)
    block = max(1, ELEMENTS_AT_ONCE // images)
    for start in range(0, neurons, block):
        part = slice(start, start + block)
        columns = activations[:, part]
        rows = _transposed(columns if ascending else columns.index_select(0, order))
        places = order[top_positions(rows.nan_to_num_(-torch.inf, torch.inf, -torch.inf), k)]
        values[part] = columns.T.gather(1, places)
        ids[part] = sample_ids[places]
    return values, ids


def _transposed(columns: Tensor) -> Tensor:
    """Return a transposed copy, made in tiles that fit the processor's cache."""
    rows = columns.new_empty(columns.shape[::-1])
    for source, target in zip(
        torch.split(columns, IMAGES_PER_TILE), torch.split(rows, IMAGES_PER_TILE, dim=1), strict=True
    ):
        target.copy_(source.T)
    return rows
