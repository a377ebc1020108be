import pytest
import torch

from lightning_dissect.threads import Rooms, even_width, numpy_reads, run_in_threads


def test_every_range_is_worked_on_once():
    seen = [0] * 10

    def count(part):
        for index in range(10)[part]:
            seen[index] += 1

    run_in_threads(count, total=10, width=3)
    assert seen == [1] * 10


def test_an_error_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        run_in_threads(lambda part: 1 / 0, total=4, width=1)


def test_numpy_has_no_bfloat16():
    assert numpy_reads(torch.zeros(2), torch.zeros(2, dtype=torch.float16))
    assert not numpy_reads(torch.zeros(2), torch.zeros(2, dtype=torch.bfloat16))
    assert not numpy_reads(torch.zeros(2, device="meta"))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("total", [0, 1, 32, 100, 4096])
def test_ranges_are_as_many_for_every_thread(monkeypatch, threads, total):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    width = even_width(total, most=384, multiple=32)
    assert 0 < width <= 384
    assert width % 32 == 0
    assert -(-total // width) <= threads * -(-total // (384 * threads))


def test_rooms_are_used_again_and_are_as_many_as_are_needed_at_once():
    rooms = Rooms(torch.int16)
    with rooms.one(3, 4) as first, rooms.one(12) as second:
        places = {first.data_ptr(), second.data_ptr()}
        assert (first.shape, first.dtype, len(places)) == ((3, 4), torch.int16, 2)
        assert all(place % 64 == 0 for place in places)
    with rooms.one(2, 2) as smaller:
        assert smaller.data_ptr() in places
    with rooms.one(50) as larger:
        assert larger.shape == (50,)
