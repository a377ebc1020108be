from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.refine.kinds import Kinds

HIERARCHY = {
    "beagle": ("hound", "dog", "animal"),
    "whippet": ("hound", "dog", "animal"),
    "husky": ("dog", "animal"),
    "tabby": ("cat", "animal"),
    "Persian": ("cat", "animal"),
    "dog": ("animal",),
}
CONCEPTS = ("beagle", "whippet", "husky", "tabby", "Persian", "cup", "car", "tree", "sky", "sea")


def kinds(concepts=CONCEPTS, hierarchy=HIERARCHY):
    return Kinds(ConceptVocabulary(concepts, hierarchy=hierarchy))


def test_superclasses_come_after_the_concepts():
    assert kinds().names[: len(CONCEPTS)] == CONCEPTS
    assert set(kinds().names[len(CONCEPTS) :]) == {"hound", "dog", "cat", "animal"}


def test_names_are_found_in_any_form():
    found = kinds()
    assert found.below("The Dogs") == ("beagle", "whippet", "husky")
    assert found.above("Beagles") == ("hound", "dog", "animal")
    assert found.above("a persian") == ("cat", "animal")


def test_a_concept_may_be_a_superclass_but_is_no_kind_of_itself():
    found = kinds((*CONCEPTS, "dog"))
    assert found.below("dog") == ("beagle", "whippet", "husky")
    assert found.names.count("dog") == 1


def test_what_takes_in_more_than_half_says_nothing():
    found = kinds(CONCEPTS[:6])
    assert found.above("beagle") == ("hound", "dog")
    assert found.below("animal") == ()
    assert "animal" not in found.names


def test_unknown_names_and_vocabularies_without_hierarchy_have_neither():
    assert kinds().above("pizza") == kinds().below("pizza") == kinds().below("car") == ()
    for hierarchy in (None, {}, {"rose": ("flower",)}, {"car": ()}):
        found = kinds(hierarchy=hierarchy)
        assert found.names == CONCEPTS
        assert found.above("beagle") == found.below("dog") == ()


def test_the_key_depends_on_names_and_on_what_is_below_them():
    keys = {
        kinds().fingerprint(),
        kinds(hierarchy=None).fingerprint(),
        kinds(CONCEPTS[::-1]).fingerprint(),
        kinds(hierarchy={**HIERARCHY, "husky": ("animal",)}).fingerprint(),
    }
    assert len(keys) == 4
    assert kinds().fingerprint() == kinds().fingerprint()
