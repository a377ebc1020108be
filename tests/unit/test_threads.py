import pytest
import torch

from lightning_dissect.threads import numpy_reads, run_in_threads


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
