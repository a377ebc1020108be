import json

import pytest

from lightning_dissect.refine.search_log import SearchLog


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a" / "history.jsonl"


def test_what_was_noted_is_found_again(path):
    log = SearchLog(path, "x")
    log.add("answer", "1", {"concepts": ["a,b", 'ü"\n']})
    log.add("trial", "1", {"score": None})
    again = SearchLog(path, "x")
    assert again.find("answer", "1") == {"concepts": ["a,b", 'ü"\n']}
    assert again.find("trial", "1") == {"score": None}
    assert again.find("trial", "2") is None


def test_nothing_is_noted_twice(path):
    SearchLog(path, "x").add("answer", "1", {"n": 1})
    before = path.read_bytes()
    log = SearchLog(path, "x")
    log.add("answer", "1", {"n": 2})
    assert log.find("answer", "1") == {"n": 1}
    assert path.read_bytes() == before


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_line_that_was_not_finished_is_cut_off(path, cut):
    log = SearchLog(path, "x")
    log.add("answer", "1", {"n": 1})
    log.add("answer", "2", {"n": 2})
    path.write_bytes(path.read_bytes()[:-cut])
    again = SearchLog(path, "x")
    assert again.find("answer", "1") == {"n": 1}
    assert again.find("answer", "2") is None
    again.add("answer", "2", {"n": 3})
    assert [json.loads(line).get("n") for line in path.read_text().splitlines()] == [None, 1, 3]


@pytest.mark.parametrize("content", ["", "no json\n", '{"origin": "y"}\n{"kind": "answer", "key": "1"}\n'])
def test_a_file_of_another_search_is_begun_anew(path, content):
    path.parent.mkdir()
    path.write_text(content)
    log = SearchLog(path, "x")
    assert log.find("answer", "1") is None
    assert path.read_text() == '{"origin": "x"}\n'


def test_without_a_file_it_is_kept_in_memory():
    log = SearchLog(None, "x")
    log.add("answer", "1", {"n": 1})
    assert log.find("answer", "1") == {"n": 1}
