import importlib.util
import io
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

SPEC = importlib.util.spec_from_file_location("photos", Path(__file__).parents[2] / "examples" / "photos.py")
photos = importlib.util.module_from_spec(SPEC)
sys.modules["photos"] = photos
SPEC.loader.exec_module(photos)


def encoded(colour, size=(8, 6), mode="RGB", suffix="png"):
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, suffix)
    return buffer.getvalue()


def resource_file(tree, version=3, compress=False):
    """Write a Qt resource file from a nested dict of folders and contents."""
    names, data, nodes = bytearray(), bytearray(), [("", tree)]
    rows, position = [], 0
    while position < len(nodes):
        name, content = nodes[position]
        name_offset = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
        if isinstance(content, dict):
            row = struct.pack(">IHII", name_offset, 2, len(content), len(nodes))
            nodes += content.items()
        else:
            body = struct.pack(">I", len(content)) + zlib.compress(content) if compress else content
            row = struct.pack(">IHHHI", name_offset, int(compress), 0, 0, len(data))
            data += struct.pack(">I", len(body)) + body
        rows.append(row + (b"" if version == 1 else bytes(8)))
        position += 1
    table = b"".join(rows)
    header = 20 if version < 3 else 24
    places = (header, header + len(table), header + len(table) + len(data))
    head = b"qres" + struct.pack(">4I", version, *places) + bytes(header - 20)
    return head + table + data + names


def package(folder, name, files):
    """Build a Debian package of the given files."""
    root = folder / "root"
    for path, content in {f"usr/share/doc/{name}/copyright": b"licence", **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: x\n"
    )
    command = [shutil.which("dpkg-deb"), "-b", str(root), str(folder / f"{name}_1_all.deb")]
    subprocess.run(command, check=True, capture_output=True)
    root.rename(folder / f"root-{name}")


@pytest.fixture
def cache(tmp_path):
    images = {
        "fishes": {"fish12.webp": encoded("blue", (640, 480), suffix="webp")},
        "tools": {"nailCutter.webp": encoded("red")},
    }
    resource = resource_file(
        {"gcompris": {"src": {"activities": {"categorization": {"resource": {"images": images}, "x.qml": b"code"}}}}}
    )
    animals = resource_file(
        {
            "gcompris": {
                "src": {
                    "activities": {"erase": {"resource": {"owl.webp": encoded("brown"), "goat.webp": encoded("tan")}}}
                }
            }
        },
        compress=True,
    )
    stamps = {
        "animals/birds/crow.png": encoded((0, 0, 0, 0), mode="RGBA"),
        "animals/birds/crow.txt": "The crow (a bird).\nde=Eine Krähe".encode(),
        "animals/birds/copy.png": encoded((0, 0, 0, 0), mode="RGBA"),
        "animals/birds/copy.txt": b"A crow.",
        "animals/birds/cartoon/duck.png": encoded("green"),
        "animals/birds/cartoon/duck.txt": b"A duck.",
        "food/apple.png": encoded("lime"),
        "symbols/dollar.png": encoded("pink"),
        "symbols/dollar.txt": b"A sign.",
    }
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb")
    package(
        tmp_path,
        photos.PACKAGES[0],
        {f"{photos.RESOURCES}categorization.rcc": resource, f"{photos.RESOURCES}erase.rcc": animals},
    )
    package(tmp_path, photos.PACKAGES[1], {photos.STAMPS + name: content for name, content in stamps.items()})
    return tmp_path


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("compress", [False, True])
def test_resource_files(version, compress):
    tree = {"a": {"ü.txt": b"first", "deep": {"b": b""}}, "c": b"third" * 100}
    files = photos.read_resources(resource_file(tree, version, compress))
    assert files == {"a/ü.txt": b"first", "a/deep/b": b"", "c": b"third" * 100}


def test_other_files_are_no_resources():
    with pytest.raises(ValueError, match="qres"):
        photos.read_resources(b"PK\x03\x04")


def test_packages(cache):
    found = photos.load_photos(cache)
    assert [(photo.caption, photo.group, photo.source) for photo in found] == [
        ("crow", "birds", photos.PACKAGES[1]),
        ("fish", "fish", photos.PACKAGES[0]),
        ("nail cutter", "tools", photos.PACKAGES[0]),
        ("goat", "mammals", photos.PACKAGES[0]),
        ("owl", "birds", photos.PACKAGES[0]),
    ]
    assert found[0].image.getpixel((0, 0)) == (255, 255, 255)
    assert found[1].image.size == (320, 240)
    assert photos.load_photos(cache) == found
    assert sorted(path.suffix for path in (cache / "reduced-320").iterdir()) == [".copyright"] * 2 + [".jpg"] * 5 + [
        ".json"
    ]


def test_packages_are_downloaded_where_they_are_missing(cache, tmp_path, monkeypatch):
    target, commands = tmp_path / "empty", []

    def run(command, folder):
        commands.append(command)
        succeeds = any("lists" in option for option in command)
        if succeeds and "download" in command:
            for file in cache.glob("*.deb"):
                (folder / file.name).write_bytes(file.read_bytes())
        return subprocess.CompletedProcess(command, 0 if succeeds else 100)

    monkeypatch.setattr(photos, "_run", run)
    assert len(photos.load_photos(target)) == 5
    assert [command[-1] for command in commands] == [photos.PACKAGES[1], "update", photos.PACKAGES[1]]
    assert len(photos.load_photos(target)) == 5
    assert len(commands) == 3


@pytest.mark.parametrize("break_it", ["no apt", "broken package"])
def test_sample_photos_take_their_place(tmp_path, monkeypatch, break_it):
    if break_it == "no apt":
        monkeypatch.setenv("PATH", "")
    else:
        for name in photos.PACKAGES:
            (tmp_path / f"{name}_1_all.deb").write_bytes(b"broken")
    with pytest.warns(UserWarning, match="sample photos"):
        found = photos.load_photos(tmp_path)
    assert len(found) == 10
    assert "cat" in {photo.caption for photo in found}
    assert not (tmp_path / "reduced-320").exists()


def test_without_any_photo_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(photos, "find_spec", lambda name: None)
    with pytest.warns(UserWarning, match="sample"), pytest.raises(FileNotFoundError, match="--images"):
        photos.load_photos(tmp_path)


def test_a_folder_of_images(tmp_path):
    for name in ("cat/1.png", "cat/big_cat/2.png", "sea_shell.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (700, 10), 128).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"")
    (tmp_path / "text.txt").write_text("")
    with pytest.warns(UserWarning, match=r"1 files .* broken\.png"):
        found = photos.load_photos(images=tmp_path)
    assert [(photo.name, photo.caption, photo.group) for photo in found] == [
        ("cat/1.png", "cat", "cat"),
        ("cat/big_cat/2.png", "big cat", "cat"),
        ("sea_shell.jpg", "sea shell", tmp_path.name),
    ]
    assert all(photo.image.mode == "RGB" and photo.image.size == (320, 5) for photo in found)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="`images`"):
        photos.load_photos(images=tmp_path)


@pytest.mark.parametrize(
    ("stem", "words"),
    [
        ("measuringTape3", "measuring tape"),
        ("statueofLiberty", "statue of liberty"),
        ("pontduGard", "pont du gard"),
        ("sideCutter1", "side cutter pliers"),
        ("polar_bear", "polar bear"),
        ("bulb", "light bulb"),
    ],
)
def test_names_become_words(stem, words):
    assert photos._words(stem) == words


def make(group, count):
    return [
        photos.Photo(f"{group}{i}", Image.new("RGB", (4, 4), (i, 0, 0)), group, "test", group) for i in range(count)
    ]


def test_split_is_stratified_and_complete():
    everything = make("b", 8) + make("a", 5) + make("c", 1)
    training, validation = photos.split_photos(everything)
    assert [photo.name for photo in validation] == ["a3", "b3", "b7"]
    assert sorted(photo.name for photo in training + validation) == sorted(photo.name for photo in everything)


def test_dataset():
    everything = make("b", 2) + make("a", 1)
    dataset = photos.PhotoDataset(everything, v2.ToImage())
    assert dataset.classes == ["a", "b"]
    assert dataset.targets == [1, 1, 0]
    image, target = dataset[1]
    assert target == 1
    assert torch.equal(image[:, 0, 0], torch.tensor([1, 0, 0], dtype=torch.uint8))
    assert dataset.loader(dataset.samples[2][0]) is everything[2].image
    assert photos.PhotoDataset(everything[:1], v2.ToImage(), classes=["a", "b", "c"]).targets == [1]


def test_main_counts(tmp_path, monkeypatch, capsys):
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png")
    monkeypatch.setattr(sys, "argv", ["photos.py", "--images", str(tmp_path)])
    photos.main()
    assert capsys.readouterr().out.split() == ["1", tmp_path.name, "1", "photos"]
