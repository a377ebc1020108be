import torch

from lightning_dissect.fingerprint import fingerprint


def test_layout_does_not_count_but_values_shape_and_dtype_do():
    base = torch.arange(6.0).reshape(2, 3)
    assert fingerprint(base) == fingerprint(base.T.contiguous().T)
    others = [base + 1, base.reshape(3, 2), base.double(), base.to(torch.bfloat16)]
    assert len({fingerprint(base), *map(fingerprint, others)}) == 5


def test_parts_are_separate_and_typed():
    keys = [fingerprint("ab", "c"), fingerprint("a", "bc"), fingerprint(["a", "bc"]), fingerprint("1"), fingerprint(1)]
    assert len({*keys, fingerprint(b"1"), fingerprint(1.0)}) == 7


def test_the_key_is_stable_between_processes_and_versions():
    assert fingerprint("probe", 3, torch.tensor([1, 2])) == fingerprint("probe", 3, torch.tensor([1, 2]))
    assert fingerprint("probe") == "534ead020af91d00c86df82f9583c4bc"
