import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from lightning_dissect.probe.normalisation import Normalisation
from lightning_dissect.probe.reread import read_image

TRANSFORM = v2.Compose(
    [v2.ToImage(), v2.Resize((4, 4)), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5])]
)
NORMALISATION = Normalisation((0.5,), (0.5,))


def pixels(index, height=20, width=30):
    generator = np.random.default_rng(index)
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)


class Held(Dataset):
    """Holds what its keyword arguments say, and gives an unreadable sample."""

    def __init__(self, length=3, **attributes):
        self.length = length
        self.__dict__.update(attributes)

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return "unreadable"


@pytest.fixture
def folder(tmp_path):
    for name, indices in {"cat": [0, 1], "dog": [2]}.items():
        (tmp_path / name).mkdir()
        for index in indices:
            Image.fromarray(pixels(index)).save(tmp_path / name / f"{index}.png")
    return ImageFolder(str(tmp_path), transform=TRANSFORM)


def test_image_folder_gives_the_file(folder):
    for index in range(3):
        assert np.array_equal(read_image(folder, index), pixels(index))


def test_subsets_and_concatenations_are_followed(folder):
    mixed = ConcatDataset([Subset(folder, [2]), Subset(Subset(folder, [1, 0]), torch.tensor([1, 0]))])
    assert [int(np.array_equal(read_image(mixed, i), pixels(j))) for i, j in enumerate([2, 0, 1])] == [1, 1, 1]


@pytest.mark.parametrize("name", ["imgs", "images", "_image_files", "_images"])
def test_lists_of_files(folder, name):
    files = [path for path, _ in folder.samples]
    assert np.array_equal(read_image(Held(**{name: files}), 1), pixels(1))
    assert np.array_equal(read_image(Held(**{name: folder.samples}), 1), pixels(1))
    assert read_image(Held(length=2, **{name: files}), 1) is None


@pytest.mark.parametrize(
    "data",
    [
        np.stack([pixels(0), pixels(1), pixels(2)]),
        torch.stack([torch.from_numpy(pixels(index)) for index in range(3)]),
        np.stack([pixels(0), pixels(1), pixels(2)]).transpose(0, 3, 1, 2),
    ],
)
def test_arrays(data):
    assert np.array_equal(read_image(Held(data=data), 2), pixels(2))


def test_grey_arrays_become_rgb():
    grey = pixels(0)[None, ..., 0].repeat(3, axis=0)
    expected = pixels(0)[..., :1].repeat(3, axis=2)
    assert np.array_equal(read_image(Held(data=grey), 0), expected)
    assert np.array_equal(read_image(Held(data=grey[..., None]), 0), expected)
    assert np.array_equal(read_image(Held(data=torch.from_numpy(grey)), 0), expected)


def test_arrays_that_are_no_pixels_are_passed_over():
    assert read_image(Held(data=np.zeros((3, 4, 4, 3), dtype=np.float32)), 0) is None
    assert read_image(Held(data=np.zeros((2, 4, 4, 3), dtype=np.uint8)), 0) is None
    assert read_image(Held(data="pixels"), 0) is None


def test_what_the_dataset_returns_is_denormalised():
    image = torch.from_numpy(pixels(0)).permute(2, 0, 1)
    dataset = [(image / 255 - 0.5) / 0.5]
    assert np.array_equal(read_image(dataset, 0, NORMALISATION), pixels(0))
    assert np.array_equal(read_image([{"label": 1, "image": dataset[0]}], 0, NORMALISATION), pixels(0))


@pytest.mark.parametrize("wrap", [lambda image: image, lambda image: (image, 1), lambda image: {"image": image}])
def test_pil_images_from_datasets_without_transform(wrap):
    assert np.array_equal(read_image([wrap(Image.fromarray(pixels(0)))], 0), pixels(0))


def test_image_fn_and_collate_fn():
    image = torch.from_numpy(pixels(0)).permute(2, 0, 1)
    dataset = [{"many": image, "wrong": torch.zeros(3, 4, 4)}]
    assert np.array_equal(read_image(dataset, 0, image_fn=lambda batch: batch["many"]), pixels(0))

    def collate(samples):
        return {"x": torch.stack([sample["many"] for sample in samples])}

    assert np.array_equal(read_image(dataset, 0, collate_fn=collate), pixels(0))


def test_longest_side():
    dataset = Held(data=np.zeros((3, 600, 300, 3), dtype=np.uint8))
    assert read_image(dataset, 0).shape == (256, 128, 3)
    assert read_image(dataset, 0, longest_side=50).shape == (50, 25, 3)
    with pytest.raises(ValueError, match="longest_side"):
        read_image(dataset, 0, longest_side=0)


def test_a_broken_file_falls_back_to_the_sample(tmp_path):
    class Broken(Held):
        def __getitem__(self, index):
            return torch.zeros(3, 5, 5)

    (tmp_path / "x.png").write_bytes(b"no image")
    assert read_image(Broken(imgs=[str(tmp_path / "x.png")] * 3), 0).shape == (5, 5, 3)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([torch.zeros(3, 4, 4)])


@pytest.mark.parametrize(
    "dataset", [Stream(), [], ["text"], [torch.zeros(2)], Subset([torch.zeros(3, 4, 4)], []), None]
)
def test_failures_give_none(dataset):
    assert read_image(dataset, 0) is None


def test_random_states_are_left_as_found():
    class Drawing(Held):
        def __getitem__(self, index):
            random.random()  # noqa: S311
            np.random.rand()  # noqa: NPY002
            torch.rand(1)
            if index:
                raise RuntimeError
            return torch.zeros(3, 4, 4)

    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    assert read_image(Drawing(), 0) is not None
    assert read_image(Drawing(), 1) is None
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002


def test_the_dataset_is_not_written_to():
    data = np.stack([pixels(0)] * 3)
    image = Image.fromarray(pixels(0))
    read_image(Held(data=data), 0)[:] = 0
    read_image([image], 0, longest_side=4)
    assert np.array_equal(data[0], pixels(0))
    assert image.size == (30, 20)
