"""Which images a label is judged by: the most activating, some of every decile, and controls that look alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.label_evaluation import HIGHEST_DECILE, ROLES, JudgedImage
from lightning_dissect.neuron_table import NeuronTable
from lightning_dissect.top_positions import top_positions

_ELEMENTS_AT_ONCE = 2**22


@dataclass(frozen=True)
class ImageSampling:
    """How many images a label is judged by.

    Args:
        top: Most activating images; 5 as published.
        per_decile: Images drawn at random from each tenth of the probe by activation, the top images left out.
        controls: Images of the less activating half that look most like the top images, as the encoder sees them, or
            drawn from it at random where there is no encoder.

    Raises:
        ValueError:
            If ``top`` is not positive, or another number is negative.

    Example:
        >>> ImageSampling().total
        20

    """

    top: int = 5
    per_decile: int = 1
    controls: int = 5

    def __post_init__(self) -> None:
        check_positive("top", self.top)
        for name in ("per_decile", "controls"):
            if getattr(self, name) < 0:
                raise ValueError(f"Expected `{name}` to be 0 or more but got {getattr(self, name)}.")

    @property
    def total(self) -> int:
        """Images per neuron, where the probe is large enough."""
        return self.top + HIGHEST_DECILE * self.per_decile + self.controls

    def draw(
        self,
        activations: Tensor,
        neurons: Tensor,
        sample_ids: Tensor,
        seeds: Sequence[Any],
        embeddings: Tensor | None = None,
    ) -> "JudgedImageTable":
        """Draw the images of some neurons; those of a neuron do not depend on which others are there.

        Deciles are by rank. Images with the same activation, such as those on which a neuron is silent, are put in an
        order at random first, so that the order of the dataset decides nothing; among the top images the lower sample
        id comes first.

        Args:
            activations: Pooled activations, shape ``(images, all neurons)``.
            neurons: Which neurons, shape ``(neurons,)``, long.
            sample_ids: Id of each image, ascending, shape ``(images,)``.
            seeds: What the draw of each of these neurons depends on, see `numpy.random.default_rng`.
            embeddings: The images as an encoder sees them, norm 1, shape ``(images, dimensions)``, if there is one.

        Returns:
            One row per neuron.

        """
        at_once = max(1, _ELEMENTS_AT_ONCE // (len(activations) * (self.top + 1)))
        parts = []
        for start in range(0, max(1, len(neurons)), at_once):
            block = neurons[start : start + at_once].to(activations.device)
            columns = activations[:, block].to("cpu", torch.float32).nan_to_num_(-torch.inf, torch.inf, -torch.inf)
            top = top_positions(columns.T.contiguous(), min(self.top, len(columns)))
            alike = None if embeddings is None or not self.controls else _likeness(embeddings.cpu(), top)
            drawn = [
                self._draw_one(column, of_neuron, np.random.default_rng(seed), None if alike is None else alike[place])
                for place, (column, of_neuron, seed) in enumerate(
                    zip(columns.T.numpy(), top.numpy(), seeds[start : start + at_once], strict=True)
                )
            ]
            parts.append(self._table(drawn, columns, sample_ids.cpu()))
        return JudgedImageTable.cat(parts)

    def _table(
        self, drawn: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], columns: Tensor, sample_ids: Tensor
    ) -> "JudgedImageTable":
        rows, deciles, weights = (
            torch.from_numpy(np.array([of_neuron[place] for of_neuron in drawn], dtype).reshape(-1, self.total))
            for place, dtype in enumerate((np.int64, np.int64, np.float64))
        )
        places = rows.clamp_min(0)
        return JudgedImageTable(sample_ids[places], columns.T.gather(1, places), deciles, weights)

    def _draw_one(
        self, column: np.ndarray, top: np.ndarray, rng: np.random.Generator, alike: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rows, deciles and weights of one neuron's images; the row is -1 where there is no image."""
        images = len(column)
        rest = rng.permutation(images)
        rest = rest[~np.isin(rest, top)]
        order = np.concatenate([top, rest[np.argsort(-column[rest], kind="stable")]])
        decile_of_place = HIGHEST_DECILE - np.arange(images) * HIGHEST_DECILE // images
        rows, deciles, weights = (np.full(self.total, fill) for fill in (-1, 0, 0.0))
        rows[: len(top)], deciles[: len(top)], weights[: len(top)] = top, decile_of_place[: len(top)], 1.0
        for decile in range(HIGHEST_DECILE, 0, -1):
            places = np.flatnonzero(decile_of_place == decile)
            places = places[places >= len(top)]
            drawn = places[rng.permutation(len(places))[: self.per_decile]]
            start = self.top + (HIGHEST_DECILE - decile) * self.per_decile
            part = slice(start, start + len(drawn))
            rows[part], deciles[part], weights[part] = order[drawn], decile, len(places) / max(1, len(drawn))
        low = np.flatnonzero(decile_of_place <= HIGHEST_DECILE // 2)
        low = low[~np.isin(order[low], rows)]
        controls = self._controls(low, order, rng, alike)
        part = slice(self.total - self.controls, self.total - self.controls + len(controls))
        rows[part], deciles[part] = order[controls], decile_of_place[controls]
        return rows, deciles, weights

    def _controls(
        self, places: np.ndarray, order: np.ndarray, rng: np.random.Generator, alike: np.ndarray | None
    ) -> np.ndarray:
        """Return the places of the controls: for one top image after the other the one that looks most like it."""
        if alike is None:
            return places[rng.permutation(len(places))[: self.controls]]
        left = alike[:, order[places]].copy()
        chosen = np.empty(min(self.controls, len(places)), dtype=np.int64)
        for turn in range(len(chosen)):
            best = int(left[turn % len(left)].argmax())
            left[:, best] = -np.inf
            chosen[turn] = best
        return places[chosen]


@dataclass(frozen=True)
class JudgedImageTable(NeuronTable):
    """The images that some neurons are judged by: columns of the top images, of the deciles, of the controls.

    Args:
        sample_ids: Shape ``(neurons, images)``, int64.
        activations: Activation of the neuron on the image, same shape, float32.
        deciles: Tenth of the probe, same shape, int64; 0 where there is no image.
        weights: Images of the probe that an image stands for, same shape, float64.

    """

    sample_ids: Tensor
    activations: Tensor
    deciles: Tensor
    weights: Tensor

    def records(self, sampling: ImageSampling) -> list[tuple[JudgedImage, ...]]:
        """Return the rows as records.

        Args:
            sampling: What the images were drawn by.

        """
        counts = (sampling.top, HIGHEST_DECILE * sampling.per_decile, sampling.controls)
        roles = [role for role, count in zip(ROLES, counts, strict=True) for _ in range(count)]
        columns = (column.tolist() for column in (self.sample_ids, self.activations, self.deciles, self.weights))
        return [
            tuple(
                JudgedImage(sample_id, activation, role, decile, weight)
                for role, sample_id, activation, decile, weight in zip(roles, *neuron, strict=True)
                if decile
            )
            for neuron in zip(*columns, strict=True)
        ]


def _likeness(embeddings: Tensor, top: Tensor) -> np.ndarray:
    """Return how much all images look like each neuron's top ones, shape ``(neurons, top, images)``."""
    found = embeddings[top.flatten()] @ embeddings.T
    return found.reshape(*top.shape, len(embeddings)).numpy()
