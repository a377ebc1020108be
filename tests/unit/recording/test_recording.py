import torch

from lightning_dissect.recording import PooledActivations, Recording


def rows(ids, width=2):
    state = PooledActivations()
    if ids:
        state.update(torch.tensor(ids), torch.tensor(ids, dtype=torch.float32)[:, None].expand(-1, width))
    return state


def recording(ids):
    return Recording({"a": rows(ids), "b": rows(ids, 3)}, rows(ids, 4), (), {})


def test_merged_rows_are_those_of_one_process():
    merged = recording([3, 1])
    merged.merge_state(recording([2, 3]))
    merged.merge_state(recording([]))
    for state, width in ((merged.activations["a"], 2), (merged.activations["b"], 3), (merged.concept_rows, 4)):
        ids, values = state.compute()
        assert ids.tolist() == [1, 2, 3]
        assert values.shape == (3, width)


def test_layers_can_be_left_out():
    part = recording([1]).without(["a"])
    assert part.activations.keys() == {"b"}
    assert len(part.concept_rows) == 1
