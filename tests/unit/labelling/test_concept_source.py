import pytest
import torch
from torch import Tensor

from lightning_dissect.distributed import in_step
from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.labelling import AnnotatedConcepts, EncodedConcepts, resolve_concepts
from lightning_dissect.peers import Peers
from lightning_dissect.probe import ConceptVocabulary, content_ids
from tests.helpers.processes import run_in_wired_threads


class Letters:
    """Embeds an image by its colour and a text by how often it holds the letters r, g and b."""

    temperature = 2.5

    def __init__(self):
        self.num_images, self.texts = 0, []

    def encode_images(self, images):
        self.num_images += len(images)
        return torch.nn.functional.normalize(images.float().mean(dim=(2, 3)) + 1e-6, dim=-1)

    def encode_texts(self, texts):
        self.texts += texts
        counts = torch.tensor([[text.count(letter) for letter in "rgb"] for text in texts]).float()
        return torch.nn.functional.normalize(counts, dim=-1)

    def fingerprint(self):
        return "letters"


IMAGES = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
IMAGES[0, 0] = 255
IMAGES[1, 2] = 255
IDS = torch.tensor([5, 6])
CONTENT = torch.tensor([55, 66])
VOCABULARY = ConceptVocabulary(("r", "g", "b", "rb"))


def encoded(vocabulary=VOCABULARY, encoder=None, dirpath=None):
    return EncodedConcepts(vocabulary, EmbeddingCache(encoder or Letters(), dirpath))


def noise(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 2, 2), generator=generator, dtype=torch.uint8)


def in_processes(sources, work):
    """Do ``work(source, peers)`` in threads that stand for processes; return what each gives and has sent."""

    def run(wire):
        with Peers("test", wire) as peers:
            return work(sources[peers.rank], peers), peers.bytes_sent

    results = run_in_wired_threads(run, len(sources))
    assert not [result for result in results if isinstance(result, BaseException)], results
    return [result for result, _ in results], [sent for _, sent in results]


def test_the_matrix_is_temperature_times_cosine():
    source = encoded()
    source.check()
    source.start()
    source.update(IMAGES, IDS, CONTENT, None)
    half = 0.5**0.5
    sample_ids, matrix = source.matrix(max_bytes=0)
    assert sample_ids.tolist() == [5, 6]
    expected = 2.5 * torch.tensor([[1, 0, 0, half], [0, 0, 1, half]])
    torch.testing.assert_close(matrix.whole, expected, atol=1e-4, rtol=0)
    assert matrix.is_factored


class LoudLetters(Letters):
    """Forgets to bring its embeddings to norm 1."""

    def encode_images(self, images):
        return 3 * super().encode_images(images) * torch.arange(1, len(images) + 1)[:, None]

    def encode_texts(self, texts):
        return super().encode_texts(texts) * torch.arange(1, len(texts) + 1)[:, None]


def test_the_norm_of_embeddings_does_not_count():
    vocabulary = ConceptVocabulary(("r", "g", "b", "rb"), templates=("{}", "b{}"))
    plain, loud = (encoded(vocabulary, encoder) for encoder in (Letters(), LoudLetters()))
    for source in (plain, loud):
        source.update(IMAGES, IDS, CONTENT, None)
    torch.testing.assert_close(loud.matrix(0)[1].whole, plain.matrix(0)[1].whole)


def test_several_prompts_of_a_concept_are_averaged():
    source = encoded(ConceptVocabulary(("r", "g"), templates=("{}", "b{}")))
    mean = torch.tensor([1 + 0.5**0.5, 0, 0.5**0.5])
    torch.testing.assert_close(source.concept_embeddings()[0], mean / mean.norm())


def test_an_image_counts_once_as_it_came_first_and_rows_ascend():
    source = encoded()
    source.start()
    images, ids = noise(6), torch.tensor([9, 3, 9, 1, 3, 4])
    for part in ((0, 1), (2, 3), (4, 5)):
        chosen = torch.tensor(part)
        source.update(images[chosen], ids[chosen], content_ids(images[chosen]), None)
    assert len(source) == 4
    sample_ids, matrix = source.matrix(0)
    assert sample_ids.tolist() == [1, 3, 4, 9]
    alone = encoded()
    first = torch.tensor([3, 1, 5, 0])
    alone.update(images[first], ids[first], content_ids(images[first]), None)
    assert torch.equal(matrix.whole, alone.matrix(0)[1].whole)


def test_the_same_images_give_the_same_object():
    source = encoded()
    images = noise(4)

    def dissect(chosen, max_bytes=0):
        source.start()
        assert len(source) == 0
        source.update(images[chosen], torch.tensor(chosen), content_ids(images[chosen]), None)
        return source.matrix(max_bytes)[1]

    first = dissect([0, 1, 2])
    assert dissect([2, 0, 1]) is first
    fewer = dissect([0, 1])
    assert fewer is not first
    assert fewer.shape == (2, 4)
    assert dissect([0, 1], max_bytes=2**20) is fewer
    source.vocabulary = ConceptVocabulary(("g", "b"))
    other = dissect([0, 1])
    assert other is not fewer
    assert other.shape == (2, 2)


def test_the_whole_matrix_is_kept_where_embeddings_leave_room():
    def is_kept(max_bytes):
        source = encoded()
        source.update(IMAGES, IDS, CONTENT, None)
        return source.matrix(max_bytes)[1].is_kept

    embeddings, whole = 4 * 3 * (2 + 4), 4 * 2 * 4
    assert is_kept(2 * embeddings + whole)
    assert not is_kept(2 * embeddings + whole - 1)
    assert not is_kept(0)


def test_cold_and_warm_are_equal_bit_for_bit(tmp_path):
    images = noise(20)
    matrices = []
    for encoder in (Letters(), Letters()):
        source = encoded(encoder=encoder, dirpath=tmp_path)
        source.start()
        for part in torch.arange(20).split(3):
            source.update(images[part], part, content_ids(images[part]), None)
        with in_step("dissecting") as peers:
            source.exchange(peers)
        matrices.append(source.matrix(0)[1].whole)
        source.flush()
    assert torch.equal(*matrices)
    assert encoder.num_images == len(encoder.texts) == 0


def shards(world_size):
    """Positions of 23 images, padded as a distributed sampler does; the last process may have none."""
    positions = torch.arange(23)
    if world_size == 1:
        return [positions]
    parts = [torch.cat([positions, positions[:2]])[rank :: world_size - 1] for rank in range(world_size - 1)]
    return [*parts, positions[:0]]


@pytest.mark.parametrize("world_size", [2, 3])
def test_many_processes_are_as_good_as_one(world_size):
    images = noise(23)
    vocabulary = ConceptVocabulary(tuple(f"{'r' * (i % 5)}{'g' * (i // 5)}b{'-' * i}" for i in range(25)))

    def dissect(source, peers):
        source.start()
        for part in shards(peers.world_size)[peers.rank].split(4):
            if len(part):
                source.update(images[part], 2 * part, content_ids(images[part]), None)
        source.exchange(peers)
        ids, matrix = source.matrix(0)
        return ids, matrix.whole, matrix

    (one,), _ = in_processes([encoded(vocabulary)], dissect)
    sources = [encoded(vocabulary) for _ in range(world_size)]
    cold, sent = in_processes(sources, dissect)
    for ids, whole, _ in cold:
        assert torch.equal(ids, one[0])
        assert torch.equal(whole, one[1])
    shares = [len(source.cache.encoder.texts) for source in sources]
    assert sum(shares) == 25
    assert max(shares) - min(shares) <= 1
    assert [len(source) for source in sources] == [len(part.unique()) for part in shards(world_size)]
    warm, sent_warm = in_processes(sources, dissect)
    for before, after in zip(cold, warm, strict=True):
        assert after[2] is before[2]
    pickled = 100
    for source, cold_bytes, warm_bytes in zip(sources, sent, sent_warm, strict=True):
        assert warm_bytes <= (world_size - 1) * (16 * len(source) + pickled) < cold_bytes
    assert sum(len(source.cache.encoder.texts) for source in sources) == 25


def test_processes_write_what_they_encoded_themselves(tmp_path):
    images = noise(8)
    sources = [encoded(dirpath=tmp_path) for _ in range(2)]

    def dissect(source, peers):
        part = torch.arange(8)[peers.rank :: 2]
        source.start()
        source.update(images[part], part, content_ids(images[part]), None)
        source.exchange(peers)
        source.flush()
        return len(source.cache._images)

    assert in_processes(sources, dissect)[0] == [8, 8]
    files = list(tmp_path.rglob("images-*.safetensors"))
    assert len(files) == 2
    later = EmbeddingCache(Letters(), tmp_path)
    assert not later.unknown_images(content_ids(images)).any()
    assert len(later._images) == 8
    sizes = sorted(file.stat().st_size for file in files)
    assert sizes[0] == sizes[1]


def test_of_an_id_that_several_have_the_lowest_rank_counts():
    images = noise(2)

    def dissect(source, peers):
        image = images[peers.rank, None]
        source.update(image, torch.tensor([7]), content_ids(image), None)
        source.exchange(peers)
        return source.matrix(0)

    for ids, matrix in in_processes([encoded(), encoded()], dissect)[0]:
        assert ids.tolist() == [7]
        assert torch.equal(matrix.image_factors, Letters().encode_images(images[:1]))


def test_progress_is_told():
    told = []
    source = encoded()
    source.update(IMAGES, IDS, CONTENT, None)
    with in_step("dissecting") as peers:
        source.exchange(peers, lambda *task: told.append(task))
    assert told == [("Encoding images", 2, float("inf")), ("Encoding concepts", 0, 4), ("Encoding concepts", 4, 4)]


def test_random_augmentation_stays_bounded(tmp_path):
    source = EncodedConcepts(VOCABULARY, EmbeddingCache(Letters(), tmp_path, max_image_bytes=0))
    held = []
    for epoch in range(4):
        source.start()
        images = noise(10, seed=epoch)
        source.update(images, torch.arange(10), content_ids(images), None)
        source.matrix(0)
        source.flush()
        held.append(len(source.cache._images))
    assert held == [10, 20, 20, 20]
    assert len(list(tmp_path.rglob("images-*.safetensors"))) == 1


def test_inference_mode_leaves_no_trace():
    source = encoded()
    for epoch in range(2):
        with torch.inference_mode(epoch == 0):
            source.start()
            source.update(IMAGES, IDS, CONTENT, None)
            source.exchange(in_step("dissecting"))
            matrix = source.matrix(0)[1]
        assert not matrix.image_factors.is_inference()
        assert not matrix.concept_factors.is_inference()


def test_embeddings_are_kept_where_the_cache_keeps_them(tmp_path):
    source = resolve_concepts(VOCABULARY, Letters(), tmp_path)
    source.update(IMAGES, IDS, CONTENT, None)
    source.matrix(0)
    assert not list(tmp_path.rglob("*.safetensors"))
    source.flush()
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2


CATS = ConceptVocabulary(("cat", "dog", "owl"))


def annotate(source: AnnotatedConcepts, ids: Tensor, targets: Tensor | None) -> None:
    source.update(noise(len(ids)), ids, ids, targets)


@pytest.mark.parametrize(
    "targets",
    [torch.tensor([2, 0, 1, 1]), torch.tensor([[0.5, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0.25]])],
    ids=["classes", "memberships"],
)
def test_annotations_are_the_matrix_on_every_process(targets):
    ids = torch.tensor([4, 1, 3, 4])
    expected = (torch.nn.functional.one_hot(targets, 3).float() if targets.ndim == 1 else targets)[[1, 2, 0]]
    one = AnnotatedConcepts(CATS)
    one.check()
    one.start()
    annotate(one, ids, targets)
    assert len(one) == 3
    sample_ids, matrix = one.matrix(0)
    assert sample_ids.tolist() == [1, 3, 4]
    assert torch.equal(matrix.whole, expected)

    def dissect(source, peers):
        source.start()
        part = torch.arange(4)[slice(2) if peers.rank == 0 else slice(2, 4) if peers.rank == 1 else slice(0)]
        if len(part):
            annotate(source, ids[part], targets[part])
        source.exchange(peers)
        return source.matrix(0)

    sources = [AnnotatedConcepts(CATS) for _ in range(3)]
    first, second = (in_processes(sources, dissect)[0] for _ in range(2))
    for (sample_ids, matrix), (_, again) in zip(first, second, strict=True):
        assert sample_ids.tolist() == [1, 3, 4]
        assert torch.equal(matrix.whole, expected)
        assert again is matrix
    assert [len(source) for source in sources] == [2, 2, 0]
    one.flush()


def test_one_concept_has_memberships_or_one_class():
    for targets, expected in ((torch.tensor([[0.5], [0.25]]), [[0.5], [0.25]]), (torch.tensor([0, 0]), [[1.0], [1.0]])):
        source = AnnotatedConcepts(ConceptVocabulary(("cat",)))
        annotate(source, IDS, targets)
        assert source.matrix(0)[1].whole.tolist() == expected


def test_other_annotations_are_another_object():
    source = AnnotatedConcepts(CATS)
    annotate(source, IDS, torch.tensor([0, 1]))
    matrix = source.matrix(0)[1]
    source.start()
    annotate(source, IDS, torch.tensor([0, 2]))
    assert source.matrix(0)[1] is not matrix


def test_missing_annotations_name_the_remedy():
    source = AnnotatedConcepts(CATS)
    with pytest.raises(ValueError, match="target_fn"):
        annotate(source, IDS, None)
    with pytest.raises(ValueError, match="class indices"):
        annotate(source, IDS, torch.tensor([0, 3]))
    assert len(source) == 0


def test_directions_are_seen_from_the_middle_of_the_vocabulary():
    source = encoded()
    embeddings = source.concept_embeddings()
    found = source.directions(torch.tensor([3, 0]))
    expected = embeddings[[3, 0]] - embeddings.mean(dim=0)
    torch.testing.assert_close(found, expected / expected.norm(dim=1, keepdim=True))
    assert not found.is_inference()


def test_a_concept_that_is_the_middle_has_no_direction():
    assert encoded(ConceptVocabulary(("r",))).directions(torch.tensor([0])).tolist() == [[0.0, 0.0, 0.0]]


def test_annotations_have_no_directions():
    assert AnnotatedConcepts(VOCABULARY).directions(torch.tensor([0])) is None
