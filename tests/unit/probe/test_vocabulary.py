import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_dissect.probe.vocabulary import VOCABULARIES, ConceptVocabulary, resolve_vocabulary


@pytest.fixture
def without(monkeypatch):
    real = importlib.util.find_spec

    def hide(hidden):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == hidden else real(name, *a))

    return hide


def test_lists_are_cleaned_and_counted():
    vocabulary = resolve_vocabulary(["cat", " tiger\t cat ", "", "CAT", "#1", "  ", "Straße", "STRASSE"])
    assert vocabulary.concepts == ("cat", "tiger cat", "#1", "Straße")
    assert vocabulary.dropped == {"blank": 2, "duplicate": 2}
    assert len(vocabulary) == 4


def test_files_are_cleaned_and_counted(tmp_path):
    file = tmp_path / "words.txt"
    file.write_bytes(b"\xef\xbb\xbf# animals\r\ncat\r\n\r\n  # more\r\nd\xc3\xb6g \r\nCat\r\n")
    vocabulary = resolve_vocabulary(str(file))
    assert vocabulary.concepts == ("cat", "dög")
    assert vocabulary.dropped == {"comment": 2, "blank": 1, "duplicate": 1}
    assert vocabulary.name == "words.txt"
    assert resolve_vocabulary(file) == resolve_vocabulary(f"file:{file}") == vocabulary


def test_a_file_needs_no_ending_if_it_exists(tmp_path, monkeypatch):
    (tmp_path / "words").write_text("cat\n")
    assert resolve_vocabulary(str(tmp_path / "words")).concepts == ("cat",)
    monkeypatch.chdir(tmp_path)
    Path("imagenet").write_text("cat\n")
    assert len(resolve_vocabulary("imagenet")) == 998


@pytest.mark.parametrize("spec", ["missing.txt", "file:missing", "file", Path("missing")])
def test_missing_files(spec):
    with pytest.raises(FileNotFoundError, match="no file"):
        resolve_vocabulary(spec)


def test_files_that_are_not_utf8(tmp_path):
    (tmp_path / "words.txt").write_bytes("caf\u00e9".encode("latin-1"))
    with pytest.raises(ValueError, match="UTF-8"):
        resolve_vocabulary(tmp_path / "words.txt")


@pytest.mark.parametrize("empty", [[], (), ["", " "]])
def test_empty_lists(empty):
    with pytest.raises(ValueError, match="at least one concept"):
        resolve_vocabulary(empty)


def test_empty_files(tmp_path):
    (tmp_path / "words.txt").write_text("# nothing\n\n")
    with pytest.raises(ValueError, match=r"`words.txt`.*at least one"):
        resolve_vocabulary(tmp_path / "words.txt")


def test_unknown_names_are_told_what_is_accepted():
    with pytest.raises(ValueError, match=r"imagenet.*text file.*list.*Did you mean 'imagenet'") as error:
        resolve_vocabulary("imagnet")
    assert all(name in str(error.value) for name in VOCABULARIES)


@pytest.mark.parametrize("spec", [3, None, [1, 2], {"cat"}])
def test_other_types(spec):
    with pytest.raises(TypeError, match="`vocabulary`"):
        resolve_vocabulary(spec)


def test_vocabularies_pass_through_and_templates_replace():
    own = ConceptVocabulary(("cat {}", "dog"), ("a {}",), "own", {"blank": 1})
    assert resolve_vocabulary(own) is own
    changed = resolve_vocabulary(own, templates=["{}", "{} and {}"])
    assert changed.prompts == (("cat {}", "dog"), ("cat {} and cat {}", "dog and dog"))
    assert (changed.name, changed.dropped) == ("own", {"blank": 1})


@pytest.mark.parametrize("templates", [[], ["a photo"], ["{}", "photo of a {0}"]])
def test_templates_need_a_place_for_the_concept(templates):
    with pytest.raises(ValueError, match="`templates`"):
        resolve_vocabulary(["cat"], templates=templates)


@pytest.mark.parametrize("concepts", [("cat", "Cat"), ("cat", ""), (" cat",), ("tiger  cat",)])
def test_the_constructor_takes_clean_concepts_only(concepts):
    with pytest.raises(ValueError, match=r"`concepts`.*ConceptVocabulary\.of"):
        ConceptVocabulary(concepts)


def test_fingerprint_is_of_the_prompts():
    vocabulary = ConceptVocabulary(("cat", "dog"))
    assert vocabulary.fingerprint() == ConceptVocabulary(("cat", "dog"), name="x", dropped={"blank": 1}).fingerprint()
    others = [("dog", "cat"), ("cat",), ("cat dog",), ("cat", "dogs")]
    keys = {ConceptVocabulary(concepts).fingerprint() for concepts in others}
    keys |= {ConceptVocabulary(("cat", "dog"), ("a {}",)).fingerprint(), vocabulary.fingerprint()}
    assert len(keys) == 6


def test_parents():
    vocabulary = ConceptVocabulary(("Tabby", "dog"), hierarchy={"tabby": ("cat", "animal")})
    assert vocabulary.parents("Tabby") == ("cat", "animal")
    assert vocabulary.parents("dog") == ()
    assert ConceptVocabulary(("dog",)).parents("dog") == ()


def test_vocabularies_of_packages():
    imagenet = resolve_vocabulary("imagenet")
    assert (len(imagenet), imagenet.dropped) == (998, {"duplicate": 2})
    assert imagenet.concepts[0] == "tench"
    assert "goldfish" in resolve_vocabulary("wordnet:1k").concepts
    assert len(resolve_vocabulary("wordnet:12k")) > 10_000
    assert len(resolve_vocabulary("wordnet")) >= len(resolve_vocabulary("wordnet:22k")) > 20_000
    common = resolve_vocabulary("common:50")
    assert len(common) == 50
    assert len(resolve_vocabulary("common")) == 20_000
    assert resolve_vocabulary("common").concepts[:50] == common.concepts
    assert common.name == "common:50"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("wordnet:3k", r"\['1k', '12k', '22k'\] but got '3k'"),
        ("common:many", "'many'"),
        ("common:0", "greater than 0"),
        ("common:99999999", "at most"),
    ],
)
def test_bad_arguments_of_vocabularies(spec, message):
    with pytest.raises(ValueError, match=message):
        resolve_vocabulary(spec)


@pytest.mark.parametrize(("spec", "package"), [("wordnet", "timm"), ("common:20000", "wordfreq")])
def test_missing_packages_name_the_extra(spec, package, without):
    without(package)
    with pytest.raises(ModuleNotFoundError, match=r"lightning-dissect\[offline\]"):
        resolve_vocabulary(spec)


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("lightning_dissect.probe.vocabulary.find_spec", lambda package: None)
    with pytest.raises(ModuleNotFoundError, match="`open_clip` to be installed"):
        resolve_vocabulary("imagenet")


def test_names_of_classes_need_no_import_of_their_package():
    code = (
        "import sys; from lightning_dissect.probe import resolve_vocabulary;"
        "resolve_vocabulary('imagenet'), resolve_vocabulary('wordnet:1k');"
        "assert not {'open_clip', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
