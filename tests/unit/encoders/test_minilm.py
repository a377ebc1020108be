import importlib.util

import pytest
import torch

from lightning_dissect.encoders.minilm import MiniLM


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(ModuleNotFoundError, match=r"lightning-dissect\[offline\]"):
        MiniLM()


@pytest.mark.offline_weights
def test_sentences_that_mean_the_same_are_close() -> None:
    model = MiniLM().eval()
    texts = ["a kitten", "an explanation of how large ships are steered through narrow harbours", "a small cat"]
    encoded = torch.nn.functional.normalize(model.encode(texts, batch_size=2), dim=1)
    assert encoded[0] @ encoded[2] > 0.6 > encoded[0] @ encoded[1] + 0.3
    with torch.no_grad():
        alone = torch.cat([model([text]) for text in texts])
    torch.testing.assert_close(model.encode(texts), alone, atol=1e-4, rtol=0)
