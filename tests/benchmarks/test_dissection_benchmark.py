import json

from tests.benchmarks import __main__ as everything
from tests.benchmarks import dissection, warm_epoch


def test_a_dissection_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dissection, "alone", dissection.measure)
    file = tmp_path / "dissection.json"
    dissection.main(["--size", "tiny", "--json", str(file)])
    costs, slopes = json.loads(file.read_text(encoding="utf-8"))["tables"]
    assert costs["rows"][0]["images"] == 200
    assert [row["similarity"] for row in slopes["rows"]] == ["correlation", "soft_wpmi"]


def test_all_benchmarks_are_one_command(tmp_path):
    file = tmp_path / "all.json"
    everything.main(["--size", "tiny", "--only", "warm_epoch", "--json", str(file)])
    speeds, *profiles = json.loads(file.read_text(encoding="utf-8"))["warm_epoch"]["tables"]
    assert all(value > 0 for value in speeds["rows"][0].values())
    assert {row["part"] for row in profiles[0]["rows"]} == {*warm_epoch.PARTS, "scores and the rest", "all"}
