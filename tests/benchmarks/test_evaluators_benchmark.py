import json

from tests.benchmarks import evaluators


def test_the_command_measures_every_evaluator(tmp_path, capsys):
    file = tmp_path / "evaluators.json"
    evaluators.main(["--size", "tiny", "--json", str(file)])
    assert "Judging 16 labels" in capsys.readouterr().out
    [table] = json.loads(file.read_text(encoding="utf-8"))["tables"]
    names = {row["what"].partition(",")[0] for row in table["rows"]}
    assert names == {"product of embeddings", *evaluators.EVALUATORS}
