import numpy as np
import pytest
import torch

from lightning_dissect.evaluators import ImageSampling, JudgedImageTable

IMAGES, NEURONS = 200, 70


@pytest.fixture
def activations():
    return torch.randn(IMAGES, NEURONS, generator=torch.Generator().manual_seed(0))


def draw(sampling, activations, neurons=None, embeddings=None, ids=None):
    neurons = torch.arange(activations.shape[1]) if neurons is None else neurons
    ids = torch.arange(len(activations)) if ids is None else ids
    return sampling.draw(activations, neurons, ids, [[5, unit] for unit in neurons.tolist()], embeddings)


def test_top_images_come_first_then_deciles_then_controls(activations):
    sampling = ImageSampling(top=5, per_decile=2, controls=4)
    ids = 10 * torch.arange(IMAGES) + 3
    table = draw(sampling, activations, ids=ids)
    for neuron, images in enumerate(table.records(sampling)):
        order = activations[:, neuron].argsort(descending=True)
        place = {int(ids[row]): place for place, row in enumerate(order.tolist())}
        assert [image.sample_id for image in images[:5]] == ids[order[:5]].tolist()
        assert [image.role for image in images] == ["top"] * 5 + ["decile"] * 20 + ["control"] * 4
        assert len({image.sample_id for image in images}) == len(images)
        for image in images:
            assert image.decile == 10 - place[image.sample_id] * 10 // IMAGES
            assert image.activation == pytest.approx(float(activations[(image.sample_id - 3) // 10, neuron]))
        assert all(image.decile <= 5 for image in images if image.role == "control")
        spread = [image.decile for image in images if image.role == "decile"]
        assert spread == [decile for decile in range(10, 0, -1) for _ in range(2)]


@pytest.mark.parametrize("images", [3, 12, 37, 200])
def test_weights_add_up_to_the_probe_where_every_decile_is_drawn_from(images):
    sampling = ImageSampling(top=2, per_decile=1, controls=2)
    table = draw(sampling, torch.randn(images, 6, generator=torch.Generator().manual_seed(1)))
    for record in table.records(sampling):
        assert sum(image.weight for image in record) == pytest.approx(images)
        assert all((image.weight == 0) == (image.role == "control") for image in record)


def test_a_neuron_s_draw_does_not_depend_on_the_others(activations):
    sampling = ImageSampling()
    together = draw(sampling, activations)
    alone = [draw(sampling, activations, torch.tensor([unit])) for unit in (0, 64, 69)]
    assert torch.equal(JudgedImageTable.cat(alone).sample_ids, together.sample_ids[[0, 64, 69]])
    shares = [draw(sampling, activations, part) for part in torch.arange(NEURONS).split(33)]
    assert torch.equal(JudgedImageTable.cat(shares).sample_ids, together.sample_ids)


def test_images_of_a_silent_unit_are_in_no_order():
    silent = torch.zeros(IMAGES, 1)
    silent[:10] = 1
    sampling = ImageSampling(top=5, per_decile=1, controls=0)
    drawn = [sampling.draw(silent, torch.tensor([0]), torch.arange(IMAGES), [seed]) for seed in range(200)]
    of_decile = np.array([table.sample_ids[0, 5:].numpy() for table in drawn])
    assert np.corrcoef(of_decile[:, 1:].ravel(), np.tile(np.arange(9), 200))[0, 1] == pytest.approx(0, abs=0.08)


def test_controls_look_like_the_top_images(activations):
    sampling = ImageSampling(top=3, per_decile=0, controls=3)
    embeddings = torch.nn.functional.normalize(
        torch.randn(IMAGES, 8, generator=torch.Generator().manual_seed(2)), dim=1
    )
    for neuron, images in enumerate(draw(sampling, activations, embeddings=embeddings).records(sampling)):
        order = activations[:, neuron].argsort(descending=True)
        low = order[IMAGES // 2 :].tolist()
        for turn in range(3):
            likeness = embeddings[low] @ embeddings[order[turn]]
            assert images[3 + turn].sample_id == low.pop(int(likeness.argmax()))


def test_few_images_nan_and_half_precision_are_fine():
    sampling = ImageSampling(top=5, per_decile=1, controls=5)
    activations = torch.tensor([[1.0, torch.nan], [0.5, 2.0], [torch.inf, -1.0]]).to(torch.bfloat16)
    first, second = draw(sampling, activations).records(sampling)
    assert [image.sample_id for image in first] == [2, 0, 1]
    assert [image.sample_id for image in second] == [1, 2, 0]


def test_no_neurons_make_an_empty_table(activations):
    table = draw(ImageSampling(), activations, torch.empty(0, dtype=torch.int64))
    assert table.sample_ids.shape == (0, 20)
    assert table.records(ImageSampling()) == []


@pytest.mark.parametrize(("name", "value"), [("top", 0), ("per_decile", -1), ("controls", -1)])
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"Expected `{name}`"):
        ImageSampling(**{name: value})
