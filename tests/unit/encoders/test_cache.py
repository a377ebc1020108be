from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_dissect.encoders import EmbeddingCache, cache_folder

IDS = torch.tensor([11, -(2**62), 33, 44, 2**62])


def test_only_new_images_are_embedded(counting_encoder: type, images: Tensor) -> None:
    encoder = counting_encoder()
    cache = EmbeddingCache(encoder)
    assert cache.unknown_images(IDS).all()
    assert cache.update_images(images[:3], IDS[:3]) == 3
    assert cache.unknown_images(IDS).tolist() == [False, False, False, True, True]
    assert cache.update_images(images, IDS) == 2
    assert cache.update_images(images, IDS) == 0
    assert encoder.num_images == 5
    assert torch.equal(cache.image_embeddings(IDS.flip(0)), counting_encoder().encode_images(images).flip(0))


def test_equal_content_in_one_batch_is_embedded_once(counting_encoder: type, images: Tensor) -> None:
    cache = EmbeddingCache(counting_encoder())
    order = torch.tensor([3, 0, 3, 0])
    assert cache.update_images(images[order], IDS[order]) == 2
    assert torch.equal(cache.image_embeddings(IDS[order]), counting_encoder().encode_images(images)[order])


def test_a_changed_vocabulary_pays_for_new_words_only(counting_encoder: type) -> None:
    encoder = counting_encoder()
    cache = EmbeddingCache(encoder, text_batch_size=2)
    first = cache.text_embeddings(["cat", "dog", "cat", "owl"])
    assert encoder.texts == ["cat", "dog", "owl"]
    second = cache.text_embeddings(("owl", "emu", "cat"))
    assert encoder.texts == ["cat", "dog", "owl", "emu"]
    assert torch.equal(second[[0, 2]], first[[3, 0]])
    assert torch.equal(first, counting_encoder().encode_texts(["cat", "dog", "cat", "owl"]))


def test_a_second_run_embeds_nothing(counting_encoder: type, images: Tensor, tmp_path: Path) -> None:
    cache = EmbeddingCache(counting_encoder(), tmp_path)
    cache.update_images(images, IDS)
    expected = cache.image_embeddings(IDS), cache.text_embeddings(["cat"])
    cache.flush()
    cache.flush()
    encoder = counting_encoder()
    again = EmbeddingCache(encoder, str(tmp_path))
    assert again.update_images(images, IDS) == 0
    assert torch.equal(again.image_embeddings(IDS), expected[0])
    assert torch.equal(again.text_embeddings(["cat"]), expected[1])
    assert encoder.num_images == len(encoder.texts) == 0


def test_two_caches_share_a_folder(counting_encoder: type, images: Tensor, tmp_path: Path) -> None:
    caches = [EmbeddingCache(counting_encoder(), tmp_path) for _ in range(2)]
    for cache, part in zip(caches, (slice(0, 3), slice(2, 5)), strict=True):
        assert cache.update_images(images[part], IDS[part]) == 3
        cache.text_embeddings(["cat"])
    for cache in caches:
        cache.flush()
    third = EmbeddingCache(counting_encoder(), tmp_path)
    assert not third.unknown_images(IDS).any()
    assert torch.equal(third.image_embeddings(IDS), counting_encoder().encode_images(images))


def test_another_encoder_has_another_folder(counting_encoder: type, images: Tensor, tmp_path: Path) -> None:
    for key in ("one", "two"):
        cache = EmbeddingCache(counting_encoder(key), tmp_path)
        assert cache.update_images(images, IDS) == 5
        cache.flush()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_corrupt_file_is_embedded_again(counting_encoder: type, images: Tensor, tmp_path: Path) -> None:
    cache = EmbeddingCache(counting_encoder(), tmp_path)
    cache.update_images(images, IDS)
    cache.flush()
    (file,) = (tmp_path / "counting").iterdir()
    file.write_bytes(b"not a table")
    again = EmbeddingCache(counting_encoder(), tmp_path)
    with pytest.warns(UserWarning, match="Left out"):
        assert again.update_images(images, IDS) == 5
    assert torch.equal(again.image_embeddings(IDS), cache.image_embeddings(IDS))


def test_bad_input_is_refused(counting_encoder: type, images: Tensor) -> None:
    cache = EmbeddingCache(counting_encoder())
    with pytest.raises(KeyError, match="5 of 5"):
        cache.image_embeddings(IDS)
    for wrong in (IDS[:2], IDS.float(), IDS[:, None]):
        with pytest.raises(ValueError, match="Expected `content_ids`"):
            cache.update_images(images, wrong)
    with pytest.raises(ValueError, match="uint8"):
        cache.update_images(images.float(), IDS)
    for texts in ("cat", []):
        with pytest.raises(ValueError, match="Expected `texts`"):
            cache.text_embeddings(texts)
    with pytest.raises(ValueError, match="Expected `text_batch_size`"):
        EmbeddingCache(counting_encoder(), text_batch_size=0)


def test_the_folder_follows_choice_then_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTNING_DISSECT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "shared")
    assert cache_folder(cache=True) == Path("shared/lightning_dissect")
    monkeypatch.setenv("LIGHTNING_DISSECT_CACHE", "own")
    assert cache_folder(cache=True) == Path("own")
    assert cache_folder(cache=False) is None
    assert cache_folder("given") == Path("given")
