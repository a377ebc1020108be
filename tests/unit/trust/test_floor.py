import pytest
import torch

from lightning_dissect.trust import ConceptAxes, UntrainedFloor, false_discovery_q_values


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def images():
    """Image statistics that every network follows, and concepts that partly follow them."""
    statistics = draw(300, 5, seed=1)
    return statistics, torch.cat([2 * statistics @ draw(5, 6, seed=2), draw(300, 10, seed=3)], dim=1)


def untrained(statistics, seed, units=100):
    return statistics @ draw(5, units, seed=seed) + 0.3 * draw(300, units, seed=seed + 1)


def floor_of(images, networks=4, **options):
    statistics, matrix = images
    features = [untrained(statistics, 10 * seed) for seed in range(1, networks + 1)]
    return UntrainedFloor(ConceptAxes(matrix), features, **options)


@pytest.mark.parametrize("networks", [2, 3, 4])
def test_further_untrained_networks_stay_below(images, networks):
    floor = floor_of(images, networks)
    for seed in (80, 90):
        q_values = false_discovery_q_values(floor.p_values(floor.explained(untrained(images[0], seed))))
        assert (q_values <= 0.05).double().mean() <= 0.05


def test_units_that_learned_a_concept_stand_above(images):
    floor = floor_of(images)
    learned = images[1][:, 6:] + 0.5 * draw(300, 10, seed=99)
    assert (floor.explained(learned) > 0.4).all()
    assert (floor.p_values(floor.explained(learned)) == 1 / (1 + len(floor.null))).all()


def test_the_null_is_of_the_second_half_of_the_networks(images):
    assert [len(floor_of(images, networks).null) for networks in (2, 3, 4)] == [100, 200, 200]


def test_widening_raises_p_values(images):
    narrow, wide = floor_of(images, widening=1.0), floor_of(images, widening=2.0)
    explained = narrow.null.quantile(torch.tensor([0.6, 0.9], dtype=torch.float64))
    assert (wide.p_values(explained) > narrow.p_values(explained)).all()


def test_few_images_take_few_components(images):
    statistics, matrix = images
    features = [untrained(statistics, seed)[:12] for seed in (10, 20)]
    floor = UntrainedFloor(ConceptAxes(matrix[:12]), features)
    assert floor.explained(matrix[:12]).isfinite().all()


def test_a_dead_neuron_is_not_above(images):
    floor = floor_of(images)
    explained = floor.explained(torch.ones(300, 1))
    assert explained.isnan().all()
    assert floor.p_values(explained).tolist() == [1.0]


def test_order_of_images_does_not_matter(images):
    statistics, matrix = images
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    features, activations = [untrained(statistics, seed) for seed in (10, 20)], matrix[:, 5:8]
    floor = UntrainedFloor(ConceptAxes(matrix), features)
    shuffled = UntrainedFloor(ConceptAxes(matrix[order]), [of_network[order] for of_network in features])
    torch.testing.assert_close(floor.explained(activations), shuffled.explained(activations[order]))
    torch.testing.assert_close(floor.null, shuffled.null)


def test_no_neuron(images):
    floor = floor_of(images)
    assert floor.p_values(floor.explained(torch.empty(300, 0))).shape == (0,)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([torch.rand(300, 4)], r"at least two untrained networks on the same images but got shapes \[\(300, 4\)\]"),
        ([torch.rand(300, 4), torch.rand(299, 4)], "on the same images"),
        ([torch.rand(300, 4), torch.ones(300, 4)], "that are not constant but got none"),
    ],
)
def test_faulty_features(images, features, message):
    with pytest.raises(ValueError, match=message):
        UntrainedFloor(ConceptAxes(images[1]), features)


@pytest.mark.parametrize("name", ["components", "widening"])
def test_faulty_numbers(images, name):
    with pytest.raises(ValueError, match=f"Expected `{name}` to be greater than 0"):
        floor_of(images, **{name: 0})
