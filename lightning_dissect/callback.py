"""The Lightning callback: when to record, when to label and where the report goes."""

import inspect
import math
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning
from lightning.fabric.utilities.data import sized_len
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from lightning_dissect import distributed
from lightning_dissect.checks import check_positive
from lightning_dissect.dissector import DissectionError, Dissector
from lightning_dissect.encoders import ImageTextEncoder
from lightning_dissect.evaluators import EvaluationPlan, LabelEvaluator
from lightning_dissect.failures import noting
from lightning_dissect.history import Alarm, AlarmRule, RunObserver
from lightning_dissect.labelling import EncodedConcepts
from lightning_dissect.metrics import NeuronMetric, monitor_warnings
from lightning_dissect.peers import Peers
from lightning_dissect.presence import GivenPresence, SigmoidConstants
from lightning_dissect.probe import (
    ConceptVocabulary,
    Normalisation,
    ProbeSet,
    SampleOrder,
    flatten_loaders,
    given_denormalize,
    index_ids,
    probe_loader,
)
from lightning_dissect.progress_bar import ProgressBar
from lightning_dissect.recording import Pooling
from lightning_dissect.refine import RefinementPlan
from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.refiner import LabelRefiner
from lightning_dissect.report import change_values, early_stop_warnings, metric_values, values_of_evaluators
from lightning_dissect.similarity import Similarity
from lightning_dissect.types import DissectionReport, LayerDissection
from lightning_dissect.writers import (
    WRITERS,
    RefinementWriter,
    ReportWriter,
    default_writers,
    run_folder,
    sound_alarms,
    unused_folder,
)

_SHARDING = (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)
_PIPE_BYTES = 2**15
_PIPED_BYTES_PER_SCALAR = 300

if TYPE_CHECKING:
    _Callback = Callback
else:

    class _Callback(Callback, pytorch_lightning.Callback):
        """A callback of both packages, whose classes are distinct and whose Trainers and CLIs check for their own."""


class NeuronDissection(_Callback):
    """Labels every neuron of chosen layers after each validation and reports the labels and their quality.

    Hooks are registered only while a validation runs. The images of the validation, or of a probe of your own, are
    recorded once; at the end of the epoch every neuron gets a label from the vocabulary, its runner-ups, its most
    activating images and the correlation of its activations with the label's presence. A label that chance, or a
    network of the same architecture without any training, would explain as well is withheld; where several labels may
    be the best, all are named. Neither the model nor the datamodule needs a change, and neither weights nor random
    state are touched. If a dissection fails, training goes on and the reason is shown as a warning, unless ``strict``
    is set.

    Logged scalars, for ``name="dissection"`` (see `lightning_dissect.report.metric_values`): ``dissection/quality``,
    ``dissection/distinct_labels``, the number of neurons in each status, ``dissection/labelled``, ``ambiguous``,
    ``no_clear_function``, ``dead`` and ``non_finite``, and their shares, ``dissection/labelled_share`` and so on; the
    same per layer as ``dissection/<layer>/quality``, where every character of the layer's name but letters, digits and
    ``_`` becomes ``_``. Each of ``metrics`` adds its mean, such as ``dissection/<layer>/auprc``, and the count
    ``dissection/<layer>/auprc_undefined``. Each of ``evaluators`` adds the share of labels that it says yes to, such as
    ``dissection/<layer>/vqa_rate``, the same for labels of other neurons, ``vqa_shuffled_rate``, and ``vqa_precision``,
    ``vqa_recall``, ``vqa_control_rate``, ``vqa_discrimination`` and ``vqa_evaluated``.

    What changes from one dissection to the next is logged beside it (see `lightning_dissect.report.change_values`),
    such as ``dissection/churn``, ``dissection/<layer>/settled_share`` and the count ``dissection/alarms``, and kept in
    the folder ``history`` of the reports, which `lightning_dissect.history.DissectionHistory` reads. A resumed run
    continues both; validating a checkpoint does not.

    Args:
        layers: Layers to dissect: names, globs (``"layer*.1"``), unique ends of names, class names (``"Conv2d"``); a
            mapping gives each its pooling (``{"layer4": "max"}``).
        vocabulary: Concepts that may become labels: ``"imagenet"``, ``"wordnet"``, ``"common:20000"``, a text file with
            one concept per line, a list of concepts or a `ConceptVocabulary`.
        encoder: Image-text encoder: ``"open_clip"``, ``"open_clip:MODEL/TAG"``, ``"open_clip:local-dir:FOLDER"``,
            ``"hf_clip:NAME"``, ``"assembled"`` (offline) or an object. ``"annotations"`` uses the annotations of the
            dataset instead; the vocabulary then names its classes or attributes.
        similarity: Function that chooses labels: ``"correlation"``, ``"soft_wpmi"``, ``"wpmi"``, ``"rank_reorder"``,
            ``"cosine"``, ``"cosine_cubed"`` or an object.
        metrics: Metrics that judge each neuron's label by the concept's presence, such as ``["auprc", "iou"]``: names
            or objects, see `lightning_dissect.metrics`. A monitored one that fails a sanity check is warned of.
        presence: How an encoder's similarities become the presence that labels are judged with: ``"softmax"`` over
            the concepts, `SigmoidConstants`, or ``"sigmoid"`` for the published constants of the encoder. Or a
            presence of your own, a `GivenPresence` or a ``.csv`` or ``.npy`` file of one, with a row per image, in the
            order of the dataset or by sample id; the encoder then only chooses the labels.
        pooling: How a layer's output becomes one number per image and neuron: ``"auto"``, ``"mean"``, ``"max"``,
            ``"cls"`` or an object.
        probe: Images to probe with, run through the model at the end of the validation; by default the validation's
            own images, at no extra forward pass.
        every_n_validations: Dissect the first validation and every n-th from there.
        writers: Where reports go, by name or as objects: ``"json"``, ``"csv"``, ``"html"``, ``"wandb"``,
            ``"tensorboard"``; by default all, the last two where the Trainer has such a logger.
        image_fn: Picks the images, shape ``(images, channels, height, width)``, out of a batch.
        target_fn: Picks the annotations out of a batch; only used with ``encoder="annotations"``.
        forward_fn: Called with the LightningModule and a batch of ``probe``; by default the module is called with the
            images of the batch.
        mean: Mean per channel by which the images were normalised; by default found in the dataset's transform.
        std: Standard deviation per channel that belongs to ``mean``.
        denormalize: Turns normalised images into images in ``[0, 1]``; instead of ``mean`` and ``std``.
        num_candidates: Concepts kept per neuron: the label and its runner-ups.
        num_top_images: Most activating images kept and shown per neuron.
        false_discovery_rate: Share of wrong discoveries in a layer that is put up with; labels that would need more are
            withheld. ``None`` judges no label.
        untrained_networks: Copies of the model with random weights that run along in the first dissected validation, so
            that a label is withheld if they explain as much; 0 holds labels against chance alone, as those of a layer
            are that has too few neurons to compare with: fewer than 10 where there are 4 copies.
        evaluators: Evaluators that judge labels by looking at images: ``"concept_proportion"``,
            ``"embedding_similarity"``, ``"embedding_percentile"``, each by the encoder or by another
            (``"embedding_similarity:open_clip"``), ``"vqa:FOLDER"``, ``"image_text_matching:FOLDER"``, or objects.
        evaluation: How often, how many labels they judge, by which images and in what time, an `EvaluationPlan`;
            without evaluators images are only drawn, for those that judge the saved report.
        alarms: What looks at every dissection and raises an alarm: ``"concept_loss"``, ``"class_collapse"``,
            ``"watch_list:watermark,text"`` or objects such as `lightning_dissect.history.WatchList`. An alarm is a
            warning, an alert in W&B and a line of ``alarms.jsonl``.
        on_alarm: Called with each `lightning_dissect.history.Alarm`, on rank 0.
        refinement: Which neurons get a search for a label beyond the vocabulary, when and at what cost, a
            `RefinementPlan`; the search runs on the main process, with the weights as they are then.
        name: First part of every logged key and name of the folder; tells several dissections of one run apart.
        dirpath: Folder in which the folder ``name`` is made; by default where the first logger keeps its files.
        cache: Whether embeddings are kept on disk between runs, or the folder where.
        max_bytes: Bytes that recorded activations, embeddings, pictures and intermediate results may take in each
            process; what does not fit is kept in memory-mapped files or computed block by block.
        strict: Whether a failed dissection stops the run.

    Raises:
        ValueError:
            At `setup`, if an argument names something unknown or is out of range.

    Example:
        >>> from lightning_dissect import NeuronDissection
        >>> NeuronDissection(layers=["layer3", "layer4"], vocabulary="imagenet").name
        'dissection'

    """

    def __init__(
        self,
        layers: str | Sequence[str] | Mapping[str, str | Pooling],
        vocabulary: str | Path | Sequence[str] | ConceptVocabulary = "imagenet",
        encoder: str | ImageTextEncoder = "open_clip",
        similarity: str | Similarity = "correlation",
        *,
        metrics: Sequence[str | NeuronMetric] = (),
        presence: str | Path | SigmoidConstants | GivenPresence = "softmax",
        pooling: str | Pooling = "auto",
        probe: Dataset[Any] | DataLoader[Any] | LightningDataModule | None = None,
        every_n_validations: int = 1,
        writers: Sequence[str | ReportWriter] | None = None,
        image_fn: Callable[[Any], Tensor] | None = None,
        target_fn: Callable[[Any], Tensor] | None = None,
        forward_fn: Callable[[LightningModule, Any], Any] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        denormalize: Callable[[Tensor], Tensor] | None = None,
        num_candidates: int = 5,
        num_top_images: int = 5,
        false_discovery_rate: float | None = 0.05,
        untrained_networks: int = 4,
        evaluators: Sequence[str | LabelEvaluator] = (),
        evaluation: EvaluationPlan | None = None,
        alarms: Sequence[str | AlarmRule] = ("concept_loss", "class_collapse"),
        on_alarm: Callable[[Alarm], Any] | None = None,
        refinement: RefinementPlan | None = None,
        name: str = "dissection",
        dirpath: str | Path | None = None,
        cache: bool | str | Path = True,
        max_bytes: int = 2 * 2**30,
        strict: bool = False,
    ) -> None:
        super().__init__()
        check_positive("every_n_validations", every_n_validations)
        self.layers = layers
        self.vocabulary = vocabulary
        self.encoder = encoder
        self.similarity = similarity
        self.metrics = metrics
        self.presence = presence
        self.pooling = pooling
        self.probe = probe
        self.every_n_validations = every_n_validations
        self.writers = writers
        self.image_fn = image_fn
        self.target_fn = target_fn
        self.forward_fn = forward_fn
        self.denormalize = given_denormalize(mean, std, denormalize)
        self.num_candidates = num_candidates
        self.num_top_images = num_top_images
        self.false_discovery_rate = false_discovery_rate
        self.untrained_networks = untrained_networks
        self.evaluators = evaluators
        self.evaluation = evaluation
        self.alarms = alarms
        self.on_alarm = on_alarm
        self.refinement = refinement
        self.name = name
        self.dirpath = dirpath
        self.cache = cache
        self.max_bytes = max_bytes
        self.strict = strict
        self.last_report: DissectionReport | None = None
        self._dissector: Dissector | None = None
        self._writers: list[ReportWriter] = []
        self._observer = RunObserver()
        self._refiner: LabelRefiner | None = None
        self._is_fitting = True
        self._probe_set = ProbeSet([])
        self._layer_names: list[str] = []
        self._recording = False
        self._probe_pending = False
        self._batch_is_open = False
        self._failure: str | None = None
        self._has_logged = False
        self._has_warned_of_colours = False
        self._num_validations = 0
        self._cycle = 0
        self._rates: dict[str, float] = {}
        self._report_dirpath: Path | None = None
        self._saved_at: tuple[int, int] | None = None

    @property
    @override
    def state_key(self) -> str:
        """Key of the state in checkpoints; callbacks of one Trainer differ in ``name``."""
        return f"NeuronDissection{{'name': {self.name!r}}}"

    @override
    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to continue: counters, the folder of the reports, evaluators' last rates."""
        dirpath = None if self._report_dirpath is None else str(self._report_dirpath)
        counters = {"cycle": self._cycle, "num_validations": self._num_validations}
        return {**counters, "dirpath": dirpath, "rates": self._rates}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where a checkpoint was saved, unless it is only to be validated or tested.

        Args:
            state_dict: What `state_dict` returned.

        """
        if not self._is_fitting:
            return
        self._cycle = state_dict["cycle"]
        self._num_validations = state_dict["num_validations"]
        self._rates = state_dict.get("rates", {})
        if state_dict["dirpath"] is not None:
            folder = Path(state_dict["dirpath"])
            if folder.is_dir() and folder.parent == Path(self.dirpath or folder.parent):
                self._report_dirpath = folder

    @override
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note when the weights were saved: a Trainer that only validates them stands at epoch 0 and step 0 itself."""
        if trainer.state.fn != "fit":
            self._saved_at = checkpoint["epoch"], checkpoint["global_step"]

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Resolve and check every argument before the first batch costs time."""
        self._is_fitting = stage == "fit"
        if stage not in ("fit", "validate"):
            return
        self._dissector = Dissector(
            self.layers,
            self.vocabulary,
            self.encoder,
            self.similarity,
            metrics=self.metrics,
            presence=self.presence,
            pooling=self.pooling,
            num_candidates=self.num_candidates,
            num_top_images=self.num_top_images,
            false_discovery_rate=self.false_discovery_rate,
            untrained_networks=self.untrained_networks,
            evaluators=self.evaluators,
            evaluation=self.evaluation,
            cache=self.cache,
            max_bytes=self.max_bytes,
        )
        if self.probe is not None and self.forward_fn is None and not _is_own(pl_module, "forward"):
            raise ValueError(
                "Expected the LightningModule to have a `forward` so that `probe` can be run through it but "
                f"{type(pl_module).__name__} has none. Pass `forward_fn`, a function of the module and a batch."
            )
        names = default_writers() if self.writers is None else self.writers
        self._writers = [WRITERS.resolve(writer) for writer in names]
        self._observer = RunObserver(self.alarms)
        self._refiner = None if self.refinement is None else self._make_refiner(self.refinement, trainer, pl_module)
        if not _builds_model_later(pl_module):
            self._layer_names = self._dissector.layer_names(pl_module)
        monitors = vars(trainer)["callbacks"]
        for warning in (
            *monitor_warnings(monitors, self._dissector.judge.descriptions, self.name),
            *early_stop_warnings(monitors, self.name),
        ):
            rank_zero_warn(f"{self._title}: {warning}")
        own = [judge for judge in self._dissector.evaluators if judge.is_own_witness]
        if own:
            rank_zero_warn(
                f"{self._title}: {', '.join(judge.name for judge in own)} will judge labels by the family of models "
                f"that chose them ({own[0].family}), which is no independent witness. Name another, such as "
                "'embedding_similarity:open_clip' or 'vqa:FOLDER'."
            )
        with isolate_rng():
            self._dissector.check_encoder()
            self._prepare_probe(self._dissector)

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the layers of models that are built during setup."""
        self._saved_at = None
        self._layer_names = self._running_dissector.layer_names(pl_module)
        if not trainer.enable_validation:
            rank_zero_warn(f"{self._title} labels neurons during validation, but this Trainer runs none.")

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Register the hooks if this validation is to be dissected."""
        if trainer.sanity_checking:
            return
        self._recording = _is_trial(trainer) or self._num_validations % self.every_n_validations == 0
        self._num_validations += 0 if _is_trial(trainer) else 1
        self._failure, self._batch_is_open, self._probe_pending = None, False, self.probe is not None
        if not self._recording:
            return
        if trainer.state.fn == "validate":
            self._layer_names = self._running_dissector.layer_names(pl_module)
        with self._guarded():
            previous, self._probe_set = self._probe_set, self._make_probe_set(trainer)
            reader, is_same = self._probe_set.reader, self._probe_set.has_datasets_of(previous)
            self._running_dissector.attach(pl_module, reader, keep_pictures=is_same)
            if self._refiner is not None:
                self._refiner.start()

    @override
    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Take the images of the batch before the step can edit them."""
        if self._active and self.probe is None:
            with self._guarded():
                self._start_batch(batch, batch_idx, dataloader_idx)

    @override
    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Store what the hooks saw; run the own probe while averaged weights are still swapped in."""
        if not self._active:
            return
        if self.probe is None:
            self._end_batch()
        elif _is_last_batch(trainer, batch_idx, dataloader_idx):
            self._run_own_probe(trainer, pl_module)

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Label, write and log."""
        if not self._recording:
            return
        if self._active and self._probe_pending:
            self._run_own_probe(trainer, pl_module)
        try:
            if not _is_trial(trainer):
                with isolate_rng():
                    self._dissect(trainer, pl_module)
        finally:
            self._stop()

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search for labels with the weights that the training ends with."""
        refiner = self._refiner
        if refiner is not None and refiner.plan.at_end and refiner.last_cycle < self._cycle:
            self._refine(trainer, pl_module, refiner)

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the hooks."""
        self._stop()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove the hooks, and keep a run whose processes were forked from waiting for ever."""
        self._stop()
        _spare_the_pipe(trainer, self.name)

    @property
    def last_refinement(self) -> RefinementReport | None:
        """What the last search for labels found, on rank 0."""
        return None if self._refiner is None else self._refiner.last_report

    @property
    def _title(self) -> str:
        return f"NeuronDissection(name={self.name!r})"

    @property
    def _running_dissector(self) -> Dissector:
        if self._dissector is None:
            raise RuntimeError(f"Expected `setup` of {self._title} to have been called.")
        return self._dissector

    @property
    def _active(self) -> bool:
        return self._recording and self._failure is None

    def _stop(self) -> None:
        self._recording = False
        if self._dissector is not None:
            self._dissector.detach()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Keep a failure until the end of the epoch, where all processes learn of it; leave random state as found."""
        with isolate_rng():
            try:
                yield
            except Exception:  # noqa: BLE001
                self._failure = traceback.format_exc()
                self._running_dissector.detach()

    def _make_refiner(self, plan: RefinementPlan, trainer: Trainer, pl_module: LightningModule) -> LabelRefiner:
        """Return what searches for labels, if it can be done here."""
        if plan.preprocess is None and self.denormalize is not None and not isinstance(self.denormalize, Normalisation):
            raise ValueError(
                "Expected `refinement` to have a `preprocess` because `denormalize` is a function, which does not say "
                "how images are normalised. Pass `mean` and `std` instead, or RefinementPlan(preprocess=...)."
            )
        if plan.forward_fn is None and not _is_own(pl_module, "forward"):
            raise ValueError(
                "Expected the LightningModule to have a `forward` so that images of concepts can be run through it but "
                f"{type(pl_module).__name__} has none. Pass RefinementPlan(forward_fn=...)."
            )
        if isinstance(trainer.strategy, _SHARDING):
            raise ValueError(
                "Expected every process to hold the whole model because `refinement` runs it on one alone, but "
                f"{type(trainer.strategy).__name__} shares it out. Refine a checkpoint after the training."
            )
        concepts = self._running_dissector.concepts
        cache = concepts.cache if isinstance(concepts, EncodedConcepts) else None
        return LabelRefiner(plan, concepts.vocabulary, cache, self._running_dissector.budget.pictures)

    def _refine(self, trainer: Trainer, pl_module: LightningModule, refiner: LabelRefiner) -> None:
        """Search for labels on rank 0 and write what was found; whatever fails leaves the training as it is."""
        refiner.last_cycle = self._cycle
        failures: list[str] = []
        with distributed.in_step("the search for labels") as peers, isolate_rng():
            if self.last_report is not None:
                with noting(failures, "The search for labels failed."), _progress(trainer) as progress:
                    found = refiner.refine(
                        self.last_report,
                        pl_module,
                        self._running_dissector.selected_layers(pl_module),
                        refiner.plan.preprocess or self._probe_set.model_input,
                        forward=partial(_run_images, trainer, refiner.plan.forward_fn or _call, pl_module),
                        changed=self._observer.renamed(),
                        progress=progress,
                    )
                    for writer in self._writers:
                        with noting(failures, f"{type(writer).__name__} failed."):
                            if found is not None and isinstance(writer, RefinementWriter):
                                writer.write_refinement(found, trainer.loggers)
            failures = peers.broadcast(failures)
        for failure in failures:
            self._complain(failure)

    def _make_probe_set(self, trainer: Trainer) -> ProbeSet:
        if self.probe is None:
            loaders = flatten_loaders(trainer._evaluation_loop._combined_loader)
        else:
            loaders = [probe_loader(self.probe, *_share_of_data(trainer))]
        return ProbeSet(loaders, self.image_fn, self.target_fn, self.denormalize)

    def _prepare_probe(self, dissector: Dissector) -> None:
        """Turn a datamodule into its loader, and check what is known of the probe already."""
        if isinstance(self.probe, (LightningDataModule, pytorch_lightning.LightningDataModule)):
            with distributed.in_step("preparing the data of the probe") as peers:
                if peers.rank == 0:
                    self.probe.prepare_data()
            self.probe.setup("validate")
            self.probe, *others = flatten_loaders(self.probe.val_dataloader())
            if others:
                raise ValueError(f"Expected `probe` to have one validation loader but got {1 + len(others)}. Pass one.")
        order = None if self.probe is None else SampleOrder.of(probe_loader(self.probe))
        if order is not None and dissector.own_presence is not None:
            dissector.own_presence.check(index_ids(order.indices))

    def _start_batch(self, batch: object, batch_idx: int, dataloader_idx: int) -> None:
        seen = self._probe_set.read_batch(batch, batch_idx, dataloader_idx, with_targets=self.encoder == "annotations")
        self._running_dissector.start_batch(seen.images, seen.sample_ids, seen.targets, seen.keep)
        if self._refiner is not None and distributed.rank() == 0 and self._refiner.plan.may_follow(self._cycle):
            self._refiner.see(seen.images)
        self._batch_is_open = True

    def _end_batch(self) -> None:
        if self._active and self._batch_is_open:
            self._batch_is_open = False
            with self._guarded():
                self._running_dissector.end_batch()

    def _run_own_probe(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Run the probe through the model, unseen by other dissections of the same Trainer."""
        self._probe_pending = False
        for callback in vars(trainer)["callbacks"]:
            if isinstance(callback, NeuronDissection):
                callback._end_batch()
        with self._guarded(), _progress(trainer) as progress:
            (loader,) = self._probe_set.loaders
            num_batches = sized_len(loader) or math.inf
            for batch_idx, raw in enumerate(loader):
                batch = trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(raw))
                self._start_batch(batch, batch_idx, 0)
                with trainer.precision_plugin.forward_context():
                    self._forward(pl_module, batch)
                self._running_dissector.end_batch()
                self._batch_is_open = False
                progress("Running the probe", batch_idx + 1, num_batches)

    def _forward(self, pl_module: LightningModule, batch: object) -> None:
        if self.forward_fn is None:
            pl_module(self._probe_set.find_images(batch))
        else:
            self.forward_fn(pl_module, batch)

    def _dissect(self, trainer: Trainer, pl_module: LightningModule) -> None:
        with distributed.in_step("the start of a dissection") as peers:
            dirpath = self._find_dirpath(trainer, peers)
            failures = [failure for failure in peers.all_gather(self._failure) if failure is not None]
        if failures:
            self._give_up(pl_module, failures[0])
            return
        epoch, step = self._saved_at or (trainer.current_epoch, trainer.global_step)
        try:
            with _progress(trainer) as progress:
                report = self._running_dissector.report(
                    epoch=epoch,
                    step=step,
                    cycle=self._cycle,
                    logger_step=_logger_step(trainer),
                    dirpath=dirpath,
                    name=self.name,
                    progress=progress,
                )
        except Exception:  # noqa: BLE001
            self._give_up(pl_module, traceback.format_exc())
            return
        self.last_report = report
        self._cycle += 1
        with distributed.in_step("writing the report") as peers:
            written = ({}, {}, []) if report is None else self._write(trainer, report)
            metrics, self._rates, failures = peers.broadcast(written)
        for failure in failures:
            self._complain(failure)
        self._log(pl_module, metrics)
        if self._refiner is not None and self._refiner.plan.is_due(self._cycle - 1):
            self._refine(trainer, pl_module, self._refiner)
        if self._probe_set.stretched and not self._has_warned_of_colours:
            self._has_warned_of_colours = True
            rank_zero_warn(
                f"{self._title}: The images are not in [0, 1] and their normalisation was not found in the dataset's "
                "transform, so that their colours are a guess. Pass `mean` and `std` or `denormalize`."
            )

    def _write(
        self, trainer: Trainer, report: DissectionReport
    ) -> tuple[dict[str, float], dict[str, float], list[str]]:
        """Hold the report against those before it and write everywhere; whatever fails does not stop the rest.

        Returns:
            All scalars, those of evaluators among them, and what went wrong. Where labels were not judged this time,
            the scalars of evaluators are the last ones, so that what monitors them always finds some.

        """
        seen = self._observer.observe(report)
        values = metric_values(report) | change_values(report, seen.values, len(seen.alarms))
        rates = values_of_evaluators(values, report.evaluators) or self._rates
        failures = [
            f"{judge.name} could not judge labels. {judge.failure}" for judge in report.evaluators if judge.failure
        ]
        for alarm in seen.alarms:
            rank_zero_warn(f"{self._title}: {alarm.title}. {alarm.text}")
        failures += [*seen.failures, *sound_alarms(seen.alarms, report, trainer.loggers, self.on_alarm)]
        for writer in self._writers:
            with noting(failures, f"{type(writer).__name__} failed."):
                writer.write(report, trainer.loggers)
        return values | rates, rates, failures

    def _log(self, pl_module: LightningModule, metrics: Mapping[str, float]) -> None:
        self._has_logged = True
        pl_module.log_dict(dict(metrics), on_step=False, on_epoch=True, sync_dist=True, reduce_fx="max")

    def _give_up(self, pl_module: LightningModule, reason: str) -> None:
        """Report a failed dissection; keys that were never logged become NaN so that they exist to be monitored."""
        if not self._has_logged:
            layers = tuple(LayerDissection(layer, ()) for layer in self._layer_names)
            judges = self._running_dissector.judge.descriptions
            evaluators = self._running_dissector.evaluators
            empty = DissectionReport(
                0, 0, 0, layers, num_images=0, name=self.name, label_metrics=judges, evaluators=evaluators
            )
            self._log(pl_module, dict.fromkeys(metric_values(empty) | change_values(empty, {}, 0), float("nan")))
        self._complain(f"This validation could not be dissected.\n{reason}")

    def _complain(self, reason: str) -> None:
        if self.strict:
            raise DissectionError(f"{self._title}: {reason}")
        rank_zero_warn(f"{self._title}: {reason}")

    def _find_dirpath(self, trainer: Trainer, peers: Peers) -> Path | None:
        """Let rank 0 choose the folder once; the others learn it so that it stands in every rank's state."""
        if self._report_dirpath is None and trainer.is_global_zero:
            with self._guarded():
                base = Path(self.dirpath or run_folder(trainer.loggers, trainer.default_root_dir))
                self._report_dirpath = unused_folder(base / self.name)
        self._report_dirpath = peers.broadcast(self._report_dirpath)
        return self._report_dirpath


def _spare_the_pipe(trainer: Trainer, name: str) -> None:
    """Forget scalars of single layers where Lightning could not hand them to the process that waits for the run.

    Where it forks or spawns the processes itself, the last values of all scalars go through a pipe that nobody reads
    before the processes have ended: more than the pipe holds would never end. What was logged is not touched.
    """
    if not hasattr(trainer.strategy.launcher, "procs"):
        return
    last = trainer.callback_metrics
    of_layers = [key for key in last if key.startswith(f"{name}/") and key.count("/") > 1]
    if sum(len(key) + _PIPED_BYTES_PER_SCALAR for key in last) > _PIPE_BYTES:
        for key in of_layers:
            del last[key]


def _progress(trainer: Trainer) -> ProgressBar:
    return ProgressBar(trainer.progress_bar_callback)


def _run_images(
    trainer: Trainer, forward: Callable[[Any, Any], Any], pl_module: LightningModule, images: Tensor
) -> None:
    """Run images through a module as the Trainer runs a batch."""
    batch = trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(images))
    with trainer.precision_plugin.forward_context():
        forward(pl_module, batch)


def _call(pl_module: LightningModule, images: Tensor) -> object:
    return pl_module(images)


def _builds_model_later(pl_module: LightningModule) -> bool:
    """Whether the layers may not exist yet when callbacks are set up."""
    return _is_own(pl_module, "configure_model") or _is_own(pl_module, "setup")


def _is_own(pl_module: LightningModule, method: str) -> bool:
    """Whether a module overrides a method of Lightning's."""
    module = inspect.getmodule(getattr(type(pl_module), method))
    return module is None or not module.__name__.startswith(("lightning.", "pytorch_lightning."))


def _is_trial(trainer: Trainer) -> bool:
    """Whether the Trainer only tries every step once, which must leave no trace."""
    return bool(vars(trainer)["fast_dev_run"])


def _share_of_data(trainer: Trainer) -> tuple[int, int]:
    """Return which share of the data this process has, and of how many; processes that share a model have the same."""
    known = getattr(trainer.strategy, "distributed_sampler_kwargs", {})
    return known.get("rank", distributed.rank()), known.get("num_replicas", distributed.world_size())


def _is_last_batch(trainer: Trainer, batch_idx: int, dataloader_idx: int) -> bool:
    num_batches = trainer.num_val_batches
    return dataloader_idx == len(num_batches) - 1 and batch_idx == num_batches[-1] - 1


def _logger_step(trainer: Trainer) -> int:
    """Step under which `self.log` writes what is logged at the end of a validation epoch."""
    return int(getattr(trainer.fit_loop.epoch_loop, "_batches_that_stepped", trainer.global_step))
