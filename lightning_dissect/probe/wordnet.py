"""Which concept is a kind of which, from the files of a WordNet database."""

from collections.abc import Mapping
from pathlib import Path

_HYPERNYMS = {"@", "@i"}


def read_hypernyms(folder: str | Path, synsets: Mapping[str, str] | None = None) -> dict[str, tuple[str, ...]]:
    """Return the ever more general nouns above each noun of WordNet in its most frequent sense, nearest first.

    Nouns are words or phrases in lower case with spaces. Of several nouns directly above one the first is taken. The
    way up runs through the synsets, not through the words, so that it stays with one sense; a synset goes by its first
    word.

    Args:
        folder: Folder with ``data.noun`` and ``index.noun`` in the format of WordNet 3, such as ``/usr/share/wordnet``
            of the Debian package ``wordnet-base``.
        synsets: Synsets of names that mean something else than their most frequent sense, or are not in WordNet, as
            ``n`` and the eight digits of WordNet 3.0: ImageNet names its classes so.

    Raises:
        FileNotFoundError:
            If ``folder`` lacks one of the two files.
        ValueError:
            If a synset is not in the database.

    Example:
        >>> read_hypernyms("/usr/share/wordnet")["tabby"][:3]  # doctest: +SKIP
        ('domestic cat', 'cat', 'feline')
        >>> read_hypernyms("/usr/share/wordnet", {"crane": "n02012849"})["crane"][:2]  # doctest: +SKIP
        ('wading bird', 'aquatic bird')

    References:
        The format is described in WordNet's manual pages wndb(5WN) and wninput(5WN).

    """
    files = [Path(folder) / name for name in ("data.noun", "index.noun")]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise FileNotFoundError(
            f"Expected `folder` to be a WordNet database but there is no {' and no '.join(missing)}."
        )
    data, index = files
    words: dict[str, str] = {}
    hypernyms: dict[str, str] = {}
    for line in _records(data):
        entry = line.partition("|")[0].split()
        words[entry[0]] = _word(entry[4])
        first_pointer = 5 + 2 * int(entry[3], 16)
        pointers = zip(entry[first_pointer::4], entry[first_pointer + 1 :: 4], strict=False)
        hypernyms.update((entry[0], target) for symbol, target in reversed(list(pointers)) if symbol in _HYPERNYMS)
    senses: dict[str, str] = {}
    for line in _records(index):
        entry = line.split()
        senses[_word(entry[0])] = entry[6 + int(entry[3])]
    for name, synset in (synsets or {}).items():
        if not synset.startswith("n") or synset[1:] not in words:
            raise ValueError(f"Expected `synsets` to hold nouns such as 'n02084071' but got {synset!r} for {name!r}.")
        senses[name] = synset[1:]
    return {name: tuple(words[above] for above in _way_up(synset, hypernyms)) for name, synset in senses.items()}


def _way_up(synset: str, hypernyms: Mapping[str, str]) -> list[str]:
    """Return the synsets above one, nearest first."""
    chain = [synset]
    while (above := hypernyms.get(chain[-1])) and above not in chain:
        chain.append(above)
    return chain[1:]


def _records(file: Path) -> list[str]:
    """Return the lines after the licence, which is indented."""
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith(" ")]


def _word(lemma: str) -> str:
    return lemma.replace("_", " ").lower()
