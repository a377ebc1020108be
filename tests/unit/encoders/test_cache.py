import math
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_dissect.encoders import EmbeddingCache, cache_folder, fingerprint_memo
from lightning_dissect.encoders.embedding_table import EmbeddingTable

IDS = torch.tensor([11, -(2**62), 33, 44, 2**62])


def test_only_new_images_are_embedded(counting_encoder: type, images: Tensor) -> None:
    encoder = counting_encoder()
    cache = EmbeddingCache(encoder)
    assert cache.unknown_images(IDS).all()
    assert cache.update_images(images[:3], IDS[:3]) == 3
    assert cache.unknown_images(IDS).tolist() == [False, False, False, True, True]
    assert cache.update_images(images, IDS) == 2
    assert cache.update_images(images, IDS) == 0
    assert not cache.unknown_images(IDS).any()
    assert encoder.num_images == 0
    assert torch.equal(cache.image_embeddings(IDS.flip(0)), counting_encoder().encode_images(images).flip(0))
    assert encoder.num_images == 5


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


def noise(count: int, seed: int = 0, side: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)


def test_small_batches_are_gathered_for_the_encoder(counting_encoder: type) -> None:
    encoder = counting_encoder()
    encoder.batch_size = 8
    calls = []
    encode = encoder.encode_images
    encoder.encode_images = lambda images: calls.append(len(images)) or encode(images)
    cache = EmbeddingCache(encoder)
    told = []
    images, ids = noise(21), torch.arange(21)
    for part, of_part in zip(images.split(3), ids.split(3), strict=True):
        cache.update_images(part, of_part, lambda *task: told.append(task))
        cache.update_images(part, of_part)
    assert calls == [8, 8]
    assert told == [("Encoding images", done, math.inf) for done in (8, 16)]
    assert torch.equal(cache.image_embeddings(ids), counting_encoder().encode_images(images))
    assert calls == [8, 8, 5]


def test_flushing_embeds_what_waits(counting_encoder: type, tmp_path: Path) -> None:
    cache = EmbeddingCache(counting_encoder(), tmp_path)
    cache.update_images(noise(3), torch.arange(3))
    cache.flush()
    assert not EmbeddingCache(counting_encoder(), tmp_path).unknown_images(torch.arange(3)).any()


def test_images_of_a_batch_that_failed_are_new_again(counting_encoder: type) -> None:
    encoder = counting_encoder()
    cache = EmbeddingCache(encoder)
    cache.update_images(noise(3), torch.arange(3))
    encode, encoder.encode_images = encoder.encode_images, lambda images: torch.full((len(images), 3), math.nan)
    with pytest.raises(ValueError, match="finite"):
        cache.embed_waiting()
    encoder.encode_images = encode
    assert cache.update_images(noise(3), torch.arange(3)) == 3
    assert cache.image_embeddings(torch.arange(3)).shape == (3, 3)


def test_texts_tell_how_far_they_are(counting_encoder: type) -> None:
    told = []
    EmbeddingCache(counting_encoder(), text_batch_size=2).text_embeddings(list("abc"), lambda *task: told.append(task))
    assert told == [("Encoding concepts", done, 3) for done in (0, 2, 2, 3)]


def test_work_is_written_now_and_then(counting_encoder: type, tmp_path: Path) -> None:
    encoder = counting_encoder()
    encoder.batch_size = 2
    cache = EmbeddingCache(encoder, tmp_path, text_batch_size=1, write_every=0.0)
    cache.update_images(noise(5), torch.arange(5))
    cache.text_embeddings(["a", "b"])
    known = ~EmbeddingCache(counting_encoder(), tmp_path).unknown_images(torch.arange(5))
    assert known.tolist() == [True] * 4 + [False]
    assert len(EmbeddingTable("texts", tmp_path / "counting", "counting")) == 2
    seldom = EmbeddingCache(counting_encoder("other"), tmp_path)
    seldom.text_embeddings(["a"])
    assert not (tmp_path / "other").exists()


def test_a_disk_that_fails_in_between_is_tried_again_at_the_end(counting_encoder: type, tmp_path: Path) -> None:
    (tmp_path / "counting").touch()
    cache = EmbeddingCache(counting_encoder(), tmp_path, write_every=0.0)
    cache.update_images(noise(2), torch.arange(2))
    assert cache.image_embeddings(torch.arange(2)).shape == (2, 3)
    with pytest.raises(OSError, match="counting"):
        cache.flush()
    (tmp_path / "counting").unlink()
    cache.flush()
    assert not EmbeddingCache(counting_encoder(), tmp_path).unknown_images(torch.arange(2)).any()


KILLED = """
    import sys, time, torch
    from lightning_dissect.encoders import EmbeddingCache

    class Slow:
        temperature = 1.0
        batch_size = 4
        def encode_images(self, images):
            time.sleep(0.1)
            print(len(images), flush=True)
            return images.float().mean(dim=(2, 3))
        encode_texts = None
        def fingerprint(self):
            return "counting"

    cache = EmbeddingCache(Slow(), sys.argv[1], write_every=0.15)
    for start in range(0, 4000, 4):
        images = torch.arange(start, start + 4).view(4, 1, 1, 1).remainder(251).to(torch.uint8).expand(4, 3, 2, 2)
        cache.update_images(images, torch.arange(start, start + 4))
"""


def test_a_killed_epoch_goes_on_where_it_was(counting_encoder: type, tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(6):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    cache = EmbeddingCache(counting_encoder(), tmp_path)
    known = int((~cache.unknown_images(torch.arange(4000))).sum())
    assert 8 <= known <= 32
    assert cache.image_embeddings(torch.arange(known))[:, 0].tolist() == [key % 251 for key in range(known)]


def test_random_augmentation_is_bounded(counting_encoder: type, tmp_path: Path) -> None:
    cache = EmbeddingCache(counting_encoder(), tmp_path, max_image_bytes=40 * 12)
    last = None
    sizes, files = [], []
    for cycle in range(6):
        cache.start_cycle(last)
        last = torch.arange(30) + 100 * cycle
        cache.update_images(noise(30, cycle), last)
        cache.text_embeddings([f"concept {cycle}"])
        cache.flush()
        sizes.append(cache._images.num_bytes // 12)
        files.append(len(list(tmp_path.rglob("images-*"))))
    assert sizes == [30, 60, 60, 60, 60, 60]
    assert files == [1] * 6
    assert len(list(tmp_path.rglob("texts-*"))) == 6


def test_a_probe_that_comes_again_is_kept(counting_encoder: type, tmp_path: Path) -> None:
    encoder = counting_encoder()
    cache = EmbeddingCache(encoder, tmp_path, max_image_bytes=1)
    last = None
    for count in (2, 30, 30, 40):
        cache.start_cycle(last)
        last = torch.arange(count)
        cache.update_images(noise(40)[:count], last)
        cache.flush()
    assert encoder.num_images == 40
    assert not EmbeddingCache(encoder, tmp_path).unknown_images(last).any()


class FileEncoder:
    """An encoder whose only weight is in a file, and which says so."""

    temperature = 1.0

    def __init__(self, file: Path) -> None:
        self.file = file
        self.loads = 0
        self.weight: float | None = None

    def load(self) -> float:
        if self.weight is None:
            self.loads += 1
            self.weight = float(self.file.read_text())
        return self.weight

    def encode_images(self, images: Tensor) -> Tensor:
        return self.load() * images.float().mean(dim=(2, 3))

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return self.load() * torch.ones(len(texts), 3)

    def fingerprint(self) -> str:
        return f"weight {self.load()}"

    def recipe(self) -> Sequence[str] | None:
        return ["FileEncoder"]

    def source_files(self) -> Sequence[Path] | None:
        return [self.file]


@pytest.fixture
def weight_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fingerprint_memo, "SETTLED_SECONDS", -60.0)
    file = tmp_path / "weight"
    file.write_text("2.0")
    return file


def test_an_encoder_is_not_loaded_to_know_what_is_known(weight_file: Path, tmp_path: Path) -> None:
    cold = EmbeddingCache(FileEncoder(weight_file), tmp_path / "cache")
    cold.check()
    cold.update_images(noise(3), torch.arange(3))
    expected = cold.image_embeddings(torch.arange(3)), cold.text_embeddings(["cat"])
    cold.flush()
    encoder = FileEncoder(weight_file)
    warm = EmbeddingCache(encoder, tmp_path / "cache")
    warm.check()
    assert warm.update_images(noise(3), torch.arange(3)) == 0
    assert torch.equal(warm.image_embeddings(torch.arange(3)), expected[0])
    assert torch.equal(warm.text_embeddings(["cat"]), expected[1])
    assert encoder.loads == 0
    warm.update_images(noise(4), torch.arange(4))
    warm.flush()
    assert encoder.loads == 1


def test_an_encoder_of_the_same_name_with_other_weights_shares_nothing(weight_file: Path, tmp_path: Path) -> None:
    for weight in ("2.0", "3.0"):
        time.sleep(0.01)
        weight_file.write_text(weight)
        cache = EmbeddingCache(FileEncoder(weight_file), tmp_path / "cache")
        cache.check()
        assert cache.origin == f"weight {weight}"
        assert cache.update_images(noise(3), torch.arange(3)) == 3
        cache.flush()


def test_without_a_folder_the_encoder_is_loaded(weight_file: Path) -> None:
    encoder = FileEncoder(weight_file)
    EmbeddingCache(encoder).check()
    assert encoder.loads == 1


def test_without_files_the_encoder_is_loaded(weight_file: Path, tmp_path: Path) -> None:
    encoder = FileEncoder(weight_file)
    encoder.source_files = lambda: None
    EmbeddingCache(encoder, tmp_path / "cache").check()
    assert not (tmp_path / "cache").exists()


def test_weights_that_change_in_use_stop_one_dissection(weight_file: Path, tmp_path: Path) -> None:
    EmbeddingCache(FileEncoder(weight_file), tmp_path / "cache").check()
    cache = EmbeddingCache(FileEncoder(weight_file), tmp_path / "cache")
    cache.check()
    weight_file.write_text("5.0")
    cache.update_images(noise(3), torch.arange(3))
    with pytest.raises(RuntimeError, match="have changed since the start"):
        cache.flush()
    assert list((tmp_path / "cache" / "fingerprints").iterdir()) == []
    assert cache.update_images(noise(3), torch.arange(3)) == 3
    cache.flush()
    assert (tmp_path / "cache" / "weight 5.0").is_dir()


def test_what_is_no_encoder_is_refused() -> None:
    class Half:
        encode_images = encode_texts = temperature = None

    with pytest.raises(TypeError, match="but got Half"):
        EmbeddingCache(Half()).check()
