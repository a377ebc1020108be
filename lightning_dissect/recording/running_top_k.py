"""The images that activate each neuron most, kept up to date while images come."""

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.recording.pooled import check_rows, first_occurrences
from lightning_dissect.recording.top_k import top_images


class RunningTopK:
    """Streaming `top_images`: holds no more than the best images of every neuron.

    The result is that of `top_images` on all images at once, bit for bit, whatever the split into batches or processes
    and their order: activations are ranked as float32, equal ones by ascending sample id, NaN counts as minus infinity.
    An image that comes again, as padded samples of a distributed sampler do, counts once if its activations are the
    same. Where no image of a batch reaches the best ones of a neuron, which soon is the rule, the cost is one
    comparison per activation.

    Args:
        top_k: Images per neuron.

    Raises:
        ValueError:
            If ``top_k`` is not positive.

    Example:
        >>> best = RunningTopK(top_k=2)
        >>> best.update(torch.tensor([30, 10]), torch.tensor([[0.0, 2.0], [1.0, 2.0]]))
        >>> best.update(torch.tensor([20]), torch.tensor([[0.0, 3.0]]))
        >>> values, sample_ids = best.compute()
        >>> sample_ids
        tensor([[10, 20],
                [20, 10]])

    """

    _values: Tensor
    _sample_ids: Tensor

    def __init__(self, top_k: int) -> None:
        check_positive("top_k", top_k)
        self.top_k = top_k
        self.reset()

    @torch.inference_mode(mode=False)
    def update(self, sample_ids: Tensor, values: Tensor) -> None:
        """Add images.

        Args:
            sample_ids: Integers, shape ``(images,)``.
            values: Pooled activations, shape ``(images, neurons)``, any real dtype and device.

        Raises:
            ValueError:
                If a shape is wrong, the two have different numbers of images, or the number of neurons is not the same
                as before.

        """
        check_rows(sample_ids, values)
        self._check_neurons(values.shape[1])
        if not len(values):
            return
        values = values.detach().to("cpu", torch.float32)
        reached = self._reached(values)
        first = first_occurrences(sample_ids.to("cpu", torch.int64))
        self._merge(reached, *top_images(values[first][:, reached], sample_ids.cpu()[first], self.top_k))

    @torch.inference_mode(mode=False)
    def merge_state(self, other: "RunningTopK") -> None:
        """Add the best images of another state of the same layer.

        Args:
            other: A state with at least as large a ``top_k``.

        Raises:
            ValueError:
                If ``top_k`` of the other is smaller or it has another number of neurons.

        """
        if other.top_k < self.top_k:
            raise ValueError(f"Expected `other` to have `top_k` of at least {self.top_k} but got {other.top_k}.")
        values, sample_ids = other.compute()
        if values.shape[1]:
            self._check_neurons(len(values))
            self._merge(torch.arange(len(values)), values, sample_ids)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return activations and sample ids of the best images, in descending order.

        Returns:
            Float32 and int64, each of shape ``(neurons, k)`` with ``k = min(top_k, images)``; ``(0, 0)`` if there are
            no images. Later updates do not change them.

        """
        return self._values, self._sample_ids

    def reset(self) -> None:
        """Forget all images."""
        with torch.inference_mode(mode=False):
            self._values, self._sample_ids = torch.empty(0, 0), torch.empty(0, 0, dtype=torch.int64)

    def _check_neurons(self, neurons: int) -> None:
        if self._values.shape[1] and neurons != len(self._values):
            raise ValueError(
                f"Expected `values` to have {len(self._values)} neurons as before but got {neurons}; "
                "a layer must give every image equally many."
            )

    def _reached(self, values: Tensor) -> Tensor:
        """Return the neurons for which an image may be among the best; there is no order among NaN and numbers."""
        if self._values.shape[1] < self.top_k:
            return torch.arange(values.shape[1])
        return (~(values < _ranked(self._values[:, -1])).all(dim=0)).nonzero()[:, 0]

    def _merge(self, neurons: Tensor, values: Tensor, sample_ids: Tensor) -> None:
        if not self._values.shape[1]:
            held = values.new_empty(len(values), 0), sample_ids.new_empty(len(values), 0)
        else:
            held = self._values[neurons], self._sample_ids[neurons]
        values, sample_ids = _best(torch.cat([held[0], values], 1), torch.cat([held[1], sample_ids], 1), self.top_k)
        if len(neurons) == len(self._values) or not self._values.shape[1]:
            self._values, self._sample_ids = values, sample_ids
        else:
            self._values = self._values.index_copy(0, neurons, values)
            self._sample_ids = self._sample_ids.index_copy(0, neurons, sample_ids)


def _ranked(values: Tensor) -> Tensor:
    return values.nan_to_num(-torch.inf, torch.inf, -torch.inf)


def _best(values: Tensor, sample_ids: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Return the ``top_k`` best different images of each row, the first in the row of those with the same id."""
    sample_ids, by_id = sample_ids.sort(dim=1, stable=True)
    values = values.gather(1, by_id)
    repeated = torch.zeros_like(sample_ids, dtype=torch.bool)
    repeated[:, 1:] = sample_ids[:, 1:] == sample_ids[:, :-1]
    order = _ranked(values).argsort(dim=1, descending=True, stable=True)
    if bool(repeated.any()):
        order = order.gather(1, repeated.gather(1, order).to(torch.uint8).argsort(dim=1, stable=True))
    k = min(top_k, int((~repeated).sum(dim=1).min())) if len(values) else min(top_k, values.shape[1])
    return values.gather(1, order[:, :k]), sample_ids.gather(1, order[:, :k])
