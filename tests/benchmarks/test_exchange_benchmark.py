import json
from functools import partial

import pytest

from tests.benchmarks import exchange
from tests.helpers.processes import run_in_processes


@pytest.mark.ddp
def test_the_command_measures_every_case(tmp_path, capsys):
    file = tmp_path / "exchange.json"
    exchange.main(["--size", "tiny", "--json", str(file)])
    assert "Transposing" in capsys.readouterr().out
    transposing, merging, on_paper = (table["rows"] for table in json.loads(file.read_text(encoding="utf-8"))["tables"])
    assert [row["processes"] for row in transposing] == [1, 2]
    assert transposing[0]["sent / held"] == 0
    assert len(merging) == 2
    assert [row["what"] for row in on_paper][:4] == ["activations", "sample ids", "embeddings", "labels"]


@pytest.mark.ddp
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_the_volume_on_paper_is_what_is_sent(ranks):
    images, neurons, dims = 50, 31, 6
    paper = exchange.volume(images, neurons, ranks, dims)
    measured = run_in_processes(partial(exchange.measure, images=images, neurons=neurons, embedding_dims=dims), ranks)
    most = {name: max(found["bytes"][name] for found in measured) for name in measured[0]["bytes"]}
    assert 0 <= most["activations"] - paper["activations"] - paper["sample ids"] <= 50 * (ranks - 1)
    assert most["embeddings"] == paper["embeddings"]
    assert 0 <= most["labels"] - paper["labels"] <= 300
