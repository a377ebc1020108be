"""The concepts that labels are chosen from."""

import runpy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from lightning_dissect.checks import closest, require_package
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.registry import Registry

_SYNSET_LISTS = {
    "": "imagenet_synset_to_lemma.txt",
    "1k": "imagenet_synsets.txt",
    "12k": "imagenet12k_synsets.txt",
    "22k": "imagenet22k_synsets.txt",
}


@dataclass(frozen=True)
class ConceptVocabulary:
    """Concepts, the prompts that put them before a text encoder, and what was left out on the way.

    Args:
        concepts: The concepts, distinct even without regard to case.
        templates: Prompts with ``{}`` where the concept goes. With several, the caller averages the text embeddings.
        name: Where the concepts come from, as reports show it.
        dropped: How many entries were left out, by reason: ``"blank"``, ``"comment"``, ``"duplicate"``.
        hierarchy: The ever more general concepts of which a concept is a kind, nearest first, where known; a concept
            in capitals is found under its lower case too. None of the registered vocabularies has one, because no
            package that they come from holds it; `read_hypernyms` reads it from a folder of WordNet's database.

    Raises:
        ValueError:
            If there is no concept, a concept is blank or there twice, there is no template or one lacks ``{}``.

    Example:
        >>> hierarchy = {"cat": ("feline", "animal")}
        >>> vocabulary = ConceptVocabulary(("cat", "dog"), templates=("a {}", "two {}s"), hierarchy=hierarchy)
        >>> vocabulary.prompts
        (('a cat', 'a dog'), ('two cats', 'two dogs'))
        >>> len(vocabulary), vocabulary.parents("cat")
        (2, ('feline', 'animal'))

    """

    concepts: tuple[str, ...]
    templates: tuple[str, ...] = ("{}",)
    name: str = "list"
    dropped: Mapping[str, int] = field(default_factory=dict, compare=False)
    hierarchy: Mapping[str, tuple[str, ...]] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.concepts:
            raise ValueError(f"Expected the vocabulary `{self.name}` to hold at least one concept but got none.")
        kept, dropped = _clean(self.concepts)
        if kept != self.concepts:
            raise ValueError(
                "Expected `concepts` to be distinct, not blank and without needless white space but got "
                f"{dropped or 'white space to remove'}. `ConceptVocabulary.of` cleans them."
            )
        if not self.templates or not all("{}" in template for template in self.templates):
            raise ValueError(
                f"Expected `templates` to be one or more texts with {{}} for the concept but got {self.templates}."
            )

    @classmethod
    def of(
        cls, concepts: Iterable[str], name: str = "list", templates: Sequence[str] = ("{}",), comments: str = ""
    ) -> "ConceptVocabulary":
        """Return a vocabulary of cleaned concepts.

        White space around a concept is removed, and runs of it within become one space. Blank entries, comments and
        repetitions (without regard to case; the first spelling stays) are dropped and counted.

        Args:
            concepts: The concepts.
            name: Where they come from.
            templates: Prompts with ``{}`` where the concept goes.
            comments: What a comment begins with; empty if there are none.

        Raises:
            ValueError:
                If no concept is left or a template lacks ``{}``.

        Example:
            >>> ConceptVocabulary.of(["cat", " Cat ", "", "dog"]).dropped
            {'duplicate': 1, 'blank': 1}

        """
        kept, dropped = _clean(concepts, comments)
        return cls(kept, tuple(templates), name, dropped)

    @property
    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """The concepts put into each template: one tuple per template, in the order of the concepts."""
        return tuple(tuple(template.replace("{}", item) for item in self.concepts) for template in self.templates)

    def fingerprint(self) -> str:
        """Return a key of concepts and templates: equal keys mean equal prompts."""
        return fingerprint(self.concepts, self.templates)

    def parents(self, concept: str) -> tuple[str, ...]:
        """Return the ever more general concepts above ``concept``, nearest first; empty where none is known."""
        hierarchy = self.hierarchy or {}
        return hierarchy.get(concept) or hierarchy.get(concept.lower()) or ()

    def __len__(self) -> int:
        return len(self.concepts)


VOCABULARIES: Registry[ConceptVocabulary] = Registry("vocabulary")


def resolve_vocabulary(
    spec: str | Path | Sequence[str] | ConceptVocabulary, templates: Sequence[str] | None = None
) -> ConceptVocabulary:
    """Return the vocabulary that ``spec`` stands for.

    Args:
        spec: A registered name (``"imagenet"``, ``"wordnet"``, ``"wordnet:12k"``, ``"common:20000"``,
            ``"file:PATH"``), the path of a text file with one concept per line (a string that names an existing file or
            ends in ``.txt``, or a `Path`), the concepts themselves, or a vocabulary.
        templates: Prompts with ``{}`` where the concept goes; the vocabulary's own if not given.

    Raises:
        ValueError:
            If ``spec`` is a string that is neither a registered name nor a file, or the vocabulary is empty.
        TypeError:
            If ``spec`` is of another type.

    Example:
        >>> resolve_vocabulary(["cat", "dog"], templates=["a photo of a {}"]).prompts
        (('a photo of a cat', 'a photo of a dog'),)

    """
    vocabulary = _resolve(spec)
    return vocabulary if templates is None else replace(vocabulary, templates=tuple(templates))


def _resolve(spec: object) -> ConceptVocabulary:
    if isinstance(spec, ConceptVocabulary):
        return spec
    if isinstance(spec, Path):
        return read_vocabulary(str(spec))
    if isinstance(spec, str):
        if spec.partition(":")[0] in VOCABULARIES:
            return VOCABULARIES.resolve(spec)
        if spec.endswith(".txt") or Path(spec).is_file():
            return read_vocabulary(spec)
        raise ValueError(
            f"Expected `vocabulary` to be one of {list(VOCABULARIES)}, the path of a text file, a list of concepts or "
            f"a ConceptVocabulary but got {spec!r}. {closest(spec, list(VOCABULARIES))}"
        )
    if isinstance(spec, Sequence) and all(isinstance(concept, str) for concept in spec):
        return ConceptVocabulary.of(spec)
    raise TypeError(
        "Expected `vocabulary` to be a name, a path, a sequence of strings or a ConceptVocabulary "
        f"but got {repr(spec)[:200]}."
    )


@VOCABULARIES.register("file")
def read_vocabulary(path: str = "") -> ConceptVocabulary:
    """Read a UTF-8 text file with one concept per line; lines that begin with ``#`` are comments.

    Args:
        path: The file.

    Raises:
        FileNotFoundError:
            If there is no such file.
        ValueError:
            If the file is not UTF-8 or holds no concept.

    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"Expected `vocabulary` to be the path of a text file but there is no file {path!r}.")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"Expected {path!r} to be a text file in UTF-8 but got bytes that are not: {error}."
        ) from error
    return ConceptVocabulary.of(text.splitlines(), name=file.name, comments="#")


@VOCABULARIES.register("imagenet")
def imagenet() -> ConceptVocabulary:
    """Return the names of the ImageNet-1k classes as open_clip words them; two of the thousand occur twice.

    References:
        Radford et al., Learning transferable visual models from natural language supervision, ICML 2021, appendix A,
        for the wording. https://arxiv.org/abs/2103.00020

    """
    names = runpy.run_path(str(_package_folder("open_clip") / "zero_shot_metadata.py"))["IMAGENET_CLASSNAMES"]
    return ConceptVocabulary.of(names, name="imagenet")


@VOCABULARIES.register("wordnet")
def wordnet(subset: str = "") -> ConceptVocabulary:
    """Return nouns of WordNet 3.0: the first lemma of each synset that ImageNet lists, from timm's files.

    Args:
        subset: Empty for all 21,843 synsets, ``"22k"``, ``"12k"`` or ``"1k"`` for the synsets of that part of ImageNet.

    Raises:
        ValueError:
            If ``subset`` is not one of these.
        ModuleNotFoundError:
            If timm is not installed.

    """
    if subset not in _SYNSET_LISTS:
        raise ValueError(
            f"Expected the part of WordNet after `wordnet:` to be one of {list(_SYNSET_LISTS)[1:]} but got {subset!r}."
        )
    require_package("timm", "lightning-dissect[offline]", "The vocabulary `wordnet`")
    folder = _package_folder("timm") / "data" / "_info"
    rows = (folder / _SYNSET_LISTS[""]).read_text(encoding="utf-8").splitlines()
    lemmas = dict(row.split("\t", 1) for row in rows)
    synsets = (folder / _SYNSET_LISTS[subset]).read_text(encoding="utf-8").split() if subset else list(lemmas)
    concepts = (lemmas[synset].partition(",")[0] for synset in synsets)
    return ConceptVocabulary.of(concepts, name=f"wordnet:{subset}" if subset else "wordnet")


@VOCABULARIES.register("common")
def common(count: str = "20000") -> ConceptVocabulary:
    """Return the most frequent English words of at least three letters, from the package wordfreq.

    Args:
        count: How many, as a decimal number.

    Raises:
        ValueError:
            If ``count`` is not a positive number or there are fewer words.
        ModuleNotFoundError:
            If wordfreq is not installed.

    """
    if not (count.isdecimal() and int(count) > 0):
        raise ValueError(f"Expected the number of words after `common:` to be greater than 0 but got {count!r}.")
    require_package("wordfreq", "lightning-dissect[offline]", "The vocabulary `common`")
    from wordfreq import iter_wordlist

    words = [word for word in iter_wordlist("en") if word.isalpha() and len(word) >= 3][: int(count)]
    if len(words) < int(count):
        raise ValueError(f"Expected the number of words after `common:` to be at most {len(words)} but got {count}.")
    return ConceptVocabulary.of(words, name=f"common:{count}")


def _package_folder(package: str) -> Path:
    """Return where a package is, without the seconds that importing it takes."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"Expected the package `{package}` to be installed but it is not.", name=package)
    return Path(spec.origin).parent


def _clean(concepts: Iterable[str], comments: str = "") -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the concepts that stay and the number of those that do not, by reason."""
    kept: dict[str, str] = {}
    dropped: dict[str, int] = {}
    for entry in concepts:
        concept = " ".join(entry.split())
        is_comment = bool(comments) and concept.startswith(comments)
        reason = "blank" if not concept else "comment" if is_comment else "duplicate"
        if reason == "duplicate" and concept.casefold() not in kept:
            kept[concept.casefold()] = concept
        else:
            dropped[reason] = dropped.get(reason, 0) + 1
    return tuple(kept.values()), dropped
