import pytest

from lightning_dissect.probe.wordnet import read_hypernyms

DATA = """\
  1 a licence, indented
00000001 03 n 01 entity 0 001 ~ 00000002 n 0000 | what is
00000002 05 n 02 Animal 0 beast 0 002 @ 00000001 n 0000 ~ 00000003 n 0000 | a @ 00000009 n 0000 in the gloss
00000003 05 n 01 big_cat 0 003 #m 00000005 n 0000 @ 00000002 n 0000 @ 00000001 n 0000 | two hypernyms
00000004 05 n 01 Leo 0 001 @i 00000003 n 0000 | an instance
00000005 05 n 01 bat 0 001 @ 00000002 n 0000 | flies
00000006 06 n 01 bat 1 001 @ 00000001 n 0000 | hits
00000007 06 n 01 ring 0 001 @ 00000008 n 0000 | in a circle
00000008 06 n 01 band 0 001 @ 00000007 n 0000 | in a circle
"""
INDEX = """\
  1 a licence, indented
animal n 1 2 @ ~ 1 0 00000002
band n 1 1 @ 1 0 00000008
bat n 2 1 @ 2 1 00000006 00000005
beast n 1 2 @ ~ 1 0 00000002
big_cat n 1 2 #m @ 1 0 00000003
entity n 1 1 ~ 1 0 00000001
leo n 1 1 @i 1 0 00000004
"""


def test_the_way_up_of_the_first_sense(tmp_path):
    (tmp_path / "data.noun").write_text(DATA)
    (tmp_path / "index.noun").write_text(INDEX)
    assert read_hypernyms(tmp_path) == {
        "animal": ("entity",),
        "band": ("ring",),
        "bat": ("entity",),
        "beast": ("entity",),
        "big cat": ("animal", "entity"),
        "entity": (),
        "leo": ("big cat", "animal", "entity"),
    }


def test_the_way_up_of_a_synset(tmp_path):
    (tmp_path / "data.noun").write_text(DATA)
    (tmp_path / "index.noun").write_text(INDEX)
    ways = read_hypernyms(tmp_path, {"bat": "n00000005", "tom": "n00000004"})
    assert ways["bat"] == ("animal", "entity")
    assert ways["tom"] == ("big cat", "animal", "entity")


@pytest.mark.parametrize("synset", ["n99999999", "v00000005", "00000005", "n"])
def test_unknown_synsets_are_named(tmp_path, synset):
    (tmp_path / "data.noun").write_text(DATA)
    (tmp_path / "index.noun").write_text(INDEX)
    with pytest.raises(ValueError, match=f"nouns such as 'n02084071' but got '{synset}' for 'bat'"):
        read_hypernyms(tmp_path, {"bat": synset})


def test_missing_files_are_named(tmp_path):
    (tmp_path / "data.noun").write_text(DATA)
    with pytest.raises(FileNotFoundError, match=r"no .*index\.noun"):
        read_hypernyms(tmp_path)
