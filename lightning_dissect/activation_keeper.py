"""Puts activations aside for the matching of units, while layers pass."""

import torch
from torch import Tensor

from lightning_dissect.kept_activations import KeptActivations
from lightning_dissect.peers import Peers
from lightning_dissect.probe import scattered_ids
from lightning_dissect.recording import NeuronShare

MOST_IMAGES = 1024
"""Images whose activations are kept."""

_BYTES_PER_NUMBER = 2


class ActivationKeeper:
    """Keeps the activations of the same few images for all layers of a dissection.

    The images are chosen by their sample ids, see `scattered_ids`: dissections of the same probe keep the same ones,
    whatever the model. A layer that was not called for all of them is left out. Where all layers take more than
    ``max_bytes``, the largest are left out, of equal ones the last.

    Args:
        sample_ids: Images of the probe, ascending, shape ``(images,)``.
        max_bytes: Most bytes of what is kept, on all processes together.

    Example:
        >>> from lightning_dissect.distributed import in_step
        >>> keeper = ActivationKeeper(torch.arange(3), max_bytes=2**20)
        >>> keeper.add("fc", NeuronShare(slice(0, 1), torch.arange(3), torch.tensor([[0.0], [3.0], [6.0]]), 1))
        >>> with in_step("keeping activations") as peers:
        ...     keeper.gather(peers).layers["fc"].tolist()
        [[0.0], [0.5], [1.0]]

    """

    def __init__(self, sample_ids: Tensor, max_bytes: int) -> None:
        self.sample_ids = scattered_ids(sample_ids, MOST_IMAGES)
        self._max_bytes = max_bytes
        self._layers: dict[str, Tensor] = {}
        self._sizes: dict[str, int] = {}

    def add(self, layer: str, share: NeuronShare) -> None:
        """Keep a layer, if there is room; a larger one may have to make it.

        Args:
            layer: Full name of the layer.
            share: The neurons that this process labels.

        """
        places = torch.searchsorted(share.sample_ids, self.sample_ids).clamp(max=len(share.sample_ids) - 1)
        if not torch.equal(share.sample_ids[places], self.sample_ids):
            return
        self._sizes[layer] = _BYTES_PER_NUMBER * len(places) * share.layer_size
        if self._sizes[layer] <= self._max_bytes:
            self._layers[layer] = _scaled(share.activations[places])
        while sum(self._sizes.values()) > self._max_bytes:
            largest = max(reversed(self._sizes), key=self._sizes.__getitem__)
            del self._sizes[largest]
            self._layers.pop(largest, None)

    def gather(self, peers: Peers) -> KeptActivations | None:
        """Return what all processes have kept.

        Args:
            peers: The processes; each must call this, after it has added the same layers.

        Returns:
            The activations on rank 0, ``None`` elsewhere.

        """
        parts = peers.gather({layer: values.numpy() for layer, values in self._layers.items()})
        if parts is None:
            return None
        layers = {layer: torch.cat([torch.from_numpy(part[layer]) for part in parts], dim=1) for layer in parts[0]}
        return KeptActivations(self.sample_ids.numpy(), {layer: values.numpy() for layer, values in layers.items()})


def _scaled(activations: Tensor) -> Tensor:
    """Return what `KeptActivations` keeps, shape ``(images, units)``, float16 on the CPU."""
    values = activations.to("cpu", torch.float64)
    low, high = torch.aminmax(values, dim=0)
    span = (high - low).where(high != low, 1)
    return ((values - low) / span).where(span.isfinite(), torch.nan).to(torch.float16)
