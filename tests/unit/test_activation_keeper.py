import numpy as np
import pytest
import torch

from lightning_dissect.activation_keeper import MOST_IMAGES, ActivationKeeper
from lightning_dissect.distributed import in_step
from lightning_dissect.peers import Peers
from lightning_dissect.recording import NeuronShare, share_of
from tests.helpers.processes import run_in_wired_threads

IDS = 3 * torch.arange(2000)
PLENTY = 2**30


def draw(images, units, seed=0):
    return torch.randn(images, units, generator=torch.Generator().manual_seed(seed))


def whole(activations, sample_ids=IDS):
    return NeuronShare(slice(0, activations.shape[1]), sample_ids, activations, activations.shape[1])


def kept(layers, max_bytes=PLENTY, sample_ids=IDS):
    keeper = ActivationKeeper(sample_ids, max_bytes)
    for layer, share in layers.items():
        keeper.add(layer, share)
    with in_step("keeping") as peers:
        return keeper.gather(peers)


def test_correlations_survive_scale_offset_and_rounding():
    activations = draw(2000, 6)
    activations[:, 3:] = activations[:, :3].relu()
    scales = torch.tensor([1e-30, 1e30, 1.0, 1e-4, 1e4, 3.0])
    found = kept({"fc": whole(activations * scales + torch.tensor([0, 0, 50.0, 0, 0, 0]))})
    assert len(found.sample_ids) == MOST_IMAGES
    chosen = activations[torch.searchsorted(IDS, torch.from_numpy(found.sample_ids))].double().numpy()
    values = found.layers["fc"].astype(np.float64)
    assert (values.min(), values.max()) == (0, 1)
    np.testing.assert_allclose(np.corrcoef(values.T), np.corrcoef(chosen.T), atol=2e-3)
    np.testing.assert_allclose(np.corrcoef(values.T, chosen.T)[range(6), range(6, 12)], 1, atol=1e-5)


def test_units_that_are_constant_or_not_finite():
    activations = torch.tensor([[1.0, 2.0, 3.0, 0.0], [1.0, torch.nan, 4.0, 1.0], [1.0, 2.0, torch.inf, 3.0]])
    values = kept({"fc": whole(activations, torch.arange(3))}, sample_ids=torch.arange(3)).layers["fc"]
    assert values[:, 0].tolist() == [0, 0, 0]
    assert np.isnan(values[:, 1:3]).all()
    assert values[:, 3].tolist() == [0.0, np.float16(1 / 3), 1.0]


def test_a_layer_that_missed_an_image_is_left_out():
    sample_ids, some = torch.arange(4), torch.tensor([0, 1, 3])
    layers = {"a": whole(draw(3, 2), some), "b": whole(draw(4, 2), sample_ids), "c": whole(draw(3, 2), sample_ids[:3])}
    assert list(kept(layers, sample_ids=sample_ids).layers) == ["b"]


@pytest.mark.parametrize(
    ("max_units", "names"), [(20, "abcde"), (19, "acde"), (12, "acde"), (11, "ade"), (7, "de"), (3, "d"), (1, "")]
)
def test_the_largest_layers_make_room_and_of_equal_ones_the_last(max_units, names):
    sizes = {"a": 4, "b": 8, "c": 4, "d": 2, "e": 2}
    found = kept({name: whole(draw(2000, size)) for name, size in sizes.items()}, 2 * MOST_IMAGES * max_units)
    assert "".join(found.layers) == names


def test_processes_keep_what_one_would_bit_for_bit():
    layers = {"a": draw(2000, 7), "b": draw(2000, 2, seed=1), "c": draw(2000, 5, seed=2)}
    limit = 2 * MOST_IMAGES * 9

    def run(wire):
        with Peers("keeping", wire) as peers:
            keeper = ActivationKeeper(IDS, limit)
            for layer, activations in layers.items():
                units = share_of(activations.shape[1], peers.rank, peers.world_size)
                keeper.add(layer, NeuronShare(units, IDS, activations[:, units], activations.shape[1]))
            return keeper.gather(peers)

    together, *others = run_in_wired_threads(run, 3)
    alone = kept({layer: whole(activations) for layer, activations in layers.items()}, limit)
    assert others == [None, None]
    assert list(together.layers) == list(alone.layers) == ["b", "c"]
    assert together.sample_ids.tolist() == alone.sample_ids.tolist()
    for layer, values in alone.layers.items():
        np.testing.assert_array_equal(together.layers[layer], values)
