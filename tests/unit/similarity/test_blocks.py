"""What all similarities promise for concept matrices in factors and blocks of concepts."""

import math
import multiprocessing
import threading

import pytest
import torch

from lightning_dissect import compiled
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.presence import presence_normaliser
from lightning_dissect.similarity import SIMILARITIES, WPMI, DigestingScorer, SoftWPMI, prepare, score_all

FIT = {"rtol": 0, "atol": 1e-9}
ROUNDED = {"rtol": 0, "atol": 2e-6}

every_similarity = pytest.mark.parametrize("name", list(SIMILARITIES))


class Dot:
    def score(self, activations, concept_matrix):
        return activations.to(concept_matrix.dtype).T @ concept_matrix


def tolerance(name):
    return ROUNDED if name == "cosine_cubed" else FIT


@pytest.fixture
def factors():
    """Image factors that all point one way, as those of encoders do, so that similarities are positive."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(120, 8, generator=generator, dtype=torch.float64)
    concepts = torch.randn(37, 8, generator=generator, dtype=torch.float64)
    images[:, 0], concepts[:, 0] = 5 + images[:, 0] / 10, 4 + concepts[:, 0] / 10
    return images, concepts / 20


@pytest.fixture
def neurons():
    generator = torch.Generator().manual_seed(1)
    columns = torch.randn(120, 9, generator=generator) * 10 - 3
    columns[:, 2], columns[:, 5] = 0.0, math.nan
    columns[:, 6] = columns[:, 6].round()
    return columns


@every_similarity
def test_factors_score_as_their_product_does(name, factors, neurons):
    similarity = SIMILARITIES.resolve(name)
    matrix = ConceptMatrix(*factors)
    expected = similarity.score(neurons, factors[0] @ factors[1].T)
    torch.testing.assert_close(similarity.score(neurons, matrix), expected, **tolerance(name), equal_nan=True)
    assert not matrix.is_kept
    assert expected[[2, 5]].isnan().all()
    assert expected[[0, 1, 3, 4, 6, 7, 8]].isfinite().all()
    kept = similarity.score(neurons, ConceptMatrix(*factors, max_bytes=2**30))
    torch.testing.assert_close(kept, expected, **tolerance(name), equal_nan=True)


@every_similarity
@pytest.mark.parametrize("factored", [True, False])
def test_blocks_of_any_width_make_the_whole(name, factored, factors, neurons):
    matrix = ConceptMatrix(*factors) if factored else factors[0] @ factors[1].T
    scorer = prepare(SIMILARITIES.resolve(name), matrix)
    whole = score_all(scorer, neurons)
    assert whole.dtype == torch.float64
    for width in (1, 5, 36, 37, 100):
        blocks = [(block, scores.clone()) for block, scores in scorer.blocks(neurons, width)]
        expected = [slice(start, min(start + width, 37)) for start in range(0, 37, width)]
        assert [block for block, _ in blocks] == expected
        torch.testing.assert_close(
            torch.cat([part for _, part in blocks], dim=1), whole, **tolerance(name), equal_nan=True
        )


@every_similarity
@pytest.mark.parametrize("max_bytes", [1, 3000])
def test_budget_does_not_change_scores(name, max_bytes, factors, neurons):
    similarity = SIMILARITIES.resolve(name)
    small = type(similarity)(max_bytes=max_bytes).score(neurons, ConceptMatrix(*factors))
    torch.testing.assert_close(
        small, similarity.score(neurons, ConceptMatrix(*factors)), **tolerance(name), equal_nan=True
    )


@pytest.mark.parametrize("similarity", [*map(SIMILARITIES.resolve, SIMILARITIES), Dot()])
@pytest.mark.parametrize("count", [0, 2])
def test_without_live_neurons_the_ranges_are_the_same(similarity, count, factors):
    scorer = prepare(similarity, ConceptMatrix(*factors))
    blocks = [(block, scores.clone()) for block, scores in scorer.blocks(torch.ones(120, count), 10)]
    assert [block.start for block, _ in blocks] == [0, 10, 20, 30]
    assert all(scores.shape == (count, block.stop - block.start) for block, scores in blocks)
    assert all(scores.isnan().all() for _, scores in blocks)


@every_similarity
def test_activations_of_every_dtype(name, factors, dtype):
    generator = torch.Generator().manual_seed(2)
    activations = torch.randn(120, 5, generator=generator).to(dtype)
    similarity, matrix = SIMILARITIES.resolve(name), ConceptMatrix(*factors)
    torch.testing.assert_close(
        similarity.score(activations, matrix), similarity.score(activations.double(), matrix), **tolerance(name)
    )


@every_similarity
def test_factors_of_half_precision(name, factors, dtype):
    images, concepts = (part.to(dtype) for part in factors)
    activations = torch.randn(120, 5, generator=torch.Generator().manual_seed(2))
    scores = SIMILARITIES.resolve(name).score(activations, ConceptMatrix(images, concepts))
    assert scores.shape == (5, 37)
    assert scores.isfinite().all()


@every_similarity
def test_torch_and_compiled_loops_agree(name, factors, neurons, monkeypatch):
    pytest.importorskip("numba")
    similarity = SIMILARITIES.resolve(name)
    tied = (factors[0] @ factors[1].T * 30).round()
    matrices = [ConceptMatrix(*factors), tied, tied.float(), (factors[0] @ factors[1].T).half()]
    fast = [similarity.score(neurons, matrix) for matrix in matrices]
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda name: None)
    slow = [similarity.score(neurons, matrix) for matrix in matrices]
    atol = 1e-5 if "wpmi" in name else tolerance(name)["atol"]
    torch.testing.assert_close(fast, slow, rtol=tolerance(name)["rtol"], atol=atol, equal_nan=True)


@every_similarity
def test_inputs_that_do_not_fit(name, factors, neurons):
    scorer = prepare(SIMILARITIES.resolve(name), ConceptMatrix(*factors))
    with pytest.raises(ValueError, match="same number of images but got 100 and 120"):
        list(scorer.blocks(neurons[:100], 10))
    with pytest.raises(ValueError, match="`activations` to be a 2-D tensor"):
        list(scorer.blocks(neurons[:, 0], 10))
    with pytest.raises(ValueError, match="`width` to be greater than 0"):
        list(scorer.blocks(neurons, 0))


def test_matrix_without_concepts_is_refused(neurons):
    with pytest.raises(ValueError, match="at least one image and concept"):
        list(prepare(Dot(), torch.empty(120, 0)).blocks(neurons, 10))


def in_step(scorer, groups, width):
    """Score groups of neurons in threads that exchange what they sum, as processes would."""
    barrier, room, found = threading.Barrier(len(groups)), [None] * len(groups), [None] * len(groups)

    def run(place):
        def over_processes(values):
            room[place] = values
            barrier.wait(timeout=30)
            merged = torch.stack(room).logsumexp(dim=0)
            barrier.wait(timeout=30)
            return merged

        blocks = scorer.blocks(groups[place], width, over_processes)
        found[place] = torch.cat([scores.clone() for _, scores in blocks], dim=1)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(groups))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return torch.cat(found)


@pytest.mark.parametrize("similarity", [SoftWPMI(top_k=20), WPMI(), SoftWPMI(top_k=20, prior_weight=0.0)])
@pytest.mark.parametrize("sizes", [(4, 5), (0, 9), (2, 1, 6), (1, 2, 3, 2, 1)])
def test_processes_with_some_of_the_neurons_score_as_one(similarity, sizes, factors, neurons):
    scorer = prepare(similarity, ConceptMatrix(*factors))
    together = score_all(scorer, neurons)
    torch.testing.assert_close(
        in_step(scorer, neurons.split(list(sizes), dim=1), 10), together, rtol=0, atol=1e-12, equal_nan=True
    )


@pytest.mark.parametrize("similarity", [SoftWPMI(top_k=20), WPMI()])
def test_digests_of_some_neurons_at_a_time_score_as_all_activations(similarity, factors, neurons):
    scorer = prepare(similarity, ConceptMatrix(*factors))
    digests = torch.cat([scorer.digest(part) for part in neurons.split([4, 0, 2, 3], dim=1)])
    assert (digests[:, 0] < 0).nonzero().flatten().tolist() == [2, 5]
    ((_, found),) = scorer.digest_blocks(digests, 37)
    torch.testing.assert_close(found, score_all(scorer, neurons), rtol=0, atol=0, equal_nan=True)


def test_only_scorers_that_compare_neurons_digest(factors):
    scorers = {name: prepare(SIMILARITIES.resolve(name), ConceptMatrix(*factors)) for name in SIMILARITIES}
    digesting = {name for name, scorer in scorers.items() if isinstance(scorer, DigestingScorer)}
    assert digesting == {"soft_wpmi", "wpmi"}


@pytest.mark.parametrize("similarity", [SoftWPMI(), WPMI()])
def test_normaliser_that_is_known(similarity, factors, neurons):
    matrix = ConceptMatrix(*factors)
    parts = [presence_normaliser(matrix, similarity.scale, slice(start, start + 50)) for start in (0, 50, 100)]
    scorer = similarity.prepared(matrix, normaliser=torch.cat(parts))
    torch.testing.assert_close(
        score_all(scorer, neurons), similarity.score(neurons, matrix), rtol=0, atol=1e-12, equal_nan=True
    )


def _score_and_send(pipe, activations, matrix):
    torch.set_num_threads(1)
    pipe.send(SoftWPMI(top_k=20).score(activations, matrix).numpy())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
def test_a_forked_process_can_score_after_its_parent(factors, neurons):
    matrix = ConceptMatrix(*factors)
    expected = SoftWPMI(top_k=20).score(neurons, matrix)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_score_and_send, args=(theirs, neurons, matrix))
    child.start()
    try:
        assert ours.poll(60)
        torch.testing.assert_close(torch.from_numpy(ours.recv()), expected, equal_nan=True)
    finally:
        child.join(timeout=10)
        child.kill()
