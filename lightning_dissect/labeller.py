"""Labels layer after layer, and says how far each label can be trusted."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lightning_dissect.activation_keeper import ActivationKeeper
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.kept_activations import KeptActivations
from lightning_dissect.labelling import (
    CLIPDissect,
    ConceptSource,
    LabelTable,
    MetricJudge,
    OwnPresence,
    PreparedLabelling,
    SpecificityJudge,
    with_specificity,
)
from lightning_dissect.peers import Peers
from lightning_dissect.presence import PresenceSource
from lightning_dissect.recording import HistogramTable, NeuronShare, activation_histograms, top_images
from lightning_dissect.trust import FEWEST_IMAGES, TrustColumns, TrustJudge
from lightning_dissect.types import Embedding, LayerDissection


class Labeller:
    """Gives the neurons of a layer their labels, and has all judges speak of them.

    Every process labels its share of the neurons; rank 0 puts the shares together. What depends on images and concepts
    alone is made once and kept while they stay the same. While layers pass, the activations by which their units can be
    matched with those of another model are put aside, in at most ``labelling.max_bytes``.

    Args:
        concepts: Where the image x concept matrix comes from.
        labelling: What chooses the labels.
        own_presence: The user's own presence of the concepts, in place of that of ``concepts``.
        metrics: Judges labels by metrics of the user's choice.
        trust: Judges whether they are to be withheld, ``None`` if nobody does.
        num_top_images: Most activating images kept per neuron.

    """

    def __init__(  # noqa: PLR0917
        self,
        concepts: ConceptSource,
        labelling: CLIPDissect,
        own_presence: OwnPresence | None,
        metrics: MetricJudge,
        trust: TrustJudge | None,
        num_top_images: int,
    ) -> None:
        self._concepts = concepts
        self._labelling = labelling
        self._own_presence = own_presence
        self._metrics = metrics
        self._trust = trust
        self._specificity = SpecificityJudge(concepts.vocabulary, labelling.max_bytes)
        self._num_top_images = num_top_images
        self._sample_ids = torch.empty(0, dtype=torch.int64)
        self._prepared: PreparedLabelling | None = None
        self._keeper = ActivationKeeper(self._sample_ids, labelling.max_bytes)

    def start(self, matrix: ConceptMatrix, sample_ids: Tensor, layers: Sequence[str], peers: Peers) -> None:
        """Begin a dissection: prepare what depends on the images alone, where some process has to.

        Args:
            matrix: Image-text similarities, shape ``(images, concepts)``.
            sample_ids: Sample id of each image, ascending, shape ``(images,)``.
            layers: The layers that will be labelled.
            peers: The processes; each must call this.

        """
        is_known = self._prepared is not None and self._prepared.concept_matrix is matrix
        known = peers.all_gather(is_known and torch.equal(self._sample_ids, sample_ids))
        self._sample_ids = sample_ids
        self._keeper = ActivationKeeper(sample_ids, self._labelling.max_bytes)
        if not all(known):
            self._prepared = None
        if self._trust is not None:  # what untrained copies recorded is let go before a whole matrix is made
            self._trust.learn(matrix, sample_ids, layers, peers)
        if self._prepared is None:
            self._prepared = self._labelling.prepared(matrix, self._presence(matrix, sample_ids, peers))

    def layer(self, name: str, share: NeuronShare, peers: Peers) -> LayerDissection | None:
        """Label and judge a layer.

        Args:
            name: Full module name of the layer.
            share: The neurons that this process labels.
            peers: The processes; each must call this.

        Returns:
            The layer on rank 0, ``None`` elsewhere.

        Raises:
            RuntimeError:
                If `start` was not called.

        """
        prepared = self._fitting(share.sample_ids)
        top = top_images(share.activations, share.sample_ids, self._num_top_images)
        trust = self._trust if len(share.sample_ids) >= FEWEST_IMAGES else None
        with_quality = trust is None
        table = prepared.table(share.activations, *top, share.layer_size, peers.logsumexp, with_quality=with_quality)
        floor, columns = None, None
        if trust is not None:
            floor, best = trust.floor(name, prepared.concept_matrix), table.scores[:, 0]
            columns = trust.measured(share, prepared.scorer, prepared.presence, table.concepts, best, floor, peers)
            table = replace(table, qualities=columns.quality)
        table = self._metrics.judged(table, share.activations, prepared.presence)
        histograms = activation_histograms(share.activations, max_bytes=self._labelling.max_bytes)
        self._keeper.add(name, share)
        parts = peers.gather((table, columns, histograms))
        specificity = self._specificity.judge(name, share.activations, table.concepts[:, 0], prepared.presence, peers)
        if parts is None:
            return None
        tables = [of_share for of_share, _, _ in parts]
        layer = self._metrics.layer(name, LabelTable.cat(tables), self._concepts.vocabulary.concepts)
        neurons = with_specificity(layer.neurons, specificity)
        measured = [of_share for _, of_share, _ in parts if of_share is not None]
        if trust is not None:
            neurons = trust.verdicts(neurons, TrustColumns.cat(measured), floor)
        spread = HistogramTable.cat([of_share for _, _, of_share in parts]).records()
        with_spread = (replace(neuron, histogram=found) for neuron, found in zip(neurons, spread, strict=True))
        return replace(layer, neurons=tuple(with_spread))

    def kept(self, peers: Peers) -> KeptActivations | None:
        """Return what is kept of the layers since `start`, on rank 0, ``None`` elsewhere; see `ActivationKeeper`.

        Args:
            peers: The processes; each must call this.

        """
        return self._keeper.gather(peers)

    def directions(self, layers: Sequence[LayerDissection]) -> dict[str, Embedding]:
        """Return where the candidates of neurons lie among the concepts, see `ConceptSource.directions`.

        Args:
            layers: Labelled layers.

        Returns:
            By the name of the concept, shape ``(dimensions,)``; empty if concepts have no embeddings.

        """
        chosen = {item.concept for layer in layers for neuron in layer.neurons for item in neuron.candidates}
        places = [place for place, name in enumerate(self._concepts.vocabulary.concepts) if name in chosen]
        found = self._concepts.directions(torch.tensor(places, dtype=torch.int64))
        names = (self._concepts.vocabulary.concepts[place] for place in places)
        return {} if found is None else dict(zip(names, found.numpy(), strict=True))

    def _fitting(self, sample_ids: Tensor) -> PreparedLabelling:
        """Return what labels a layer: of all images, or of those that it fired on."""
        if self._prepared is None:
            raise RuntimeError("Expected `start` to have been called before `layer`.")
        if torch.equal(sample_ids, self._sample_ids):
            return self._prepared
        seen = self._prepared.concept_matrix.of_images(torch.searchsorted(self._sample_ids, sample_ids))
        return self._labelling.prepared(seen, self._presence(seen, sample_ids))

    def _presence(self, matrix: ConceptMatrix, sample_ids: Tensor, peers: Peers | None = None) -> PresenceSource:
        if self._own_presence is not None:
            return self._own_presence.of_images(sample_ids)
        return self._concepts.presence(matrix, self._labelling.max_bytes, peers)
