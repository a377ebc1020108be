import pytest

from lightning_dissect import distributed
from tests.helpers.processes import run_in_processes


def test_without_a_group_there_is_one_process():
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    assert distributed.gather("x") == ["x"]
    assert distributed.all_gather("x") == ["x"]
    assert distributed.broadcast("x") == "x"


def collect(rank):
    return {
        "place": [distributed.rank(), distributed.world_size()],
        "gather": distributed.gather({"rank": rank}),
        "all_gather": distributed.all_gather("ab" * rank),
        "broadcast": distributed.broadcast(f"from {rank}"),
    }


@pytest.mark.ddp
def test_two_processes_exchange_values_of_different_size():
    first, second = run_in_processes(collect)
    assert (first["place"], second["place"]) == ([0, 2], [1, 2])
    assert (first["gather"], second["gather"]) == ([{"rank": 0}, {"rank": 1}], None)
    assert first["all_gather"] == second["all_gather"] == ["", "ab"]
    assert first["broadcast"] == second["broadcast"] == "from 0"
