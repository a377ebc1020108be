"""How the processes of a run come to know each other's embeddings."""

from collections.abc import Callable

import torch
from torch import Tensor

from lightning_dissect.encoders.embedding_table import EmbeddingTable
from lightning_dissect.peers import Peers

BLOCK_ROWS = 2**16
"""Embeddings that travel at a time."""


def exchange_embeddings(
    peers: Peers, table: EmbeddingTable, ids: Tensor, embed: Callable[[Tensor], None] | None = None
) -> None:
    """Make every process know the same embeddings. Every process must call it.

    Ids that some process does not know are agreed on first; where all know all, nothing else travels. Each embedding is
    then sent once, by the lowest rank that has it. What nobody has is shared out and embedded. A process never writes
    to disk what it got from another.

    Args:
        peers: The processes.
        table: What this process knows.
        ids: The same distinct ids on all processes, shape ``(items,)``, int64.
        embed: Adds the embeddings of some ids to the table; ``None`` if every id is known to some process.

    """
    missing = torch.unique(torch.cat(peers.all_gather_rows(ids[~table.known(ids)])))
    if not len(missing):
        return
    known = torch.stack(peers.all_gather_rows(table.known(missing)))
    holder = known.to(torch.uint8).argmax(dim=0)
    if embed is not None:
        nowhere = ~known.any(dim=0)
        holder[nowhere] = torch.arange(int(nowhere.sum())) % peers.world_size
        embed(missing[nowhere & (holder == peers.rank)])
    for block, of_block in zip(torch.split(missing, BLOCK_ROWS), torch.split(holder, BLOCK_ROWS), strict=True):
        mine = block[of_block == peers.rank]
        rows = table.get(mine) if len(mine) else torch.empty(0, 0)
        for rank, part in enumerate(peers.all_gather_rows(rows)):
            if rank != peers.rank and len(part):
                table.add(block[of_block == rank], part, save=False)
