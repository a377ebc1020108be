import pytest

from lightning_dissect.evaluators import EmbeddingSimilarity, chosen_evaluators


class Own:
    questions_at_once = 1

    def __init__(self):
        self.family = "own"

    def check(self, vocabulary, has_encoder): ...

    def answer(self, questions): ...

    def release(self): ...


def test_names_tell_evaluators_apart():
    found = chosen_evaluators(
        ["embedding_similarity:assembled", EmbeddingSimilarity(threshold=0.3), EmbeddingSimilarity(), Own()]
    )
    assert list(found) == [
        "embedding_similarity_encoder_assembled_threshold_0_25",
        "embedding_similarity_encoder_None_threshold_0_3",
        "embedding_similarity_encoder_None_threshold_0_25",
        "own",
    ]


@pytest.mark.parametrize(
    ("evaluators", "error", "message"),
    [
        ("vqa", TypeError, "to be a list of names or objects but got 'vqa'"),
        ([object()], TypeError, "objects with `family`"),
        ([EmbeddingSimilarity], TypeError, "objects with `family`"),
        (["telepathy"], ValueError, "Expected an evaluator or one of"),
        ([EmbeddingSimilarity(), EmbeddingSimilarity()], ValueError, "to differ but 'embedding_similarity'"),
    ],
)
def test_what_is_no_choice_is_refused(evaluators, error, message):
    with pytest.raises(error, match=message):
        chosen_evaluators(evaluators)
