"""Concept presence, computed by many processes for some of the images each."""

import torch

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.peers import Peers
from lightning_dissect.presence import ConceptPresence, presence_lead, presence_normaliser, presence_temperature
from lightning_dissect.recording import share_of


def shared_presence(concept_matrix: ConceptMatrix, peers: Peers, max_bytes: int) -> ConceptPresence:
    """Return the presence of all concepts in all images, for which every process works on its share of the images.

    Args:
        concept_matrix: Image-text similarities, shape ``(images, concepts)``, the same on all processes.
        peers: All processes. Every one must call this.
        max_bytes: Most bytes that the similarities of some images may take.

    Raises:
        ValueError:
            If the matrix does not tell concepts apart.

    Example:
        >>> from lightning_dissect.distributed import in_step
        >>> matrix = ConceptMatrix.of(torch.tensor([[0.25, 0.75], [0.75, 0.25]]))
        >>> with in_step("computing presence") as peers:
        ...     shared_presence(matrix, peers, max_bytes=2**20).temperature
        8.0

    """
    images = share_of(concept_matrix.shape[0], peers.rank, peers.world_size)
    leads = torch.cat(peers.all_gather_rows(presence_lead(concept_matrix, images, max_bytes).cpu()))
    temperature = presence_temperature(concept_matrix, leads)
    normaliser = presence_normaliser(concept_matrix, temperature, images, max_bytes).cpu()
    normaliser = torch.cat(peers.all_gather_rows(normaliser)).to(concept_matrix.device)
    return ConceptPresence(concept_matrix, temperature, max_bytes, normaliser)
