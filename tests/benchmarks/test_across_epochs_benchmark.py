import json

import pytest

from tests.benchmarks import across_epochs


def test_the_command_measures_a_run_and_a_matching(tmp_path, capsys):
    pytest.importorskip("bokeh")
    file = tmp_path / "across_epochs.json"
    across_epochs.main(["--size", "tiny", "--json", str(file)])
    assert "60 neurons x 4 dissections" in capsys.readouterr().out
    run, matched = json.loads(file.read_text(encoding="utf-8"))["tables"]
    assert [row["what"] for row in run["rows"]][-2:] == ["history on disk", "dashboard"]
    assert [row["units"] for row in matched["rows"]] == [8, 16, 32, "exponent"]
