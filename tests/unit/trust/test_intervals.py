import math

import pytest
import torch

from lightning_dissect.trust import quality_intervals


@pytest.fixture
def probe():
    generator = torch.Generator().manual_seed(0)
    presence = torch.rand(80, 6, generator=generator, dtype=torch.float64).pow(3)
    activations = presence[:, :4] + 0.3 * torch.randn(80, 4, generator=generator, dtype=torch.float64)
    candidates = torch.tensor([[0, 1, 5], [1, 0, 3], [2, 4, 5], [3, -1, -1]])
    return activations, presence, candidates


class Columns:
    """Any numbers as presence."""

    def __init__(self, values):
        self.values, self.shape = values, tuple(values.shape)

    def columns(self, concepts, images=slice(None)):
        return self.values[images][:, concepts].double()


def intervals_of(activations, presence, candidates, **options):
    return quality_intervals(activations, Columns(presence), candidates, **options)


def test_by_leaving_out_every_image_in_turn(probe):
    activations, presence, _ = probe
    intervals = intervals_of(activations, presence, torch.tensor([[0], [1], [2], [3]]))
    for neuron in range(4):
        pair = torch.stack([activations[:, neuron], presence[:, neuron]])
        whole = torch.corrcoef(pair)[0, 1]
        z = torch.stack(
            [torch.corrcoef(torch.cat([pair[:, :i], pair[:, i + 1 :]], 1))[0, 1].atanh() for i in range(80)]
        )
        error = ((z - z.mean()).square().sum() * 79 / 80).sqrt()
        torch.testing.assert_close(intervals.quality[neuron, 0], whole)
        torch.testing.assert_close(intervals.low[neuron, 0], (whole.atanh() - 1.959963984540054 * error).tanh())
        torch.testing.assert_close(intervals.high[neuron, 0], (whole.atanh() + 1.959963984540054 * error).tanh())


def test_near_the_bootstrap(probe):
    activations, presence, _ = probe
    intervals = intervals_of(activations, presence, torch.tensor([[0], [1], [2], [3]]))
    drawn = torch.randint(80, (600, 80), generator=torch.Generator().manual_seed(1))
    for neuron in range(4):
        samples = torch.stack([activations[:, neuron], presence[:, neuron]])[:, drawn]
        centred = samples - samples.mean(dim=2, keepdim=True)
        quality = (centred[0] * centred[1]).sum(1) / (centred[0].square().sum(1) * centred[1].square().sum(1)).sqrt()
        low, high = quality.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
        assert abs(intervals.low[neuron, 0] - low) < 0.06
        assert abs(intervals.high[neuron, 0] - high) < 0.06


def test_coverage_on_new_images():
    generator = torch.Generator().manual_seed(0)
    concepts = torch.randn(200, 400, generator=generator, dtype=torch.float64)
    activations = 0.5 * concepts + math.sqrt(0.75) * torch.randn(200, 400, generator=generator, dtype=torch.float64)
    intervals = intervals_of(activations, concepts, torch.arange(400)[:, None])
    covered = (intervals.low < 0.5) & (intervals.high > 0.5)
    assert abs(covered.double().mean() - 0.95) < 0.035


def test_contenders_hold_the_truly_best_and_drop_the_clearly_worse():
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(300, 200, generator=generator, dtype=torch.float64)
    near = signal + 0.6 * torch.randn(300, 200, generator=generator, dtype=torch.float64)
    rival = signal + 0.65 * torch.randn(300, 200, generator=generator, dtype=torch.float64)
    noise = torch.randn(300, 200, generator=generator, dtype=torch.float64)
    candidates = torch.arange(200)[:, None] + torch.tensor([0, 200, 400])
    contenders = intervals_of(signal, torch.cat([near, rival, noise], dim=1), candidates).contenders.double().mean(0)
    assert contenders[0] >= 0.95
    assert contenders[1] > 0.4
    assert contenders[2] == 0


def test_missing_candidates_and_undefined_qualities(probe):
    activations, presence, candidates = probe
    activations[:, 2] = 1.0
    intervals = intervals_of(activations, presence, candidates)
    assert intervals.quality.isnan().tolist() == [[False] * 3, [False] * 3, [True] * 3, [False, True, True]]
    assert not intervals.contenders[intervals.quality.isnan()].any()
    assert intervals.low[2].isnan().all()
    assert intervals.contenders[3].tolist() == [True, False, False]


def test_a_neuron_that_lives_off_one_image_has_no_narrow_interval():
    activations = torch.zeros(50, 1)
    activations[7] = 1.0
    presence = torch.rand(50, 2, generator=torch.Generator().manual_seed(0))
    presence[7] = 5.0
    intervals = intervals_of(activations, presence, torch.tensor([[0, 1]]))
    assert intervals.low.tolist() == [[-1.0, -1.0]]
    assert intervals.high.tolist() == [[1.0, 1.0]]
    assert intervals.contenders.all()


def test_perfect_correlation_is_certain():
    column = torch.arange(9.0)[:, None]
    intervals = intervals_of(column, column, torch.tensor([[0]]))
    assert intervals.quality.item() == pytest.approx(1.0)
    assert intervals.contenders.all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_scale_and_order_of_images_do_not_matter(probe, dtype):
    activations, presence, candidates = probe
    activations = activations.to(dtype)
    whole = intervals_of(activations, presence, candidates)
    order = torch.randperm(80, generator=torch.Generator().manual_seed(0))
    other = intervals_of(4 * activations[order], 1 + 8 * presence[order], candidates, max_bytes=1)
    for name in ("quality", "low", "high"):
        torch.testing.assert_close(getattr(whole, name), getattr(other, name), equal_nan=True)
    assert torch.equal(whole.contenders, other.contenders)


def test_a_higher_confidence_widens(probe):
    narrow, wide = (intervals_of(*probe, confidence=confidence) for confidence in (0.8, 0.99))
    assert (wide.high >= narrow.high)[narrow.high.isfinite()].all()
    assert (wide.contenders | ~narrow.contenders).all()


def test_no_neuron_and_no_candidate(probe):
    activations, presence, _ = probe
    assert intervals_of(activations[:, :0], presence, torch.empty(0, 3, dtype=torch.int64)).low.shape == (0, 3)
    none = intervals_of(activations, presence, torch.full((4, 2), -1))
    assert none.quality.isnan().all()
    assert none.low.isnan().all()
    assert not none.contenders.any()


def test_a_neuron_does_not_depend_on_those_beside_it(probe):
    activations, presence, candidates = probe
    whole = intervals_of(activations, presence, candidates)
    for neuron in range(4):
        alone = intervals_of(activations[:, [neuron]], presence, candidates[[neuron]])
        for name in ("quality", "low", "high", "contenders"):
            assert torch.equal(getattr(whole, name)[[neuron]].nan_to_num(), getattr(alone, name).nan_to_num())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates": torch.zeros(3, 1, dtype=torch.int64)}, r"Expected `activations` and `candidates` of shapes"),
        ({"activations": torch.zeros(2, 4)}, "at least 3 images but got 2"),
        ({"confidence": 1.0}, "Expected `confidence` to be between 0 and 1 but got 1.0"),
        ({"max_bytes": 0}, "Expected `max_bytes` to be greater than 0"),
    ],
)
def test_faulty_input(probe, changes, message):
    activations, presence, candidates = probe
    arguments = {"activations": activations, "presence": Columns(presence), "candidates": candidates}
    with pytest.raises(ValueError, match=message):
        quality_intervals(**(arguments | changes))
