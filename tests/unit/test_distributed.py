import logging
import os
import signal
import time

import pytest
import torch
import torch.distributed as dist

from lightning_dissect import distributed
from lightning_dissect.distributed import device_of, in_step
from lightning_dissect.peers import PeerError, PeersLostError
from tests.helpers.processes import run_in_processes, run_until_death


def test_without_a_group_there_is_one_process():
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    with in_step("work") as peers:
        assert peers.gather("x") == ["x"]
        assert peers.all_gather("x") == ["x"]
        assert peers.broadcast("x") == "x"
        assert (peers.rank, peers.world_size, peers.all_gather("x")) == (0, 1, ["x"])


@pytest.mark.parametrize(
    ("backends", "device"),
    [("cpu:gloo,cuda:gloo", "cpu"), ("cpu:gloo,cuda:nccl", "cpu"), ("cuda:nccl", "cuda"), ("xpu:xccl", "xpu")],
)
def test_tensors_travel_through_the_cpu_if_the_group_can(backends, device):
    assert device_of(backends) == torch.device(device)


def collect(rank):
    with in_step("work") as peers:
        return {
            "place": [distributed.rank(), distributed.world_size()],
            "gather": peers.gather({"rank": rank}),
            "all_gather": peers.all_gather("ab" * rank),
            "broadcast": peers.broadcast(f"from {rank}"),
        }


@pytest.mark.ddp
def test_two_processes_exchange_values_of_different_size():
    first, second = run_in_processes(collect)
    assert (first["place"], second["place"]) == ([0, 2], [1, 2])
    assert (first["gather"], second["gather"]) == ([{"rank": 0}, {"rank": 1}], None)
    assert first["all_gather"] == second["all_gather"] == ["", "ab"]
    assert first["broadcast"] == second["broadcast"] == "from 0"


EXCHANGES = [
    lambda peers: peers.all_gather("x"),
    lambda peers: [part.tolist() for part in peers.all_gather_rows(torch.full((peers.rank,), peers.rank))],
    lambda peers: [part.tolist() for part in peers.all_to_all([torch.full((1, to), peers.rank) for to in range(4)])],
    lambda peers: peers.logsumexp(torch.full((6,), -float("inf") if peers.rank else 0.0).double()).tolist(),
    lambda peers: peers.gather(peers.rank),
    lambda peers: peers.broadcast(peers.rank),
]


def exchange_and_fail(rank):
    """Make all exchanges, well at first, then with a failure of one rank at every point in turn."""
    with in_step("work") as peers:
        results = [exchange(peers) for exchange in EXCHANGES]
    failures, seconds = [], []
    for point in range(len(EXCHANGES) + 1):
        dist.barrier()
        began = time.monotonic()
        try:
            with in_step("work") as peers:
                for place in range(len(EXCHANGES) + 1):
                    if place == point and rank == point % 4:
                        raise ValueError(f"point {point}")
                    if place < len(EXCHANGES):
                        EXCHANGES[place](peers)
        except (ValueError, PeerError) as error:
            failures.append([type(error).__name__, str(error)])
        seconds.append(time.monotonic() - began)
    with in_step("work") as peers:
        after = peers.all_gather(rank)
    return {"results": results, "failures": failures, "seconds": seconds, "after": after}


@pytest.mark.ddp
def test_four_processes_exchange_and_fail_together():
    for rank, found in enumerate(run_in_processes(exchange_and_fail, world_size=4)):
        assert found["results"] == [
            ["x"] * 4,
            [[other] * other for other in range(4)],
            [[[other] * rank] for other in range(4)],
            [0.0] * 6,
            [0, 1, 2, 3] if rank == 0 else None,
            0,
        ]
        for point, (kind, text) in enumerate(found["failures"]):
            told = f"Rank {point % 4} has failed in work: ValueError: point {point}"
            assert [kind, text] == (["ValueError", f"point {point}"] if rank == point % 4 else ["PeerError", told])
        assert len(found["failures"]) == len(EXCHANGES) + 1
        assert max(found["seconds"]) < 5
        assert found["after"] == [0, 1, 2, 3]


def lose_rank_1(rank):
    began = time.monotonic()
    try:
        with in_step("work") as peers:
            peers.all_gather(rank)
            if rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            peers.all_gather_rows(torch.ones(1000, 10))
    except PeersLostError as error:
        return [str(error), time.monotonic() - began]


@pytest.mark.ddp
def test_a_killed_process_is_an_error_on_the_others():
    first, second, third = run_until_death(lose_rank_1, world_size=3)
    assert second is None
    for rank, (message, seconds) in ((0, first), (2, third)):
        assert message.startswith(f"Rank {rank} no longer reaches the other processes in work: ")
        assert seconds < 10


def wait_for_rank_1(rank):
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append([record.levelname, record.getMessage()])
    logging.getLogger("lightning_dissect.distributed").addHandler(handler)
    distributed.WAIT_SECONDS = 0.2
    with in_step("work") as peers:
        peers.all_gather(rank)
    try:
        with in_step("counting sheep"):
            time.sleep(0.5 * rank)
        with in_step("counting goats"):
            time.sleep(1.6 * rank)
    except PeersLostError as error:
        messages.append(["ERROR", str(error)])
    return messages


@pytest.mark.ddp
def test_nobody_waits_silently_nor_forever():
    first, _ = run_until_death(wait_for_rank_1, timeout=1)
    said = "rank 0 has waited {} s for the other processes in: {}"
    assert first[:2] == [["WARNING", said.format(seconds, "counting sheep")] for seconds in ("0.2", "0.4")]
    assert ["WARNING", said.format("0.2", "counting goats")] in first
    assert first[-1][0] == "ERROR"
    assert "no longer reaches the other processes in counting goats" in first[-1][1]


def test_a_waiting_process_says_so_every_minute(monkeypatch, caplog):
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            assert seconds <= 0.01
            self.now += 7

    class LateWork:
        def is_completed(self):
            return clock.now > 130

        def wait(self):
            waited.append(clock.now)

    def loop_back(came, sent, lengths_of_came, lengths_of_sent, async_op):
        assert (lengths_of_came, lengths_of_sent, async_op) == ([2, 1], [2, 1], True)
        came.copy_(sent)
        return LateWork()

    clock, waited = Clock(), []
    monkeypatch.setattr(distributed, "time", clock)
    monkeypatch.setattr(dist, "get_backend_config", lambda: "cpu:gloo,cuda:nccl")
    monkeypatch.setattr(dist, "all_to_all_single", loop_back)
    parts = [torch.tensor([1, 2], dtype=torch.uint8), torch.tensor([3], dtype=torch.uint8)]
    with caplog.at_level(logging.WARNING):
        came = distributed._GroupWire("counting sheep").swap(parts, [2, 1])
    assert all(map(torch.equal, came, parts))
    assert caplog.messages == [
        f"rank 0 has waited {seconds} s for the other processes in: counting sheep" for seconds in (60, 120)
    ]
    assert waited == [133]
