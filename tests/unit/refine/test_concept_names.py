import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_dissect.refine.concept_names import KnownConcepts, canonical, is_repeat

WORDS = "dog cats the a an some type of kind variant like and & men's x-like glasses boxes 's ÉTÉ photo"
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(WORDS.split()), max_size=8).map(" ".join))

SAME = [
    ("Polar Bear", "polar  bear"),
    ("polar-bear", "polar bears"),
    ("polar_bear.", "The polar bear"),
    ("ice cream", "ice-creams"),
    ("granny smith apple", "granny smith apple variant"),
    ("swimwear", "swimwear alternative"),
    ("dog", "A type of dog"),
    ("dog", "types of dogs"),
    ("dog", "kind of a dog variants"),
    ("dog", "a photo of the dog"),
    ("dog", "alternative to dog"),
    ("star", "star-like"),
    ("dog and ball", "a ball and a dog"),
    ("dog & ball", "dogs and balls"),
    ("bird of prey", "birds of prey"),
    ("man on a horse", "men on horses"),
    ("café", "cafe\u0301"),
    ("cafe", "CAFÉS"),
    ("Kipp's apparatus", "kipp\u2019s apparatus"),
    ("dogs", "dogs'"),
    ("wine glass", "wine glasses"),
    ("Straße", "STRASSE"),
]
DIFFERENT = [
    ("apple", "pineapple"),
    ("dog", "hot dog"),
    ("glasses", "glass"),
    ("arms", "arm"),
    ("vitamin A", "vitamin"),
    ("dog and ball", "dog"),
    ("red car", "car"),
    ("lens", "len"),
    ("bus", "bu"),
    ("news", "new"),
    ("c4", "c"),
    ("кошка", "собака"),
    ("犬", "猫"),
    ("🐶", "🐱"),
    ("???", "!!!"),
]
STAYING = [
    "glass",
    "bus",
    "lens",
    "species",
    "variant",
    "type",
    "like",
    "kind",
    "alternative",
    "and",
    "the",
    "blood cell",
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_names_of_one_concept_have_one_form(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_names_of_two_concepts_have_two_forms(one, other):
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize("word", STAYING)
def test_plain_words_survive(word):
    assert canonical(word) == word


@given(TEXTS)
def test_a_form_is_its_own_form(text):
    assert canonical(canonical(text)) == canonical(text)


@given(TEXTS)
def test_case_and_white_space_make_no_difference(text):
    assert canonical(f" {text}\n") == canonical(text)
    assert canonical(text.casefold()) == canonical(text)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1).map("".join))
def test_filler_makes_no_difference(word):
    form = canonical(f"x{word}")
    assert {canonical(f"{way}") for way in (f"x{word} variant", f"type of x{word}", f"THE x{word}-like")} == {form}


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_nothing_has_no_form(text):
    assert canonical(text) == ""


def test_known_concepts_are_known_by_any_name():
    known = KnownConcepts(["polar bear", "Polar bears", "dog"])
    assert len(known) == 2
    assert list(known) == ["polar bear", "dog"]
    assert "POLAR-BEAR variant" in known
    assert "cat" not in known
    assert 7 not in known
    known.add("cats")
    assert "cat" in known


def test_a_repeat_is_found_in_names_and_in_known_concepts():
    assert is_repeat("dogs", ["cat", "a dog"])
    assert is_repeat("dogs", KnownConcepts(["dog"]))
    assert not is_repeat("dogs", [])
