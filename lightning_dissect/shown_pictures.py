"""Pictures of the images that labels show: kept while images pass, or read again afterwards."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from lightning_dissect.peers import Peers
from lightning_dissect.probe import Thumbnails
from lightning_dissect.recording import PooledActivations, RunningTopK
from lightning_dissect.types import LayerDissection, Picture

ImageReader = Callable[[int], Picture | None]
Activations = Callable[[], Mapping[str, PooledActivations]]


class ShownPictures:
    """Keeps the pictures of images that are, or may yet become, most activating for some neuron.

    Args:
        num_top_images: Most activating images shown per neuron.
        budget: Most bytes of pictures.

    Example:
        >>> pictures = ShownPictures(num_top_images=1, budget=2**20)
        >>> pictures.update(torch.tensor([7]), torch.zeros(1, 3, 4, 8, dtype=torch.uint8), dict)
        >>> pictures.start(keep=False, image_reader=None)

    """

    def __init__(self, num_top_images: int, budget: int) -> None:
        self._num_top_images = num_top_images
        self._budget = budget
        self._thumbnails = Thumbnails(budget=budget)
        self._best_so_far: dict[str, tuple[RunningTopK, int]] = {}
        self._image_reader: ImageReader | None = None

    def start(self, keep: bool, image_reader: ImageReader | None) -> None:
        """Begin another dissection.

        Args:
            keep: Whether sample ids stand for the same images as before, so that no picture is read twice.
            image_reader: Returns the picture of a sample id, ``(height, width, 3)`` uint8. Without it small pictures
                are kept while images pass.

        """
        self._thumbnails = self._thumbnails if keep else Thumbnails(budget=self._budget)
        self._best_so_far = {}
        self._image_reader = image_reader

    def update(self, sample_ids: Tensor, images: Tensor, activations: Activations) -> None:
        """Keep pictures of a batch if they cannot be read again.

        Args:
            sample_ids: Ids of the images, shape ``(images,)``.
            images: Canonical probe images, shape ``(images, 3, height, width)``, uint8.
            activations: Returns what is recorded so far, this batch included, by layer. It is called only where there
                is no room for all pictures, to say which must stay.

        """
        if self._image_reader is not None:
            return
        self._thumbnails.update(sample_ids, images)
        if self._thumbnails.full:
            shown = self._top_so_far(activations())
            self._thumbnails.make_room(shown)
            top = torch.tensor([sample_id in shown for sample_id in sample_ids.tolist()], dtype=torch.bool)
            self._thumbnails.update(sample_ids[top], images[top.to(images.device)])

    def collect(
        self, peers: Peers, layers: Sequence[LayerDissection], others: Iterable[int] = ()
    ) -> dict[int, Picture]:
        """Bring the pictures that labels show, or are judged by, to rank 0; one process reads each of them again.

        Args:
            peers: The processes; each must call this.
            layers: The labels on rank 0, nothing elsewhere.
            others: Sample ids of further images on rank 0.

        """
        neurons = [neuron for layer in layers for neuron in layer.neurons]
        shown = {image.sample_id for neuron in neurons for image in neuron.top_images}
        shown |= {image.sample_id for neuron in neurons for image in neuron.judged_images}
        wanted: list[int] = peers.broadcast(sorted(shown.union(others)))
        self._thumbnails.prune(wanted)
        if self._image_reader is not None:
            own = [sample_id for sample_id in wanted if sample_id % peers.world_size == peers.rank]
            for sample_id in sorted(set(own) - self._thumbnails.pictures(own).keys()):
                picture = self._image_reader(sample_id)
                if picture is not None:
                    self._thumbnails.add(sample_id, picture)
                    if self._thumbnails.full:
                        self._thumbnails.make_room(own)
                        self._thumbnails.add(sample_id, picture)
        held = peers.gather(self._thumbnails.pictures(wanted)) or []
        return {sample_id: picture for of_rank in held for sample_id, picture in of_rank.items()}

    def _top_so_far(self, activations: Mapping[str, PooledActivations]) -> set[int]:
        shown: set[int] = set()
        for layer, state in activations.items():
            best, seen = self._best_so_far.get(layer, (RunningTopK(self._num_top_images), 0))
            for sample_ids, values in state.chunks(start=seen):
                best.update(sample_ids, values)
            self._best_so_far[layer] = (best, state.num_rows)
            shown.update(best.compute()[1].flatten().tolist())
        return shown
