"""The search for labels of an open vocabulary as part of a run: collects real images, searches and reports."""

from collections.abc import Callable, Collection

from torch import Tensor, nn

from lightning_dissect.encoders import EmbeddingCache, Progress, silent
from lightning_dissect.extension_names import form_of
from lightning_dissect.probe import ConceptVocabulary, content_ids
from lightning_dissect.recording import ActivationReader, SelectedLayer
from lightning_dissect.refine import ConceptRefinement, NeedsSurroundings, PoolSampler, RefinementPlan, Surroundings
from lightning_dissect.refinement_report import RefinementReport, refinement_folder
from lightning_dissect.types import DissectionReport


class LabelRefiner:
    """Searches for labels after a dissection, by the images of its validation.

    Args:
        plan: Which neurons, when and how.
        vocabulary: The concepts that labels were chosen from.
        cache: Embeddings of the encoder that chose them, ``None`` if annotations did.
        max_bytes: Bytes that the images may take.

    Attributes:
        last_cycle: Number of dissections when labels were last searched for, as the caller keeps it.
        last_report: What was last found.

    Raises:
        ValueError:
            If what names concepts or finds images needs an encoder and there is none.

    """

    def __init__(
        self,
        plan: RefinementPlan,
        vocabulary: ConceptVocabulary,
        cache: EmbeddingCache | None,
        max_bytes: int = 2**28,
    ) -> None:
        self.plan = plan
        self.last_cycle = 0
        self.last_report: RefinementReport | None = None
        self._vocabulary = vocabulary
        self._cache = cache
        self._sampler = PoolSampler(plan.pool_images, max_bytes)
        needing = [maker for maker in plan.search.makers() if isinstance(maker, NeedsSurroundings)]
        if cache is None and needing:
            raise ValueError(
                f"Expected labels to be chosen by an encoder, which {type(needing[0]).__name__} needs, but they come "
                "from annotations. Pass `encoder`, or a `proposer` and a `generator` that need none."
            )

    def start(self) -> None:
        """Forget the images of the last validation."""
        self._sampler.clear()

    def see(self, images: Tensor) -> None:
        """Take what is needed of a batch.

        Args:
            images: Canonical probe images, shape ``(images, 3, height, width)``, uint8.

        """
        self._sampler.update(images, content_ids(images))

    def refine(
        self,
        report: DissectionReport,
        model: nn.Module,
        layers: dict[str, SelectedLayer],
        preprocess: Callable[[Tensor], Tensor],
        *,
        forward: Callable[[Tensor], object] | None = None,
        changed: Collection[tuple[str, int]] = (),
        progress: Progress = silent,
    ) -> RefinementReport | None:
        """Search for the labels of the neurons that the plan chooses.

        Args:
            report: The dissection that the search begins with.
            model: The model.
            layers: Its layers by name, from `lightning_dissect.recording.select_layers`.
            preprocess: From images, shape ``(images, 3, height, width)``, uint8, to what ``forward`` takes.
            forward: Runs the model on what ``preprocess`` returns; by default the model is called with it.
            changed: Layer and unit of the neurons with another label than in the dissection before.
            progress: Told what is being done.

        Returns:
            What was found, ``None`` if there is no neuron to search for.

        Raises:
            ValueError:
                If fewer than 4 different images were seen, or what a search needs is missing.

        """
        targets = self.plan.targets(report, changed)
        if not targets:
            return None
        chosen = {target.layer: layers[target.layer] for target in targets}
        reader = ActivationReader(model, chosen, preprocess, forward, self.plan.batch_size)
        surroundings = Surroundings(self._vocabulary, self._sampler.pool(), self._cache)
        dirpath = None if report.dirpath is None else refinement_folder(report.dirpath, report.cycle)
        found = self.plan.search.refine(targets, reader, surroundings, dirpath=dirpath, progress=progress)
        if self._cache is not None:
            self._cache.flush()
        self.last_report = RefinementReport(
            epoch=report.epoch,
            step=report.step,
            cycle=report.cycle,
            neurons=tuple(found.labels.values()),
            pictures=found.pictures,
            settings={**report.settings, **described(self.plan.search)},
            dirpath=report.dirpath,
            logger_step=report.logger_step,
            name=report.name,
        )
        return self.last_report


def described(search: ConceptRefinement) -> dict[str, str]:
    """Return how a search goes about it, as plain text by name.

    Args:
        search: The search.

    """
    proposer, generator, judging = search.makers()
    return {
        "proposer": form_of(proposer),
        "generator": form_of(generator),
        "judging generator": form_of(judging),
        "search": ", ".join(
            f"{name} {getattr(search, name)}"
            for name in ("steps", "proposals", "patience", "search_images", "judging_images", "false_discovery_rate")
        ),
        "budget": repr(search.budget),
    }
