import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from lightning_dissect.refine import score_landscape
from lightning_dissect.refine.score_landscape import ScoreLandscape

WORDS = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) + 3
SCORES = torch.tensor([0.5, 2.0, -1.0, 0.7])


def known(rows=(3, 7, 20, 41)):
    return {f"word {row}": WORDS[row] for row in rows}


def test_agrees_with_scikit_learn():
    points = torch.nn.functional.normalize(WORDS - WORDS.mean(dim=0), dim=1).double().numpy()
    scores = ((SCORES - SCORES.mean()) / SCORES.std(correction=0)).double().numpy()
    judge = GaussianProcessRegressor(RBF(length_scale=0.5**0.5), alpha=0.3, optimizer=None)
    expected, deviation = judge.fit(points[[3, 7, 20, 41]], scores).predict(points, return_std=True)
    mean, spread = ScoreLandscape(WORDS, noise=0.3).predict(known(), SCORES)
    torch.testing.assert_close(mean.double(), torch.from_numpy(expected), atol=1e-5, rtol=0)
    torch.testing.assert_close(spread.double(), torch.from_numpy(deviation), atol=1e-4, rtol=0)


def test_neither_scale_nor_place_of_scores_and_embeddings_matters():
    mean, spread = ScoreLandscape(WORDS).predict(known(), SCORES)
    moved = {text: 5 * embedding - 2 for text, embedding in known().items()}
    for other in (
        ScoreLandscape(WORDS).predict(known(), 10 * SCORES + 3),
        ScoreLandscape(5 * WORDS - 2).predict(moved, SCORES),
    ):
        torch.testing.assert_close(other, (mean, spread), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("score", [0.1, -7.0, 0.0])
def test_equal_scores_promise_nothing(score):
    mean, spread = ScoreLandscape(WORDS).predict(known((1, 2, 3)), torch.full((3,), score, dtype=torch.float64))
    assert mean.abs().max() < 1e-6
    assert spread.isfinite().all()


def test_texts_that_come_again_are_compared_once(monkeypatch):
    monkeypatch.setattr(score_landscape, "_KEPT_COLUMNS", 3)
    landscape = ScoreLandscape(WORDS)
    first = landscape.predict(known(), SCORES)
    assert len(landscape._columns) == 3
    torch.testing.assert_close(landscape.predict(known(), SCORES), first)


def test_a_word_is_most_like_itself():
    landscape = ScoreLandscape(WORDS)
    assert landscape.cosines(WORDS[9]).argmax() == 9
    torch.testing.assert_close(landscape.alikeness(WORDS[:3]).diagonal(), torch.ones(3))
