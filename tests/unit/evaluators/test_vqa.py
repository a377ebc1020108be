from collections.abc import Callable

import pytest

from lightning_dissect.evaluators import EVALUATORS, Questions, VisualQuestionAnswering
from lightning_dissect.probe import ConceptVocabulary


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("blip vqa", 'Is this image related to "cat"?'),
        ("blip-2 t5", 'Question: Is this image related to "cat"? Answer:'),
        ("llava", 'Is this image related to "cat"? Answer yes or no.'),
    ],
)
def test_each_kind_is_asked_as_it_was_taught(name: str, text: str, tiny: Callable[[str], str]) -> None:
    assert VisualQuestionAnswering(tiny(name)).ask("cat") == text


def test_question_and_frame_are_free(tiny: Callable[[str], str], ask: Callable[..., Questions]) -> None:
    folder = tiny("blip-2 opt")
    free = VisualQuestionAnswering(folder, prompt="Is there a {label}?", frame="Q: {question} Yes or no? A:")
    assert free.ask("cat {label} {question}") == "Q: Is there a cat {label} {question}? Yes or no? A:"
    assert not free.answer(ask()).scores[:-4].equal(VisualQuestionAnswering(folder).answer(ask()).scores[:-4])


def test_it_is_registered_with_its_model(tiny: Callable[[str], str]) -> None:
    assert EVALUATORS.resolve("vqa") == VisualQuestionAnswering("Salesforce/blip2-opt-2.7b")
    assert EVALUATORS.resolve(f"vqa:{tiny('llava')}") == VisualQuestionAnswering(tiny("llava"))


def test_a_model_that_answers_no_questions_is_an_error(tiny: Callable[[str], str]) -> None:
    judge = VisualQuestionAnswering(tiny("blip"))
    assert judge.kind("blip").model_class == "BlipForQuestionAnswering"
    with pytest.raises(ValueError, match=r"answers questions about images but .* is of the type 'bert'"):
        judge.kind("bert")
    judge.check(ConceptVocabulary(("cat",)), has_encoder=False)


@pytest.mark.parametrize(("name", "message"), [("prompt", r"hold \{label\}"), ("frame", r"hold \{question\}")])
def test_a_text_without_its_placeholder_is_an_error(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"Expected `{name}` to {message} but got 'yes\\?'"):
        VisualQuestionAnswering(**{name: "yes?"})
