import copy
import pickle
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from lightning_dissect.encoders.lazy_encoder import LazyEncoder, Towers


class LinearTowers(Towers):
    def __init__(self, note: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(6.0).reshape(3, 2))
        self.noise = nn.Dropout(0.5)
        self.note = note

    def embed_images(self, images: Tensor) -> Tensor:
        return self.noise(images.float().mean(dim=(2, 3)) @ self.weight)

    def embed_texts(self, texts: list[str]) -> Tensor:
        return torch.tensor([[len(text), 1.0] for text in texts])

    def settings(self) -> Iterable[str]:
        return [self.note]


class LinearEncoder(LazyEncoder):
    temperature = 1.0

    def __init__(self, note: str = "", batch_size: int = 64) -> None:
        super().__init__(batch_size=batch_size)
        self.note = note
        self.loads = 0

    def load(self) -> Towers:
        self.loads += 1
        torch.rand(3)
        return LinearTowers(self.note)


def test_loads_once_in_evaluation_mode_without_drawing_random_numbers(images: Tensor) -> None:
    encoder = LinearEncoder()
    assert encoder.loads == 0
    state = torch.get_rng_state()
    first, second = encoder.encode_images(images), encoder.encode_images(images)
    assert torch.equal(torch.get_rng_state(), state)
    assert encoder.loads == 1
    assert torch.equal(first, second)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(5))
    assert not any(weight.requires_grad for weight in encoder.towers.parameters())


def test_the_batch_size_makes_no_difference(images: Tensor) -> None:
    assert torch.equal(LinearEncoder(batch_size=2).encode_images(images), LinearEncoder().encode_images(images))
    texts = ["a", "bb", "ccc"]
    assert torch.equal(LinearEncoder(batch_size=1).encode_texts(texts), LinearEncoder().encode_texts(tuple(texts)))


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda encoder: pickle.loads(pickle.dumps(encoder))])  # noqa: S301
def test_copies_carry_no_weights_and_load_again(clone: object, images: Tensor) -> None:
    encoder = LinearEncoder()
    expected, key = encoder.encode_images(images), encoder.fingerprint()
    copied = clone(encoder)
    assert copied._towers is None
    assert copied._fingerprint is None
    assert torch.equal(copied.encode_images(images), expected)
    assert copied.fingerprint() == key
    assert encoder._towers is not None


def test_the_fingerprint_follows_weights_and_settings_and_is_kept() -> None:
    encoder = LinearEncoder()
    key = encoder.fingerprint()
    assert LinearEncoder("other").fingerprint() != key
    changed = LinearEncoder()
    changed.towers.weight[0, 0] += 1
    assert changed.fingerprint() != key
    encoder.towers.weight[0, 0] += 1
    assert encoder.fingerprint() == key


def test_results_are_ordinary_tensors_inside_inference_mode_and_autocast(images: Tensor) -> None:
    expected = LinearEncoder().encode_images(images)
    encoder = LinearEncoder()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        result = encoder.encode_images(images.clone())
    assert not result.is_inference()
    assert torch.equal(result, expected)
    assert torch.equal(encoder.encode_images(images), expected)


@pytest.mark.parametrize("texts", ["a cat", [], ()])
def test_a_string_or_nothing_is_no_list_of_texts(texts: object) -> None:
    with pytest.raises(ValueError, match="Expected `texts`"):
        LinearEncoder().encode_texts(texts)


def test_bad_input_is_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match="uint8"):
        LinearEncoder().encode_images(images / 255)
    with pytest.raises(ValueError, match="Expected `batch_size`"):
        LinearEncoder(batch_size=0)


class StatedEncoder(LinearEncoder):
    packages = ("torch", "no-such-distribution")

    def request(self) -> list[str]:
        return [self.note]


class InheritingEncoder(StatedEncoder):
    def load(self) -> Towers:
        return LinearTowers("something else")


def test_the_recipe_says_what_was_asked_for_and_of_which_packages() -> None:
    recipe = StatedEncoder("note").recipe()
    assert recipe[0].endswith("StatedEncoder")
    assert recipe[1:] == [f"torch {torch.__version__.split('+')[0]}", "no-such-distribution ", "note"]
    assert StatedEncoder().source_files() is None


def test_there_is_no_recipe_of_what_is_not_known(images: Tensor) -> None:
    assert LinearEncoder().recipe() is None
    assert InheritingEncoder("note").recipe() is None
    loaded = StatedEncoder("note")
    loaded.encode_images(images)
    assert loaded.recipe() is None
