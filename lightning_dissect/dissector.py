"""One dissection, from recorded activations to a report, without a Trainer."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_dissect import distributed
from lightning_dissect.budget import ByteBudget
from lightning_dissect.checks import check_positive
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.encoders import ImageTextEncoder, Progress, cache_folder, silent
from lightning_dissect.evaluators import EvaluationPlan, LabelEvaluator
from lightning_dissect.kept_activations import KeptActivations
from lightning_dissect.label_evaluation import EvaluatorDescription
from lightning_dissect.labeller import Labeller
from lightning_dissect.labelling import CLIPDissect, MetricJudge, OwnPresence, resolve_concepts
from lightning_dissect.metrics import NeuronMetric
from lightning_dissect.panel import resolve_panel
from lightning_dissect.peers import Peers
from lightning_dissect.presence import GivenPresence, SigmoidConstants
from lightning_dissect.probe import ConceptVocabulary, content_ids, resolve_vocabulary
from lightning_dissect.recording import (
    ActivationRecorder,
    ActivationStorage,
    Pooling,
    SelectedLayer,
    exchange_neurons,
    select_layers,
    unusable_layers,
)
from lightning_dissect.shown_pictures import ImageReader, ShownPictures
from lightning_dissect.similarity import Similarity
from lightning_dissect.trust import TrustJudge
from lightning_dissect.types import DissectionReport, LayerDissection, Picture

LayerSpec = str | type[nn.Module] | Sequence[str | type[nn.Module]] | Mapping[str, str | Pooling]

_FEWEST_IMAGES = 2


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
        metrics: Metrics that judge each neuron's label, by name or as objects, see `lightning_dissect.metrics`.
        presence: How an encoder's similarities become the presence that labels are judged with: ``"softmax"`` over
            the concepts, `SigmoidConstants`, or ``"sigmoid"`` for the published constants of the encoder. Or a
            presence of your own, a `GivenPresence` or a ``.csv`` or ``.npy`` file of one, with a row per image, in the
            order of the dataset or by sample id; the encoder then only chooses the labels.
        pooling: How a layer's output becomes one number per image and neuron, unless ``layers`` says otherwise.
        num_candidates: Concepts kept per neuron: the label and its runner-ups.
        num_top_images: Most activating images kept per neuron.
        false_discovery_rate: Share of wrong discoveries in a layer that is put up with; labels that would need more are
            withheld. ``None`` judges no label.
        untrained_networks: Copies of the model with random weights that run along during the first dissection, so that
            a label is withheld if they explain as much; 0, and layers of fewer than 10 neurons, make do with chance.
        evaluators: Judges that look at images, by name or as objects, see `lightning_dissect.evaluators`.
        evaluation: How many labels they judge, by which images and in what time; without evaluators images are only
            drawn, for those that judge the saved report.
        cache: Whether embeddings are kept on disk between runs, in ``$LIGHTNING_DISSECT_CACHE`` or the user's cache
            folder, or the folder where.
        max_bytes: Bytes that recorded activations, embeddings, pictures and intermediate results may take in each
            process; what does not fit is kept in memory-mapped files or computed block by block. A fortieth is for the
            activations on 1,024 images by which units can be matched later; the largest layers may not fit it.

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
        metrics: Sequence[str | NeuronMetric] = (),
        presence: str | Path | SigmoidConstants | GivenPresence = "softmax",
        pooling: str | Pooling = "auto",
        num_candidates: int = 5,
        num_top_images: int = 5,
        false_discovery_rate: float | None = 0.05,
        untrained_networks: int = 4,
        evaluators: Sequence[str | LabelEvaluator] = (),
        evaluation: EvaluationPlan | None = None,
        cache: bool | str | Path = True,
        max_bytes: int = 2 * 2**30,
    ) -> None:
        check_positive("num_top_images", num_top_images)
        self.layers, self.pooling, self.num_top_images = layers, pooling, num_top_images
        self.budget = ByteBudget(max_bytes)
        self.labelling = CLIPDissect(similarity, candidates=num_candidates, max_bytes=max(1, self.budget.work // 4))
        self.judge = MetricJudge(metrics, max(1, self.budget.work // 4))
        found = resolve_vocabulary(vocabulary)
        self.own_presence = OwnPresence.resolve(presence, found)
        by_encoder = presence if self.own_presence is None else "softmax"
        self.concepts = resolve_concepts(found, encoder, cache_folder(cache), by_encoder)
        self._trust = None
        if false_discovery_rate is not None:
            self._trust = TrustJudge(false_discovery_rate, untrained_networks, self.budget)
        self._labeller = Labeller(
            self.concepts, self.labelling, self.own_presence, self.judge, self._trust, num_top_images
        )
        self.panel = resolve_panel(evaluators, evaluation, self.judge.descriptions, found, self.concepts.encoder)
        self.settings = {
            "similarity": repr(self.labelling.similarity),
            "encoder": encoder if isinstance(encoder, str) else repr(encoder),
            "presence": presence if isinstance(presence, str) else repr(presence),
            "vocabulary": f"{self.concepts.vocabulary.name} ({len(self.concepts.vocabulary)} concepts)",
            "pooling": pooling if isinstance(pooling, str) else repr(pooling),
            "metrics": ", ".join(["quality", *(metric.form for metric in self.judge.descriptions)]),
            **({} if self.panel is None else {"evaluation": repr(self.panel.plan)}),
        }
        self._recorder: ActivationRecorder | None = None
        self._pictures = ShownPictures(num_top_images, self.budget.pictures)
        self._keep = torch.empty(0, dtype=torch.bool)
        self._batch = (torch.empty(0, dtype=torch.int64), torch.empty(0, 3, 1, 1, dtype=torch.uint8))

    @property
    def evaluators(self) -> tuple[EvaluatorDescription, ...]:
        """What reports must know of the evaluators, before they have judged."""
        return () if self.panel is None else self.panel.descriptions

    def check_encoder(self) -> None:
        """Check that the encoder can be used; it is loaded only where its weights are not known from an earlier run.

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
        return list(self.selected_layers(model))

    def selected_layers(self, model: nn.Module) -> dict[str, SelectedLayer]:
        """Return the layers that a model will be recorded at, by name; see `layer_names`."""
        return select_layers(model, self.layers, self.pooling)

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
        self._pictures.start(keep_pictures, image_reader)
        self._recorder = ActivationRecorder(self.selected_layers(model), ActivationStorage(self.budget.activations))
        self.concepts.start()
        if self._trust is not None:
            self._trust.attach(model, self.selected_layers)
        self._recorder.attach()

    def detach(self) -> None:
        """Remove the hooks; harmless if there are none."""
        if self._recorder is not None:
            self._recorder.detach()
        if self._trust is not None:
            self._trust.detach()

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
            ValueError:
                If ``presence`` is your own and lacks an image.

        """
        recorder = self._attached()
        content = content_ids(images).cpu()
        sample_ids = content if sample_ids is None else sample_ids.cpu()
        self._keep = torch.ones(len(images), dtype=torch.bool) if keep is None else keep.cpu()
        kept_images, kept_ids = images[self._keep.to(images.device)], sample_ids[self._keep]
        kept_targets = None if targets is None else targets[self._keep.to(targets.device)]
        if self.own_presence is not None:
            self.own_presence.check(kept_ids)
        if len(kept_ids):
            self.concepts.update(kept_images, kept_ids, content[self._keep], kept_targets)
        self._batch = (kept_ids, kept_images)
        recorder.start_batch(sample_ids)
        if self._trust is not None:
            self._trust.start_batch(sample_ids)

    def end_batch(self) -> None:
        """Store what the hooks saw since `start_batch`."""
        self._attached().end_batch(keep=self._keep)
        if self._trust is not None:
            self._trust.end_batch(self._keep)
        self._pictures.update(*self._batch, lambda: self._attached().activations)

    @contextmanager
    def batch(self, images: Tensor, sample_ids: Tensor | None = None, targets: Tensor | None = None) -> Iterator[None]:
        """Record the forward passes of a ``with`` block; see `start_batch` for the arguments."""
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
        try:
            with distributed.in_step("the dissection") as peers:
                found = self._label(peers, cycle, progress or silent)
        except DissectionError:
            raise
        except Exception as cause:
            raise DissectionError(f"The neurons could not be labelled. {type(cause).__name__}: {cause}") from cause
        self._keep_embeddings()
        if distributed.rank() != 0:
            return None
        report = DissectionReport(
            epoch=epoch,
            step=step,
            cycle=cycle,
            layers=tuple(found.layers),
            num_images=len(found.sample_ids),
            settings=self.settings | ({} if self._trust is None else self._trust.settings),
            images=found.pictures,
            dirpath=dirpath,
            logger_step=logger_step,
            name=name,
            label_metrics=self.judge.descriptions,
            reference_images=found.reference,
            concept_embeddings=self._labeller.directions(found.layers),
            activations=found.activations,
        )
        if not found.reference or self.panel is None:
            return report
        encoded = self.panel.encoded(report, found.sample_ids, found.matrix)
        return self.panel.evaluate(report, encoded, progress or silent)

    def _attached(self) -> ActivationRecorder:
        if self._recorder is None:
            raise RuntimeError("Expected a model to be attached but got none. Call `attach` or use `record` first.")
        return self._recorder

    def _label(self, peers: Peers, cycle: int, progress: Progress) -> "_Labelled":
        """Label with all processes; rank 0 gets the labels and the pictures that they show."""
        names = self._usable_layers(peers)
        self.concepts.exchange(peers, progress)
        row_ids, matrix = self.concepts.matrix(self.budget.concepts(sum(peers.all_gather(self._attached().num_bytes))))
        self._labeller.start(matrix, row_ids, names, peers)
        panel = self.panel if self.panel is not None and self.panel.plan.is_due(cycle) else None
        layers = []
        for done, name in enumerate(names, start=1):
            share = exchange_neurons(self._attached().activations[name], peers, self.budget.work)
            layer = self._labeller.layer(name, share, peers)
            if panel is not None:
                layer = panel.draw(layer, share, row_ids, matrix, peers)
            layers += [] if layer is None else [layer]
            progress("Labelling layers", done, len(names))
        reference = () if panel is None else panel.reference(row_ids)
        pictures = self._pictures.collect(peers, layers, reference)
        return _Labelled(layers, row_ids, matrix, pictures, reference, self._labeller.kept(peers))

    def _usable_layers(self, peers: Peers) -> list[str]:
        """Return the layers that every process can use, and warn of the others."""
        recorder = self._attached()
        num_images = sum(peers.all_gather(len(self.concepts)))
        if num_images < _FEWEST_IMAGES:
            raise DissectionError(
                f"Expected at least {_FEWEST_IMAGES} probe images but {num_images} were recorded. Use a larger `probe`."
            )
        reasons = unusable_layers(recorder, peers)
        if reasons.keys() >= recorder.activations.keys():
            each = "; ".join(f"{layer}: {reason}" for layer, reason in reasons.items())
            raise DissectionError(f"None of the layers could be recorded. {each}")
        for layer, reason in reasons.items() if peers.rank == 0 else ():
            warnings.warn(f"Layer {layer!r} is left out of the dissection. {reason}", stacklevel=4)
        return [layer for layer in recorder.activations if layer not in reasons]

    def _keep_embeddings(self) -> None:
        try:
            self.concepts.flush()
        except Exception as error:  # noqa: BLE001 - a full disk shows as an error of many a kind
            warnings.warn(f"The embeddings of images and concepts could not be kept on disk. {error}", stacklevel=3)


@dataclass(frozen=True)
class _Labelled:
    """What all processes together made; labels, pictures and activations on rank 0 only."""

    layers: list[LayerDissection]
    sample_ids: Tensor
    matrix: ConceptMatrix
    pictures: dict[int, Picture]
    reference: tuple[int, ...]
    activations: KeptActivations | None
