import pytest

from lightning_dissect.probe.hierarchy import ConceptHierarchy
from lightning_dissect.probe.vocabulary import ConceptVocabulary

LINES = {
    "beagle": ("hound", "dog", "canine", "animal"),
    "husky": ("dog", "canine", "animal"),
    "wolf": ("canine", "animal"),
    "tabby": ("cat", "animal"),
    "chair": ("furniture",),
}
VOCABULARY = ConceptVocabulary(("Beagle", "husky", "wolf", "tabby", "chair", "cloud"), hierarchy=LINES)


def tree(hierarchy):
    parents = (hierarchy.names[parent] if parent >= 0 else None for parent in hierarchy.parents)
    return dict(zip(hierarchy.names, parents, strict=True))


def test_superclasses_that_take_in_something_new():
    hierarchy = ConceptHierarchy.of(VOCABULARY)
    assert hierarchy.names == (*VOCABULARY.concepts, "dog", "canine", "animal")
    assert hierarchy.members[6:] == ((0, 1), (0, 1, 2), (0, 1, 2, 3))
    assert hierarchy.num_concepts == 6
    assert tree(hierarchy) == {
        "Beagle": "dog",
        "husky": "dog",
        "wolf": "canine",
        "tabby": "animal",
        "chair": None,
        "cloud": None,
        "dog": "canine",
        "canine": "animal",
        "animal": None,
    }


def test_children_and_siblings():
    hierarchy = ConceptHierarchy.of(VOCABULARY)
    assert hierarchy.children(hierarchy.place("ANIMAL")) == (3, 7)
    assert hierarchy.siblings(hierarchy.place("wolf")) == (6,)
    assert hierarchy.siblings(hierarchy.place("cloud")) == ()
    assert hierarchy.children(hierarchy.place("cloud")) == ()


@pytest.mark.parametrize(
    "lines", [LINES, {**LINES, "dog": ("canine", "animal")}, {**LINES, "DOG": ["Canine", "animal"]}]
)
def test_a_concept_may_be_above_others(lines):
    vocabulary = ConceptVocabulary(("beagle", "Dog", "wolf", "tabby"))
    hierarchy = ConceptHierarchy.of(vocabulary, lines)
    assert hierarchy.names == ("beagle", "Dog", "wolf", "tabby", "canine", "animal")
    assert hierarchy.members == ((0,), (0, 1), (2,), (3,), (0, 1, 2), (0, 1, 2, 3))
    assert hierarchy.parents == (1, 4, 4, 5, 5, -1)


def test_parents_alone_will_do():
    parents = {"beagle": "dog", "husky": "Dog", "dog": "animal", "tabby": "animal"}
    hierarchy = ConceptHierarchy.of(ConceptVocabulary(("beagle", "husky", "tabby")), parents)
    assert tree(hierarchy) == {"beagle": "dog", "husky": "dog", "tabby": "animal", "dog": "animal", "animal": None}


def test_every_parent_takes_in_more_than_its_children():
    hierarchy = ConceptHierarchy.of(VOCABULARY)
    for place, parent in enumerate(hierarchy.parents):
        assert parent < 0 or set(hierarchy.members[parent]) > set(hierarchy.members[place])


def test_a_name_of_two_things_still_makes_a_tree():
    lines = {"crane": ("bird", "animal"), "winch": ("crane", "machine"), "robin": ("bird", "animal")}
    hierarchy = ConceptHierarchy.of(ConceptVocabulary(("crane", "winch", "robin")), lines)
    for place, parent in enumerate(hierarchy.parents):
        assert parent < 0 or set(hierarchy.members[parent]) > set(hierarchy.members[place])


@pytest.mark.parametrize("lines", [None, {}, {"sofa": ("furniture",)}])
def test_concepts_without_a_hierarchy_are_refused(lines):
    with pytest.raises(ValueError, match=r"`hierarchy` to hold what is above .* such as 'cat'.*read_hypernyms"):
        ConceptHierarchy.of(ConceptVocabulary(("cat", "dog")), lines)


def test_a_circle_is_refused():
    with pytest.raises(ValueError, match=r"circle: \['cat', 'feline', 'animal', 'cat'\]"):
        ConceptHierarchy.of(ConceptVocabulary(("cat",)), {"cat": "feline", "feline": "animal", "animal": "cat"})


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="hierarchy of 9 names but got 'sofa'"):
        ConceptHierarchy.of(VOCABULARY).place("sofa")
