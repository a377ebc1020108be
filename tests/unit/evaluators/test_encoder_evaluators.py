import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from lightning_dissect.evaluators import (
    ConceptProportion,
    EmbeddingPercentile,
    EmbeddingSimilarity,
    Encoded,
    Evidence,
    Questions,
)
from lightning_dissect.probe import ConceptVocabulary
from tests.helpers.colours import COLOURS, ColourEncoder

CONCEPTS = tuple(f"concept {number}" for number in range(500))
VOCABULARY = ConceptVocabulary(CONCEPTS)
KINDS = (ConceptProportion(fraction=0.01), EmbeddingSimilarity(), EmbeddingPercentile())


@pytest.fixture
def evidence():
    generator = torch.Generator().manual_seed(0)
    images, concepts = (normalize(torch.randn(size, 16, generator=generator), dim=1) for size in (60, 500))
    return Evidence(VOCABULARY, [None] * 60, torch.arange(0, 60, 2), Encoded(images, concepts, temperature=1.5))


@pytest.fixture
def questions(evidence):
    rng = torch.Generator().manual_seed(1)
    rows, labels = torch.randint(60, (300,), generator=rng), torch.randint(12, (300,), generator=rng)
    return Questions(evidence, CONCEPTS[7:19], rows, labels)


def cosines(questions):
    encoded = questions.evidence.encoded
    return (encoded.images[questions.images] * encoded.concepts[7 + questions.label_of]).sum(dim=1).double()


def test_concept_proportion_is_the_published_rule(evidence, questions):
    answers = ConceptProportion(fraction=0.01).answer(questions)
    similarities = (evidence.encoded.images @ evidence.encoded.concepts.T).numpy()
    for row, label, score, yes in zip(
        questions.images, questions.label_of + 7, answers.scores, answers.yes, strict=True
    ):
        order = sorted(range(500), key=lambda concept: -similarities[row, concept])
        rank = 1 + order.index(int(label))
        assert yes == (rank <= 0.01 * 500)
        assert score == pytest.approx(1 - rank / 500)
    assert 0 < answers.yes.sum() < len(answers.yes)


def test_embedding_similarity_is_the_scaled_cosine_above_a_threshold(questions):
    answers = EmbeddingSimilarity(threshold=0.3).answer(questions)
    torch.testing.assert_close(answers.scores, 1.5 * cosines(questions), atol=1e-6, rtol=0)
    assert torch.equal(answers.yes, answers.scores > 0.3)


def test_the_percentile_is_the_share_of_reference_images_below(evidence, questions):
    answers = EmbeddingPercentile(threshold=0.8).answer(questions)
    reference = evidence.encoded.images[evidence.reference]
    for place in range(0, 300, 17):
        of_reference = (reference @ evidence.encoded.concepts[7 + questions.label_of[place]]).double()
        own = cosines(questions)[place]
        ties = (of_reference - own).abs() < 1e-7
        below = ((of_reference < own) & ~ties).sum() + 0.5 * ties.sum()
        assert answers.scores[place] == pytest.approx(float(below) / 30)
    assert torch.equal(answers.yes, answers.scores > 0.8)


def test_the_percentile_does_not_depend_on_the_checkpoint_s_scale(evidence, questions):
    narrow = Encoded(evidence.encoded.images, evidence.encoded.concepts, temperature=0.1)
    scaled = Questions(
        Evidence(VOCABULARY, evidence.pictures, evidence.reference, narrow),
        questions.labels,
        questions.images,
        questions.label_of,
    )
    first, second = (EmbeddingPercentile().answer(asked) for asked in (questions, scaled))
    torch.testing.assert_close(first.scores, second.scores, atol=1e-9, rtol=0)
    assert EmbeddingSimilarity().answer(questions).yes.any()
    assert not EmbeddingSimilarity().answer(scaled).yes.any()


@pytest.mark.parametrize("evaluator", KINDS, ids=lambda one: type(one).__name__)
def test_an_answer_does_not_depend_on_what_else_is_asked(evaluator, questions):
    together = evaluator.answer(questions)
    for place in (0, 150, 299):
        part = slice(place, place + 1)
        alone = evaluator.answer(
            Questions(questions.evidence, questions.labels, questions.images[part], questions.label_of[part])
        )
        torch.testing.assert_close(alone.scores, together.scores[part], atol=1e-6, rtol=0)
    nothing = torch.empty(0, dtype=torch.int64)
    assert evaluator.answer(Questions(questions.evidence, questions.labels, nothing, nothing)).scores.shape == (0,)


@pytest.mark.parametrize("evaluator", KINDS, ids=lambda one: type(one).__name__)
def test_the_labels_encoder_has_no_answer_to_a_label_that_it_never_embedded(evaluator, evidence):
    asked = Questions(evidence, ("unheard of", CONCEPTS[0]), torch.tensor([0, 0]), torch.tensor([0, 1]))
    answers = evaluator.answer(asked)
    assert answers.scores.isfinite().tolist() == [False, True]
    assert not answers.yes[0]


@pytest.mark.parametrize("evaluator", KINDS, ids=lambda one: type(one).__name__)
def test_without_an_encoder_there_are_no_answers(evaluator):
    bare = Evidence(VOCABULARY, [None], torch.arange(1))
    with pytest.raises(ValueError, match="hold embeddings"):
        evaluator.answer(Questions(bare, CONCEPTS[:1], torch.zeros(1, dtype=torch.int64), torch.zeros(1).long()))
    with pytest.raises(ValueError, match="`encoder` is 'annotations'"):
        evaluator.check(ConceptVocabulary(CONCEPTS), has_encoder=False)
    assert evaluator.family == ""


def test_an_encoder_of_its_own_sees_the_pictures(tmp_path):
    encoder = ColourEncoder()
    painted = [np.full((size, 6, 3), 255 * np.array(rgb), np.uint8) for size, rgb in enumerate(COLOURS.values(), 4)]
    evidence = Evidence(ConceptVocabulary(tuple(COLOURS)), [*painted, None], torch.arange(5))
    rows, labels = torch.cartesian_prod(torch.arange(5), torch.arange(3)).T.contiguous()
    asked = Questions(evidence, ("red", "green", "blue"), rows, labels)
    for evaluator in (
        ConceptProportion(encoder, fraction=0.25, cache=str(tmp_path)),
        EmbeddingSimilarity(encoder, threshold=0.9, cache=str(tmp_path)),
        EmbeddingPercentile(encoder, threshold=0.8, cache=str(tmp_path)),
    ):
        evaluator.check(evidence.vocabulary, has_encoder=False)
        answers = evaluator.answer(asked)
        evaluator.release()
        assert torch.equal(answers.yes.reshape(5, 3)[:3], torch.eye(3, dtype=torch.bool))
        assert answers.scores.reshape(5, 3)[4].isnan().all()
        assert evaluator.family == "ColourEncoder"
    assert encoder.num_encoded == 4


def test_where_no_picture_is_left_an_own_encoder_has_no_answer():
    evidence = Evidence(ConceptVocabulary(tuple(COLOURS)), [None], torch.arange(1))
    asked = Questions(evidence, ("red",), torch.tensor([0]), torch.tensor([0]))
    for kind in (EmbeddingSimilarity, EmbeddingPercentile, ConceptProportion):
        assert kind(ColourEncoder(), cache=False).answer(asked).scores.isnan().all()


def test_a_vocabulary_in_which_no_label_could_be_accepted_is_an_error():
    with pytest.raises(ValueError, match=r"0\.001 of 500 is 0\.5, so that every label.*fraction=0\.002"):
        ConceptProportion().check(VOCABULARY, has_encoder=True)
    ConceptProportion(fraction=0.002).check(VOCABULARY, has_encoder=True)
    with pytest.raises(ValueError, match=r"365 is 0\.365.*fraction=0\.005"):
        ConceptProportion().check(ConceptVocabulary(CONCEPTS[:365]), has_encoder=True)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (ConceptProportion, {"fraction": 0}),
        (ConceptProportion, {"fraction": 1}),
        (EmbeddingPercentile, {"threshold": 1}),
    ],
)
def test_settings_out_of_range_are_refused(kind, settings):
    with pytest.raises(ValueError, match=r"Expected `(fraction|threshold)` to be in"):
        kind(**settings)


def test_bf16_embeddings_are_fine(questions):
    encoded = questions.evidence.encoded
    half = Encoded(encoded.images.bfloat16().float(), encoded.concepts.bfloat16().float(), encoded.temperature)
    rounded = Questions(
        Evidence(VOCABULARY, questions.evidence.pictures, questions.evidence.reference, half),
        questions.labels,
        questions.images,
        questions.label_of,
    )
    for evaluator in KINDS:
        first, second = evaluator.answer(questions).scores, evaluator.answer(rounded).scores
        assert math.isclose(float((first - second).abs().median()), 0, abs_tol=0.01)
