"""Tiny vision-language models in folders, and questions for them; nothing is ever downloaded."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_dissect.evaluators import Evidence, Questions
from lightning_dissect.probe import ConceptVocabulary
from tests.helpers import tiny_vlm


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("transformers.models.smolvlm.processing_smolvlm.num2words", str)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads wait for each other longer than these models compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a tiny model, made when it is first asked for."""
    root = tmp_path_factory.mktemp("models")

    return partial(tiny_vlm.folder_of, root=root)


LABELS = ("cat", "a large dog", "the inside of a very old church with many windows", "red")


def questions_of(labels: tuple[str, ...] = LABELS, num_images: int = 3) -> Questions:
    """Each image with each label, image by image; there is no picture of the last image."""
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (20 + 4 * i, 30, 3), dtype=np.uint8) for i in range(num_images)]
    evidence = Evidence(ConceptVocabulary(("cat", "dog")), [*pictures, None], reference=torch.arange(num_images))
    rows, places = torch.meshgrid(torch.arange(num_images + 1), torch.arange(len(labels)), indexing="ij")
    return Questions(evidence, labels, rows.flatten(), places.flatten())


@pytest.fixture
def ask() -> Callable[..., Questions]:
    """See `questions_of`."""
    return questions_of
