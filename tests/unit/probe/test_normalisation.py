from functools import partial

import numpy as np
import open_clip
import pytest
import timm.data
import torch
from torch import nn
from torch.utils.data import ConcatDataset, Dataset, Subset
from torchvision import transforms as v1
from torchvision.datasets import FakeData
from torchvision.models import ResNet18_Weights
from torchvision.transforms import v2

from lightning_dissect.probe.normalisation import Normalisation, find_normalisation, find_normalisations

MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
EXPECTED = Normalisation(MEAN, STD)
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PIPELINE = v2.Compose([v2.ToImage(), v2.Normalize(MEAN, STD)])


class Photos(Dataset):
    def __init__(self, name, transform):
        setattr(self, name, transform)

    def __getitem__(self, index):
        return index

    def __len__(self):
        return 4


class Own:
    def __init__(self):
        self.pipeline = PIPELINE

    def apply(self, image):
        return self.pipeline(image)


def closure():
    pipeline = PIPELINE

    def apply(image):
        return pipeline(image)

    return apply


def unbound():
    def apply(image):
        return later(image)

    if len(MEAN) == 0:
        later = PIPELINE
    return apply


def reads_module(image):
    return PIPELINE(image)


def flip(image, pipeline):
    return pipeline(image)


@pytest.mark.parametrize(
    "transform",
    [
        v1.Compose([v1.ToTensor(), v1.Normalize(MEAN, STD)]),
        v1.Compose([v1.Compose([v1.Normalize(torch.tensor(MEAN, dtype=torch.float64), np.array(STD))])]),
        v2.Compose([v2.RandomApply([v2.RandomHorizontalFlip()]), PIPELINE]),
        nn.Sequential(v2.Resize(8), v2.Normalize(list(MEAN), list(STD))),
        closure(),
        reads_module,
        partial(flip, pipeline=PIPELINE),
        Own(),
        Own().apply,
        {"val": PIPELINE},
        [PIPELINE, PIPELINE],
    ],
)
def test_transforms(transform):
    assert find_normalisation(Photos("transform", transform)) == EXPECTED


@pytest.mark.parametrize("name", ["transform", "transforms", "tf", "tfms", "preprocess", "image_processor", "augment"])
def test_attributes(name):
    assert find_normalisation(Photos(name, PIPELINE)) == EXPECTED
    assert find_normalisation(Photos("colour", PIPELINE)) is None


def test_wrapped_datasets():
    photos = FakeData(size=4, transform=PIPELINE)
    assert find_normalisation(Subset(Subset(photos, [0, 1]), [1])) == EXPECTED
    assert find_normalisation(ConcatDataset([photos, FakeData(size=4, transform=PIPELINE)])) == EXPECTED


def test_formatted_dataset():
    dataset = Photos("_format_kwargs", {"transform": closure()})
    assert find_normalisation(dataset) == EXPECTED


def test_libraries():
    assert find_normalisation(Photos("transform", ResNet18_Weights.DEFAULT.transforms())) == IMAGENET
    assert find_normalisation(Photos("transform", timm.data.create_transform(32))) == IMAGENET
    preprocess = open_clip.image_transform(32, is_train=False, mean=MEAN, std=STD)
    assert find_normalisation(Photos("transform", preprocess)) == EXPECTED


def test_image_processor():
    processor = Own()
    processor.image_mean, processor.image_std, processor.pipeline = list(MEAN), list(STD), None
    assert find_normalisation(Photos("processor", processor)) == EXPECTED


def test_means_in_units_of_255():
    (found,) = find_normalisations(v1.Normalize((127.5,), (51.0,)))
    assert found == Normalisation((0.5,), (0.2,))


def test_two_different_ones_are_both_told_and_neither_is_chosen():
    other = v2.Normalize((0.5,), (0.5,))
    dataset = ConcatDataset([FakeData(size=4, transform=PIPELINE), FakeData(size=4, transform=other)])
    assert find_normalisations(dataset) == (EXPECTED, Normalisation((0.5,), (0.5,)))
    assert find_normalisation(dataset) is None


@pytest.mark.parametrize(
    "nothing", [None, 3, "transform", FakeData(size=4), unbound(), v2.GaussianNoise(0.1), Photos("transform", Own)]
)
def test_nothing_to_find(nothing):
    assert find_normalisations(nothing) == ()


@pytest.mark.parametrize(
    ("mean", "std"),
    [(True, True), ("ab", "cd"), ((), ()), ([0.1], [0.0]), ([None], [1.0]), (["x"], ["y"]), (0.1, (1, 2))],
)
def test_what_is_no_normalisation(mean, std):
    own = Own()
    own.mean, own.std, own.pipeline = mean, std, None
    assert find_normalisations(own) == ()


def test_cycles_end():
    own = Own()
    own.transform = [own, {"again": own}, PIPELINE]
    assert find_normalisation(own) == EXPECTED


def test_undo_is_the_inverse_of_torchvision():
    images = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(EXPECTED.undo(v2.Normalize(MEAN, STD)(images)), images, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("mean", "std", "message"), [((), (), "`mean` and `std`"), ((0.1,), (1, 1), "`mean`"), ((0.1,), (0.0,), "`std`")]
)
def test_bad_values(mean, std, message):
    with pytest.raises(ValueError, match=message):
        Normalisation(mean, std)
