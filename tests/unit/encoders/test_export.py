from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_dissect.encoders import AssembledEncoder, Distillation, OpenClipEncoder, export_open_clip
from lightning_dissect.encoders.assembled import anchor_texts
from lightning_dissect.encoders.export import distillation_texts, image_projection

THINGS = ["cat", "cup of coffee", "rocket", "dog", "car", "piano", "tree", "bicycle", "hammer", "camera"]


def photo(name: str) -> Tensor:
    from skimage import data

    return torch.from_numpy(np.array(getattr(data, name)())).permute(2, 0, 1)[None]


@pytest.mark.offline_weights
def test_a_small_export_is_a_real_open_clip_model(assembled: AssembledEncoder, tmp_path: Path) -> None:
    prompts = [f"a photo of a {thing}" for thing in THINGS]
    names = anchor_texts(definitions=False)[0]
    state = torch.get_rng_state()
    folder = export_open_clip(
        assembled,
        tmp_path / "model",
        embed_dim=320,
        texts=[*names, *prompts],
        distillation=Distillation(epochs=15, batch_size=128),
    )
    exported = OpenClipEncoder(f"local-dir:{folder}")
    texts = exported.encode_texts(prompts)
    assert torch.equal(torch.get_rng_state(), state)
    assert texts.shape == (10, 320)
    for name, thing in (("chelsea", "cat"), ("coffee", "cup of coffee"), ("rocket", "rocket")):
        assert THINGS[int((exported.encode_images(photo(name)) @ texts.T).argmax())] == thing
    basis = image_projection(assembled.towers.class_directions(), 320)
    features = assembled.towers.embed_images(photo("chelsea"))
    ours = exported.towers.model.visual.trunk(assembled.towers.preprocessing(photo("chelsea")))
    assert torch.nn.functional.cosine_similarity(features @ basis.T, ours).item() > 0.999


def test_the_projection_is_orthonormal_and_keeps_the_classes() -> None:
    directions = torch.randn(20, 12, generator=torch.Generator().manual_seed(0))
    directions -= directions.mean(dim=0)
    basis = image_projection(directions, 12)
    torch.testing.assert_close(basis @ basis.T, torch.eye(12), atol=1e-5, rtol=0)
    kept = [(directions @ image_projection(directions, rows).T).norm() / directions.norm() for rows in (3, 6, 12)]
    assert kept[0] < kept[1] < kept[2]
    torch.testing.assert_close(kept[2], torch.tensor(1.0))


def test_texts_are_anchors_and_nouns_half_of_them_in_a_prompt() -> None:
    texts = distillation_texts(["tench"])
    assert texts[0] == "tench"
    assert len(texts) == len(set(texts)) > 19000
    assert 0.45 < sum(text.startswith("a photo of a ") for text in texts) / len(texts) < 0.55


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    for embed_dim in (0, 1000):
        with pytest.raises(ValueError, match="Expected `embed_dim`"):
            export_open_clip(AssembledEncoder(), tmp_path, embed_dim=embed_dim)
    with pytest.raises(ValueError, match="Expected `texts`"):
        export_open_clip(AssembledEncoder(), tmp_path, texts=[])
