import importlib.util
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from lightning_dissect.encoders import AssembledEncoder, EmbeddingCache
from lightning_dissect.encoders.assembled import anchor_texts
from lightning_dissect.encoders.fingerprint_memo import FingerprintMemo

THINGS = ["cat", "cup of coffee", "rocket", "dog", "car", "piano", "tree", "bicycle", "hammer", "camera"]


def photo(name: str) -> Tensor:
    from skimage import data

    return torch.from_numpy(np.array(getattr(data, name)())).permute(2, 0, 1)[None]


@pytest.mark.offline_weights
@pytest.mark.parametrize(("name", "thing"), [("chelsea", "cat"), ("coffee", "cup of coffee"), ("rocket", "rocket")])
def test_names_photos(assembled: AssembledEncoder, name: str, thing: str) -> None:
    cosines = (
        assembled.encode_images(photo(name)) @ assembled.encode_texts([f"a photo of a {thing}" for thing in THINGS]).T
    )
    assert THINGS[int(cosines.argmax())] == thing


@pytest.mark.offline_weights
def test_the_temperature_holds_what_the_docstring_says(assembled: AssembledEncoder) -> None:
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    texts = assembled.encode_texts(IMAGENET_CLASSNAMES)
    spreads = torch.stack(
        [(assembled.encode_images(photo(name)) @ texts.T).std() for name in ("chelsea", "coffee", "rocket")]
    )
    assert assembled.temperature == 1.0
    assert ((spreads > 0.03) & (spreads < 0.04)).all()


@pytest.mark.offline_weights
def test_is_the_closed_form_of_the_docstring(assembled: AssembledEncoder) -> None:
    towers = assembled.towers
    rows = towers.visual.classifier.weight.double()
    targets = normalize(rows - rows.mean(dim=0), dim=1)
    anchors = normalize(towers.text.encode(anchor_texts(definitions=False)[0]), dim=1).double()
    point = normalize(towers.text.encode(["a windmill"]), dim=1).double()
    kernel = (-3.0 * torch.cdist(anchors, anchors).square()).exp()
    weights = torch.linalg.solve(kernel + 0.1 * torch.eye(len(anchors)), targets)
    expected = normalize((-3.0 * torch.cdist(point, anchors).square()).exp() @ weights, dim=1)
    torch.testing.assert_close(assembled.encode_texts(["a windmill"]).double(), expected, atol=1e-4, rtol=0)


@pytest.mark.offline_weights
def test_guarantees(assembled: AssembledEncoder) -> None:
    image = photo("chelsea")
    state = torch.get_rng_state()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        fresh = pickle.loads(pickle.dumps(assembled))  # noqa: S301
        words = fresh.encode_texts(["a cat"])
        result = fresh.encode_images(image)
    assert torch.equal(torch.get_rng_state(), state)
    assert not result.is_inference()
    assert torch.equal(result, assembled.encode_images(image))
    torch.testing.assert_close(words, assembled.encode_texts(["a cat"]), atol=1e-5, rtol=0)
    assert len(pickle.dumps(assembled)) < 2000
    assert fresh.fingerprint() == assembled.fingerprint()


def test_anchors_are_names_synonyms_and_definitions() -> None:
    names, classes = anchor_texts(definitions=False)
    assert len(names) == 1000
    assert classes.tolist() == list(range(1000))
    texts, classes = anchor_texts(definitions=True)
    assert len(texts) == len(classes) == 3063
    of_first = [text for text, index in zip(texts, classes.tolist(), strict=True) if index == 0]
    assert of_first[:3] == [
        "tench",
        "Tinca tinca",
        "freshwater dace-like game fish of Europe and western Asia noted for ability to survive outside water",
    ]


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="lite"):
        AssembledEncoder("b0")
    for name in ("gamma", "ridge", "temperature", "batch_size"):
        with pytest.raises(ValueError, match=f"Expected `{name}`"):
            AssembledEncoder(**{name: 0})


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "timm" else find(name, *rest))
    with pytest.raises(ModuleNotFoundError, match=r"lightning-dissect\[offline\]"):
        AssembledEncoder().encode_texts(["a cat"])
    with pytest.raises(ModuleNotFoundError, match="assembled encoder needs the package `timm`"):
        anchor_texts(definitions=True)


@pytest.mark.offline_weights
def test_it_is_not_loaded_to_know_its_fingerprint(assembled: AssembledEncoder, tmp_path: Path) -> None:
    memo = FingerprintMemo(tmp_path / "fingerprints")
    fresh = AssembledEncoder("lite0", definitions=False)
    memo.remember(fresh.recipe(), assembled.source_files(), assembled.fingerprint(), time.time() + 60)
    cache = EmbeddingCache(fresh, tmp_path)
    cache.check()
    assert cache.origin == assembled.fingerprint()
    assert fresh._towers is None
    assert AssembledEncoder("lite0").recipe() != fresh.recipe()
    assert {file.suffix for file in fresh.source_files()} >= {".pth", ".safetensors", ".json"}
