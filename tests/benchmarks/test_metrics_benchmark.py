import json

import pytest

from tests.benchmarks import metrics


def test_the_command_measures_every_case(tmp_path, capsys):
    file = tmp_path / "metrics.json"
    metrics.main(["--size", "tiny", "--json", str(file)])
    assert "inverse_auprc" in capsys.readouterr().out
    ratios, growth, memory = (table["rows"] for table in json.loads(file.read_text(encoding="utf-8"))["tables"])
    assert [row["metric"] for row in ratios] == list(metrics.CASES)
    assert len(growth) == 2 * len(metrics.CASES)
    assert [row["budget"] for row in memory] == [1024]


@pytest.mark.parametrize("name", metrics.CASES)
def test_the_loop_gives_the_same_scores(name):
    case, size = metrics.CASES[name], metrics.SIZES["tiny"]
    activations, presence = metrics.inputs(size)
    found = metrics.by_pairs(case, activations, presence)()
    assert found == pytest.approx(case.metric.score(activations, presence).diagonal().tolist(), abs=1e-6)
