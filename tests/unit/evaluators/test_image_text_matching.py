from collections.abc import Callable

import pytest

from lightning_dissect.evaluators import EVALUATORS, ImageTextMatching, Questions
from lightning_dissect.probe import ConceptVocabulary


def test_the_caption_is_free(tiny: Callable[[str], str], ask: Callable[..., Questions]) -> None:
    free = ImageTextMatching(tiny("blip"), caption="{label}, seen from afar")
    assert free.ask("{label}") == "{label}, seen from afar"
    assert not free.answer(ask()).scores[:-4].equal(ImageTextMatching(tiny("blip")).answer(ask()).scores[:-4])


def test_it_is_registered_with_its_model() -> None:
    assert EVALUATORS.resolve("image_text_matching") == ImageTextMatching("Salesforce/blip-itm-base-coco")
    assert EVALUATORS.resolve("image_text_matching:a/b") == ImageTextMatching("a/b")


def test_a_model_without_a_matching_head_is_an_error(tiny: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match=r"one of the types \['blip', 'blip-2'\] with .* is of the type 'llava'"):
        ImageTextMatching(tiny("llava")).check(ConceptVocabulary(("cat",)), has_encoder=False)


def test_a_caption_without_a_label_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"Expected `caption` to hold \{label\} but got 'a cat'"):
        ImageTextMatching(caption="a cat")
