"""About 600 real photographs for the examples, fetched on first use; none of them is shipped with this project.

They come from two Debian packages, which ``apt-get download`` fetches into a cache folder (205 MB; no root, nothing is
installed) and ``dpkg-deb`` opens there:

* ``gcompris-qt-data``: photos of the learning game GCompris, held in Qt resource files. Each has a licence of its own:
  CC-BY-SA, CC-BY, CC0, public domain, in a few cases GPL or GFDL.
* ``tuxpaint-stamps-default``: photo cut-outs of the drawing program Tux Paint, under GPL-2. They are put on white.

The packages' copyright files, which name the licence and the author of each picture, are kept beside the cached photos.
What is drawn or painted (cartoons, symbols, road signs, flags, seasonal stamps, paintings) is left out.

Where there is no ``apt-get``, ten sample photos of scikit-image and scikit-learn take their place (licences: README in
their data folders), or a folder of one's own: ``--images FOLDER``.
"""

import argparse
import io
import json
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import groupby
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

PACKAGES = ("gcompris-qt-data", "tuxpaint-stamps-default")
CACHE = Path.home() / ".cache" / "lightning_dissect" / "photos"
LONGEST_SIDE = 320

STAMPS = "usr/share/tuxpaint/stamps/"
STAMP_FOLDERS = {
    "birds": ["animals/birds"],
    "coins": ["symbols/money/canadian/coins", "symbols/money/japanese", "symbols/money/us/coins"],
    "fish": ["animals/fish"],
    "food": ["food"],
    "mammals": ["animals/mammals", "animals/marsupials"],
    "music": ["hobbies/music"],
    "plants": ["plants"],
    "small animals": ["animals", "animals/fish/lobster", "animals/fish/shrimp"],
    "space": ["space"],
    "things": ["clothes", "hobbies", "household", "medical", "military", "naturalforces", "people", "sports", "town"],
    "tools": ["household/tools"],
    "vehicles": ["military/vehicles", "vehicles"],
}
DRAWN = re.compile(
    r".*\b(cartoon|flags|hats|roadsigns|0_sun|albino_peahen|button|explosion|eye|final-roll-call|fire|glass|hedgehog|"
    r"inukshuk-outline|lightningbolt|pizza|rugby_goal_posts|sedan_police|t_[a-z]+|tooth|whale)\b.*"
)
RESOURCES = "usr/share/gcompris-qt/rcc/"
RESOURCE_FOLDERS = {
    "buildings": ["categorization/resource/images/monuments", "details/resource", "explore_monuments/resource"],
    "energy": ["categorization/resource/images/renewable"],
    "fish": ["categorization/resource/images/fishes"],
    "mammals": ["erase/resource", "explore_farm_animals/resource", "explore_world_animals/resource"],
    "things": ["categorization/resource/images/others"],
    "tools": ["categorization/resource/images/tools"],
}
ANIMALS = {
    "birds": "chicken duck gosling heron kingfisher northern_harrier owl penguin scarlet_macaw spoonbills swans toucan",
    "small animals": "bee butterfly caterpillar chamaeleon chameleon crab crocodile dragon",
}
PARTS_AND_PAINTINGS = re.compile(r"details/.*(_\d+\.|gogh|tanguy|auvers).*", re.IGNORECASE)
CAPTIONS = {
    "bulb": "light bulb",
    "dragon": "komodo dragon",
    "geothermal": "geothermal power plant",
    "plier": "pliers",
    "side cutter": "side cutter pliers",
    "solar": "solar power",
    "spray": "spray bottle",
    "tweezer": "tweezers",
}

SAMPLE_PHOTOS = {
    "skimage/data/astronaut.png": ("astronaut", "people"),
    "skimage/data/camera.png": ("photographer with a camera", "people"),
    "skimage/data/chelsea.png": ("cat", "nature"),
    "skimage/data/coffee.png": ("cup of coffee", "things"),
    "skimage/data/coins.png": ("coins", "things"),
    "skimage/data/grass.png": ("grass", "nature"),
    "skimage/data/motorcycle_left.png": ("motorcycle", "things"),
    "skimage/data/rocket.jpg": ("rocket", "things"),
    "sklearn/datasets/images/china.jpg": ("Chinese temple", "things"),
    "sklearn/datasets/images/flower.jpg": ("flower", "nature"),
}


@dataclass(frozen=True)
class Photo:
    """A photograph with what is known of it.

    Args:
        name: Where the photo lies within its source.
        image: The picture, RGB, at most 320 pixels wide and high.
        caption: What it shows, in English.
        source: Package or folder from which it comes.
        group: Class in the examples' classification task.

    """

    name: str
    image: Image.Image = field(repr=False, compare=False)
    caption: str
    source: str
    group: str


class PhotoDataset(Dataset[tuple[Any, int]]):
    """Photos with the index of their group: a small classification task.

    Like torchvision's `ImageFolder` it holds ``classes``, ``targets``, ``samples`` and a ``loader`` that gives a
    picture without the transform.

    Args:
        photos: The photos, in the order of the indices.
        transform: Applied to the PIL image.
        classes: Names of the classes; the groups of ``photos`` in alphabetical order if not given. The parts of one
            split share them.

    """

    def __init__(
        self, photos: Sequence[Photo], transform: Callable[[Any], Tensor], classes: Sequence[str] | None = None
    ) -> None:
        self.photos = list(photos)
        self.transform = transform
        self.classes = list(classes) if classes is not None else sorted({photo.group for photo in self.photos})
        self.targets = [self.classes.index(photo.group) for photo in self.photos]
        self.samples = list(zip(self.photos, self.targets, strict=True))

    @staticmethod
    def loader(photo: Photo) -> Image.Image:
        """Return the picture as it is."""
        return photo.image

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(self.photos[index].image), self.targets[index]


def load_photos(cache_dir: Path = CACHE, images: Path | None = None) -> list[Photo]:
    """Return the photos, always in the same order.

    Args:
        cache_dir: Folder that keeps the packages and the reduced photos. Packages that lie there already are used.
        images: A folder of image files to take instead. The sub-folder is the group; the caption is the sub-folder's
            name, or the file's where there is none.

    Raises:
        FileNotFoundError:
            If ``images`` holds no image, or if there is neither a package manager nor a package with photos.

    """
    if images is not None:
        return _folder_photos(images)
    reduced = cache_dir / f"reduced-{LONGEST_SIDE}"
    try:
        if not reduced.exists():
            _reduce(_fetch(cache_dir), reduced)
    except (OSError, subprocess.SubprocessError, tarfile.TarError) as error:
        if not reduced.exists():
            warnings.warn(f"The photo packages could not be fetched ({error}); using few sample photos.", stacklevel=2)
            return _sample_photos()
    with ThreadPoolExecutor() as pool:
        entries = json.loads((reduced / "index.json").read_text(encoding="utf-8"))
        pictures = list(pool.map(_open, (reduced / f"{number:04d}.jpg" for number in range(len(entries)))))
    return [Photo(image=picture, **entry) for picture, entry in zip(pictures, entries, strict=True)]


def split_photos(photos: Sequence[Photo], every: int = 4) -> tuple[list[Photo], list[Photo]]:
    """Return a training and a validation part: of each group, every ``every``-th photo validates."""
    training, validation = [], []
    group = attrgetter("group")
    for _, members in groupby(sorted(photos, key=group), key=group):
        for position, photo in enumerate(members):
            (validation if position % every == every - 1 else training).append(photo)
    return training, validation


def read_resources(content: bytes) -> dict[str, bytes]:
    """Return the files of a Qt resource file (``.rcc``) by path.

    All numbers are big-endian. A header of magic, version and three offsets is followed by names (length, hash,
    UTF-16), data (length, content) and a tree of nodes of one size: a folder tells number and position of its children,
    a file the position of its data. Files compressed with Zstandard are left out.

    Raises:
        ValueError:
            If ``content`` is no Qt resource file.

    """
    if content[:4] != b"qres":
        raise ValueError(f"Expected `content` to start with b'qres' but got {content[:4]!r}.")
    version, tree, data, names = struct.unpack_from(">4I", content, 4)
    node_size = 14 if version == 1 else 22
    files: dict[str, bytes] = {}
    folders = [(0, PurePosixPath())]
    while folders:
        folder, path = folders.pop()
        count, first = struct.unpack_from(">2I", content, tree + folder * node_size + 6)
        for node in range(first, first + count):
            start = tree + node * node_size
            name_offset, flags = struct.unpack_from(">IH", content, start)
            (length,) = struct.unpack_from(">H", content, names + name_offset)
            begin = names + name_offset + 6
            name = path / content[begin : begin + 2 * length].decode("utf-16-be")
            if flags & 2:
                folders.append((node, name))
            elif not flags & 4:
                begin = data + struct.unpack_from(">I", content, start + 10)[0]
                (length,) = struct.unpack_from(">I", content, begin)
                body = content[begin + 4 : begin + 4 + length]
                files[str(name)] = zlib.decompress(body[4:]) if flags & 1 else body
    return files


def _fetch(cache_dir: Path) -> list[Path]:
    """Return the packages, after downloading those that ``cache_dir`` lacks."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    missing = [package for package in PACKAGES if not list(cache_dir.glob(f"{package}_*.deb"))]
    if missing:
        with tempfile.TemporaryDirectory(dir=cache_dir) as folder:
            download(missing, Path(folder))
            for file in Path(folder).glob("*.deb"):
                file.replace(cache_dir / file.name)
    return [max(cache_dir.glob(f"{package}_*.deb")) for package in PACKAGES]


def download(packages: Sequence[str], folder: Path) -> None:
    """Download Debian packages with the system's lists of packages or, where those are missing, with own ones.

    Raises:
        OSError:
            If there is no ``apt-get``.
        subprocess.SubprocessError:
            If it fails.

    """
    apt = ["apt-get", "-qq", "-o", "Acquire::http::Timeout=30"]
    if _run([*apt, "download", *packages], folder).returncode:
        (folder / "lists" / "partial").mkdir(parents=True)
        apt += ["-o", f"Dir::State::lists={folder / 'lists'}", "-o", f"Dir::Cache={folder}"]
        _run([*apt, "update"], folder)
        _run([*apt, "download", *packages], folder).check_returncode()


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=900, check=False)  # noqa: S603


def _reduce(packages: Sequence[Path], folder: Path) -> None:
    """Write the photos of the packages, reduced, with an index and the packages' copyright files."""
    temporary = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        with ThreadPoolExecutor() as pool:
            gcompris, tuxpaint = pool.map(_unpack, packages)
            candidates = (*_gcompris_photos(gcompris), *_tuxpaint_photos(tuxpaint))
            chosen = sorted({candidate[-1]: candidate for candidate in candidates}.values())
            pictures = list(pool.map(_open, (io.BytesIO(content) for *_, content in chosen)))
        for number, picture in enumerate(pictures):
            picture.save(temporary / f"{number:04d}.jpg", quality=92, subsampling=0)
        keys = ("name", "caption", "source", "group")
        index = [dict(zip(keys, entry, strict=False)) for entry in chosen]
        (temporary / "index.json").write_text(json.dumps(index), encoding="utf-8")
        for package, files in zip(PACKAGES, (gcompris, tuxpaint), strict=True):
            (temporary / f"{package}.copyright").write_bytes(files[f"usr/share/doc/{package}/copyright"])
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack(package: Path) -> dict[str, bytes]:
    """Return the files of a Debian package that are needed, by path."""
    wanted = re.compile(
        rf"{RESOURCES}(categorization|details|erase|explore_[a-z_]+)\.rcc|{STAMPS}.+\.(png|txt)|usr/share/doc/.+/copyright"
    )
    command = ["dpkg-deb", "--fsys-tarfile", str(package.resolve())]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,  # noqa: S603
        tarfile.open(fileobj=process.stdout, mode="r|") as archive,
    ):
        files = {
            name: archive.extractfile(member).read()
            for member in archive
            if member.isfile() and wanted.fullmatch(name := member.name.removeprefix("./"))
        }
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return files


def _gcompris_photos(files: dict[str, bytes]) -> Iterator[tuple[str, str, str, str, bytes]]:
    """Give name, caption, source, group and content of GCompris' photos."""
    for resource in sorted(file for file in files if file.startswith(RESOURCES)):
        for path, content in read_resources(files[resource]).items():
            name = path.removeprefix("gcompris/src/activities/")
            stem = PurePosixPath(name).stem
            group = _group(name, RESOURCE_FOLDERS)
            if group and name.endswith(".webp") and not PARTS_AND_PAINTINGS.fullmatch(name):
                if group == "mammals":
                    group = next((kind for kind, names in ANIMALS.items() if stem in names.split()), group)
                yield name, _words(stem), PACKAGES[0], group, content


def _tuxpaint_photos(files: dict[str, bytes]) -> Iterator[tuple[str, str, str, str, bytes]]:
    """Give name, caption, source, group and content of Tux Paint's photo cut-outs."""
    for path in sorted(file for file in files if file.startswith(STAMPS) and file.endswith(".png")):
        stem = path.removeprefix(STAMPS).removesuffix(".png")
        text = files.get(f"{STAMPS}{stem}.txt", b"").decode("utf-8", "replace").partition("\n")[0]
        caption = re.sub(r"^(an?|the) |(, (also|a|from) | \(|—|[.!] ).*|[.!]$", "", text.strip(), flags=re.IGNORECASE)
        group = _group(stem, STAMP_FOLDERS)
        if caption and group and not DRAWN.fullmatch(stem):
            yield stem, caption, PACKAGES[1], group, files[path]


def _group(name: str, folders: dict[str, list[str]]) -> str | None:
    """Return the group that lists the longest path that holds ``name``, ``None`` if none does."""
    groups = {folder: group for group, members in folders.items() for folder in members}
    paths = (name, *map(str, PurePosixPath(name).parents))
    return next((groups[path] for path in paths if path in groups), None)


def _words(stem: str) -> str:
    """Return a file's name as words: ``measuringTape3`` is a measuring tape."""
    name = re.sub(r"(_background|_2007.*|\d+)$", "", stem)
    name = re.sub(r"(?<=[a-z]{3})(de|des|du|of)(?=[A-Z])|(?<=[a-z])(?=[A-Z])", r" \1 ", name).replace("_", " ")
    words = " ".join(name.lower().split())
    return CAPTIONS.get(words, words)


def _open(file: Path | io.BytesIO) -> Image.Image:
    """Return a picture in RGB on white, no side longer than `LONGEST_SIDE`."""
    with Image.open(file) as picture:
        if picture.mode == "RGB":
            rgb = picture.copy()
        else:
            opaque = Image.new("RGBA", picture.size, "white")
            opaque.alpha_composite(picture.convert("RGBA"))
            rgb = opaque.convert("RGB")
    rgb.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=3)
    return rgb


def _folder_photos(folder: Path) -> list[Photo]:
    """Return the images below a folder; files that hold none are counted in a warning."""
    photos, broken, suffixes = [], [], set(Image.registered_extensions())
    for file in sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes):
        name = file.relative_to(folder)
        group, caption = (name.parts[0], name.parts[-2]) if len(name.parts) > 1 else (folder.name, name.stem)
        try:
            photos.append(Photo(name.as_posix(), _open(file), caption.replace("_", " "), str(folder), group))
        except (UnidentifiedImageError, OSError):
            broken.append(name.as_posix())
    if broken:
        warnings.warn(f"{len(broken)} files below {folder} hold no readable image, first {broken[0]}.", stacklevel=3)
    if not photos:
        raise FileNotFoundError(f"Expected `images` to be a folder with image files but got {folder}, which has none.")
    return photos


def _sample_photos() -> list[Photo]:
    """Return the sample photos of the installed pip packages."""
    photos = []
    for path, (caption, group) in SAMPLE_PHOTOS.items():
        package, _, inside = path.partition("/")
        spec = find_spec(package)
        files = [Path(folder) / inside for folder in (spec and spec.submodule_search_locations) or []]
        photos += [Photo(path, _open(file), caption, package, group) for file in files if file.exists()]
    if not photos:
        raise FileNotFoundError(
            "Expected `apt-get` or the packages scikit-image and scikit-learn to supply photos but found none: "
            "pip install scikit-image scikit-learn, or give a folder of images (`images`, --images FOLDER)."
        )
    return photos


def main() -> None:
    """Print how many photos there are in each group."""
    parser = argparse.ArgumentParser(description="The examples' photos.")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder that keeps packages and photos")
    parser.add_argument("--images", type=Path, help="folder of image files to use instead")
    options = parser.parse_args()
    photos = load_photos(options.cache, options.images)
    for group, count in sorted(Counter(photo.group for photo in photos).items()):
        print(f"{count:5d} {group}")
    print(f"{len(photos):5d} photos")


if __name__ == "__main__":
    main()
