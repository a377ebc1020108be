import json

from tests.benchmarks import labelling


def test_labelling_measures_every_similarity(tmp_path, capsys):
    file = tmp_path / "labelling.json"
    labelling.main(["--size", "tiny", "--json", str(file)])
    assert "soft_wpmi" in capsys.readouterr().out
    ratios, growth, memory = json.loads(file.read_text(encoding="utf-8"))["tables"]
    assert {row["similarity"] for row in ratios["rows"]} == set(labelling.SIMILARITIES)
    assert [row["similarity"] for row in growth["rows"]] == ["soft_wpmi", "correlation"]
    assert len(memory["rows"]) == 2
