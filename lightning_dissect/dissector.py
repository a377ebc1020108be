"""One dissection, from recorded activations to a report, without a Trainer."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_dissect import distributed
from lightning_dissect.checks import check_positive
from lightning_dissect.encoders import ImageTextEncoder, cache_folder
from lightning_dissect.labelling import CLIPDissect, resolve_concepts
from lightning_dissect.probe import ConceptVocabulary, Thumbnails, content_ids, resolve_vocabulary
from lightning_dissect.recording import (
    ActivationRecorder,
    PooledActivations,
    Pooling,
    Recording,
    select_layers,
    top_images,
)
from lightning_dissect.similarity import Similarity
from lightning_dissect.types import DissectionReport, LayerDissection, Picture

ImageReader = Callable[[int], Picture | None]
Progress = Callable[[str, int, float], None]
LayerSpec = str | type[nn.Module] | Sequence[str | type[nn.Module]] | Mapping[str, str | Pooling]


_FEWEST_IMAGES = 2
_SILENT = (
    "It was never called during the forward passes (a functional call, an unused branch, a traced or exported module); "
    "choose a layer that is called: `python -m lightning_dissect layers` lists them."
)


class DissectionError(RuntimeError):
    """A dissection could not be made; raised on every process for the same reason, which its message names."""


class Dissector:
    """Records a model on probe images and labels its neurons, in any loop.

    Between `attach` and `detach` (or inside `record`) every forward pass that stands between `start_batch` and
    `end_batch` (or inside `batch`) is recorded; `report` then labels what was recorded. Under a process group each
    process records its own images and all must call `report`.

    Args:
        layers: Layers to dissect: names, globs, unique ends of names, class names or types; a mapping gives each its
            pooling.
        vocabulary: Concepts that may become labels: ``"imagenet"``, ``"wordnet"``, ``"common:20000"``, a text file, a
            list of concepts or a `ConceptVocabulary`.
        encoder: Image-text encoder: ``"open_clip"``, ``"open_clip:MODEL/TAG"``, ``"hf_clip:NAME"``, ``"assembled"`` or
            an object; ``"annotations"`` takes the dataset's own annotations instead.
        similarity: Function that chooses labels, by name or as an object.
        pooling: How a layer's output becomes one number per image and neuron, unless ``layers`` says otherwise.
        num_candidates: Concepts kept per neuron: the label and its runner-ups.
        num_top_images: Most activating images kept per neuron.
        cache: Whether embeddings are kept on disk between runs, in ``$LIGHTNING_DISSECT_CACHE`` or the user's cache
            folder, or the folder where.

    Raises:
        ValueError:
            If an argument names something unknown or is out of range.

    Example:
        >>> from lightning_dissect import Dissector
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4))
        >>> dissector = Dissector(layers=["1"], vocabulary=["cat", "dog"], encoder="annotations")
        >>> images, classes = torch.randint(256, (8, 3, 2, 2), dtype=torch.uint8), torch.arange(8) % 2
        >>> with dissector.record(model), dissector.batch(images, targets=classes):
        ...     _ = model(images / 255)
        >>> len(dissector.report().neurons)
        4

    """

    def __init__(
        self,
        layers: LayerSpec,
        vocabulary: str | Path | Sequence[str] | ConceptVocabulary = "imagenet",
        encoder: str | ImageTextEncoder = "open_clip",
        similarity: str | Similarity = "correlation",
        *,
        pooling: str | Pooling = "auto",
        num_candidates: int = 5,
        num_top_images: int = 5,
        cache: bool | str | Path = True,
    ) -> None:
        check_positive("num_top_images", num_top_images)
        self.layers = layers
        self.pooling = pooling
        self.num_top_images = num_top_images
        self.labelling = CLIPDissect(similarity, candidates=num_candidates)
        self.concepts = resolve_concepts(resolve_vocabulary(vocabulary), encoder, cache_folder(cache))
        self.settings = {
            "similarity": repr(self.labelling.similarity),
            "encoder": encoder if isinstance(encoder, str) else repr(encoder),
            "vocabulary": f"{self.concepts.vocabulary.name} ({len(self.concepts.vocabulary)} concepts)",
            "pooling": pooling if isinstance(pooling, str) else repr(pooling),
        }
        self._recorder: ActivationRecorder | None = None
        self._concept_rows = PooledActivations()
        self._thumbnails = Thumbnails()
        self._image_reader: ImageReader | None = None
        self._keep = torch.empty(0, dtype=torch.bool)
        self._batch = (torch.empty(0, dtype=torch.int64), torch.empty(0, 3, 1, 1, dtype=torch.uint8))

    def check_encoder(self) -> None:
        """Load the encoder, so that what is missing is known before time is spent.

        Raises:
            ModuleNotFoundError:
                If a package is not installed; the message says which to install.
            RuntimeError:
                If weights cannot be had.

        """
        self.concepts.check()

    def layer_names(self, model: nn.Module) -> list[str]:
        """Return the full names of the layers that a model will be recorded at, in order.

        Args:
            model: The model that will be recorded.

        Raises:
            ValueError:
                If a layer is not found; the message names the closest.

        """
        return list(select_layers(model, self.layers, self.pooling))

    def attach(self, model: nn.Module, image_reader: ImageReader | None = None, *, keep_pictures: bool = True) -> None:
        """Register hooks on the layers of a model and forget what was recorded before.

        Args:
            model: The model to record.
            image_reader: Returns the picture of a sample id for the report, ``(height, width, 3)`` uint8. Without it
                small pictures are kept while images pass.
            keep_pictures: Whether sample ids stand for the same images as before, so that no picture is read twice.

        Raises:
            ValueError:
                If a layer is not found.

        """
        self.detach()
        self._thumbnails = self._thumbnails if keep_pictures else Thumbnails()
        self._recorder = ActivationRecorder(select_layers(model, self.layers, self.pooling))
        self._concept_rows = PooledActivations()
        self._image_reader = image_reader
        self._recorder.attach()

    def detach(self) -> None:
        """Remove the hooks; harmless if there are none."""
        if self._recorder is not None:
            self._recorder.detach()

    @contextmanager
    def record(self, model: nn.Module, image_reader: ImageReader | None = None) -> Iterator[None]:
        """Attach to a model for the length of a ``with`` block; see `attach`.

        Args:
            model: The model to record.
            image_reader: Returns the picture of a sample id for the report.

        """
        self.attach(model, image_reader)
        try:
            yield
        finally:
            self.detach()

    def start_batch(
        self,
        images: Tensor,
        sample_ids: Tensor | None = None,
        targets: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> None:
        """Announce the images of the next forward pass.

        Args:
            images: Canonical probe images, shape ``(images, 3, height, width)``, uint8, on any device.
            sample_ids: Id of each image, shape ``(images,)``, long; an image is counted once per id. By default the id
                is made from the image's content.
            targets: Annotations, class indices ``(images,)`` or presence ``(images, concepts)``; only needed where
                annotations stand in for an encoder.
            keep: Which images belong to the probe, shape ``(images,)``, bool; by default all.

        Raises:
            RuntimeError:
                If no model is attached.

        """
        recorder = self._attached()
        content = content_ids(images).cpu()
        sample_ids = content if sample_ids is None else sample_ids.cpu()
        self._keep = torch.ones(len(images), dtype=torch.bool) if keep is None else keep.cpu()
        kept_images, kept_ids = images[self._keep.to(images.device)], sample_ids[self._keep]
        kept_targets = None if targets is None else targets[self._keep.to(targets.device)]
        if len(kept_ids):
            rows = self.concepts.rows(kept_images, content[self._keep], kept_targets)
            self._concept_rows.update(kept_ids, rows)
        self._batch = (kept_ids, kept_images)
        recorder.start_batch(sample_ids)

    def end_batch(self) -> None:
        """Store what the hooks saw since `start_batch`."""
        self._attached().end_batch(keep=self._keep)
        if self._image_reader is None:
            self._keep_thumbnails(*self._batch)

    @contextmanager
    def batch(self, images: Tensor, sample_ids: Tensor | None = None, targets: Tensor | None = None) -> Iterator[None]:
        """Record the forward passes of a ``with`` block; see `start_batch`.

        Args:
            images: Canonical probe images, shape ``(images, 3, height, width)``, uint8.
            sample_ids: Id of each image.
            targets: Annotations of the images.

        """
        self.start_batch(images, sample_ids, targets)
        yield
        self.end_batch()

    def report(
        self,
        *,
        epoch: int = 0,
        step: int = 0,
        cycle: int = 0,
        logger_step: int | None = None,
        dirpath: Path | None = None,
        name: str = "dissection",
        progress: Progress | None = None,
    ) -> DissectionReport | None:
        """Label every recorded neuron. Under a process group every process must call it.

        Args:
            epoch: Epoch of the training.
            step: Optimiser steps taken so far.
            cycle: Number of dissections before this one.
            logger_step: Step under which the loggers get the report, by default ``step``.
            dirpath: Folder for what writers put on disk.
            name: What tells this dissection from others of the same run.
            progress: Called with what is being done, how much of it is done and how much there is.

        Returns:
            The report on rank 0, ``None`` on other ranks.

        Raises:
            DissectionError:
                On every process, if nothing was recorded or a process failed to label.

        """
        gathered = distributed.gather(_usable_part(self._recording()))
        layers, num_images, cause = self._label(gathered, progress or _no_progress)
        error = distributed.broadcast(None if cause is None else f"{type(cause).__name__}: {cause}")
        if error is not None:
            raise DissectionError(f"The neurons could not be labelled. {error}") from cause
        self._keep_embeddings()
        neurons = [neuron for layer in layers for neuron in layer.neurons]
        pictures = self._pictures({image.sample_id for neuron in neurons for image in neuron.top_images})
        if gathered is None:
            return None
        return DissectionReport(
            epoch=epoch,
            step=step,
            cycle=cycle,
            layers=layers,
            num_images=num_images,
            settings=self.settings,
            images=pictures,
            dirpath=dirpath,
            logger_step=logger_step,
            name=name,
        )

    def _attached(self) -> ActivationRecorder:
        if self._recorder is None:
            raise RuntimeError("Expected a model to be attached but got none. Call `attach` or use `record` first.")
        return self._recorder

    def _recording(self) -> Recording:
        recorder = self._attached()
        return Recording(
            dict(recorder.activations), self._concept_rows, tuple(recorder.silent_layers), dict(recorder.failures)
        )

    def _label(
        self, gathered: Sequence[Recording] | None, progress: Progress
    ) -> tuple[tuple[LayerDissection, ...], int, Exception | None]:
        """Label on the process that holds all recordings; an exception is for all processes to know."""
        if gathered is None:
            return (), 0, None
        try:
            merged = _merge(gathered)
            return self._label_layers(merged, progress), len(merged.concept_rows), None
        except Exception as exception:  # noqa: BLE001
            return (), 0, exception

    def _label_layers(self, recorded: Recording, progress: Progress) -> tuple[LayerDissection, ...]:
        row_ids, rows = recorded.concept_rows.compute()
        concepts = self.concepts.vocabulary.concepts
        progress("Encoding concepts", 0, 1)
        matrix = self.concepts.matrix(rows)
        progress("Encoding concepts", 1, 1)
        layers = []
        for done, (layer, state) in enumerate(recorded.activations.items(), start=1):
            ids, activations = state.compute()
            own_matrix = matrix if torch.equal(ids, row_ids) else matrix[torch.searchsorted(row_ids, ids)]
            top = top_images(activations, ids, self.num_top_images)
            layers.append(LayerDissection(layer, self.labelling.label(layer, activations, own_matrix, concepts, *top)))
            progress("Labelling layers", done, len(recorded.activations))
        return tuple(layers)

    def _keep_embeddings(self) -> None:
        try:
            self.concepts.flush()
        except Exception as error:  # noqa: BLE001 - a full disk shows as an error of many a kind
            warnings.warn(f"The embeddings of images and concepts could not be kept on disk. {error}", stacklevel=3)

    def _keep_thumbnails(self, sample_ids: Tensor, images: Tensor) -> None:
        self._thumbnails.update(sample_ids, images)
        if self._thumbnails.full:
            shown = self._current_top_images()
            self._thumbnails.prune(shown)
            top = torch.tensor([sample_id in shown for sample_id in sample_ids.tolist()], dtype=torch.bool)
            self._thumbnails.update(sample_ids[top], images[top.to(images.device)])

    def _current_top_images(self) -> set[int]:
        shown: set[int] = set()
        for state in self._attached().activations.values():
            ids, activations = state.compute()
            if len(ids):
                shown.update(top_images(activations, ids, self.num_top_images)[1].flatten().tolist())
        return shown

    def _pictures(self, wanted: set[int]) -> dict[int, Picture]:
        wanted = distributed.broadcast(wanted)
        if self._image_reader is not None and distributed.rank() == 0:
            for sample_id in sorted(wanted - self._thumbnails.pictures(wanted).keys()):
                picture = self._image_reader(sample_id)
                if picture is not None:
                    self._thumbnails.add(sample_id, picture)
        self._thumbnails.prune(wanted)
        held = distributed.gather(self._thumbnails.pictures(wanted)) or []
        return {sample_id: picture for of_rank in held for sample_id, picture in of_rank.items()}


def _usable_part(own: Recording) -> Recording:
    """Leave out the layers that some process cannot use, the same on every process."""
    views = distributed.all_gather((own.silent_layers, own.failures, len(own.concept_rows)))
    num_images = sum(num_images for _, _, num_images in views)
    if num_images < _FEWEST_IMAGES:
        raise DissectionError(
            f"Expected at least {_FEWEST_IMAGES} probe images but {num_images} were recorded. Use a larger `probe`."
        )
    silent = [layer for layer in own.activations if all(layer in silent for silent, _, _ in views)]
    reasons = dict.fromkeys(silent, _SILENT)
    for _, failures, _ in views:
        reasons |= failures
    if reasons.keys() >= own.activations.keys():
        each = "; ".join(f"{layer}: {reason}" for layer, reason in reasons.items())
        raise DissectionError(f"None of the layers could be recorded. {each}")
    for layer, reason in reasons.items() if distributed.rank() == 0 else ():
        warnings.warn(f"Layer {layer!r} is left out of the dissection. {reason}", stacklevel=3)
    return own.without(reasons)


def _merge(recordings: Sequence[Recording]) -> Recording:
    first, *others = recordings
    for other in others:
        first.merge_state(other)
    return first


def _no_progress(description: str, done: int, total: float) -> None:
    """Show nothing."""
