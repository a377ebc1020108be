from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_dissect.encoders import embedding_exchange
from lightning_dissect.encoders.embedding_exchange import exchange_embeddings
from lightning_dissect.encoders.embedding_table import EmbeddingTable
from lightning_dissect.peers import Peers
from tests.helpers.processes import run_in_wired_threads

IDS = torch.tensor([5, -7, 2**62, 11, 13])


def vectors(ids: Tensor) -> Tensor:
    return torch.stack([ids % 17, ids % 19, ids % 23], dim=1).float()


def filled(ids: Tensor) -> EmbeddingTable:
    table = EmbeddingTable("images", None, "memory")
    if len(ids):
        table.add(ids, vectors(ids))
    return table


def exchange(tables: list[EmbeddingTable], embed: Callable[..., None] | None = None) -> list[int]:
    """Exchange between processes, and return how many bytes each has sent."""

    def work(wire: object) -> int:
        with Peers("test", wire) as peers:
            table = tables[peers.rank]
            exchange_embeddings(peers, table, IDS, None if embed is None else lambda ids: embed(peers.rank, table, ids))
            return peers.bytes_sent

    results = run_in_wired_threads(work, len(tables))
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


@pytest.mark.parametrize("block", [2, 2**16])
def test_all_know_what_one_knew(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(embedding_exchange, "BLOCK_ROWS", block)
    tables = [filled(IDS[:3]), filled(IDS[:0]), filled(IDS[2:])]
    exchange(tables)
    for table in tables:
        assert torch.equal(table.get(IDS), vectors(IDS))
    assert [sorted(table._unsaved) for table in tables] == [
        sorted(part.tolist()) for part in (IDS[:3], IDS[:0], IDS[2:])
    ]


def test_where_all_know_all_no_embedding_travels() -> None:
    tables = [filled(IDS) for _ in range(3)]
    assert exchange(tables) == [0, 0, 0]


def test_an_embedding_travels_once() -> None:
    tables = [filled(IDS), filled(IDS), filled(IDS[:4])]
    ids, known = 8, 1
    assert exchange(tables) == [2 * (known + 12), 2 * known, 2 * (ids + known)]


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_what_nobody_knows_is_shared_out(world_size: int) -> None:
    shares: list[tuple[int, list[int]]] = []

    def embed(rank: int, table: EmbeddingTable, ids: Tensor) -> None:
        shares.append((rank, ids.tolist()))
        if len(ids):
            table.add(ids, vectors(ids))

    tables = [filled(IDS[:1]), *(filled(IDS[:0]) for _ in range(world_size - 1))]
    exchange(tables, embed)
    assert sorted(key for _, share in shares for key in share) == sorted(IDS[1:].tolist())
    sizes = [len(share) for _, share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert all(torch.equal(table.get(IDS), vectors(IDS)) for table in tables)


def test_what_nobody_has_is_an_error() -> None:
    with pytest.raises(KeyError, match="embed them first"):
        exchange([filled(IDS[1:]), filled(IDS[1:])])
