import json
from types import SimpleNamespace

import pytest

from lightning_dissect import cli
from lightning_dissect.history import Alarm, DissectionHistory
from lightning_dissect.writers.alarms import write_alarms
from tests.helpers.small_report import small_report

interface = pytest.importorskip("wandb_workspaces.reports.v2.interface")
OPTIONS = ["--entity", "us", "--project", "vision", "--run-id", "a1b2c3"]


@pytest.fixture
def folder(tmp_path):
    DissectionHistory(tmp_path).append(small_report())
    write_alarms([Alarm("concept_loss", "Concepts lost", "5 of 9", "", 5.0, 3.0)], small_report(tmp_path))
    return str(tmp_path)


@pytest.fixture
def server(monkeypatch):
    """What stands for W&B's server: it knows the project and keeps what is sent."""
    sent = []

    def answer(api, query, variables):
        if "spec" not in variables:
            return {"project": {"internalId": "UHJvamVjdA=="}}
        sent.append(variables)
        view = {
            "id": "VmlldzoxMjM=",
            "name": "x",
            "displayName": variables["displayName"],
            "description": "",
            "createdAt": "2026-01-01T00:00:00",
            "updatedAt": "2026-01-01T00:00:00",
            "spec": variables["spec"],
            "project": {"id": "UHJvamVjdA==", "name": "vision", "entityName": "us"},
        }
        return {"upsertView": {"view": view}}

    api = SimpleNamespace(projects=lambda entity: [SimpleNamespace(name="vision")])
    monkeypatch.setattr(interface, "_get_api", lambda: api)
    monkeypatch.setattr(interface, "execute_graphql", answer)
    monkeypatch.setattr(interface, "get_app_url", lambda api: "https://wandb.example")
    return sent


@pytest.mark.parametrize(("words", "kind"), [([], "runs"), (["--draft", "true"], "runs/draft")])
def test_the_report_is_sent_once_and_its_address_printed(folder, server, capsys, words, kind):
    assert cli.main(["wandb-report", folder, *OPTIONS, "--title", "Our network", *words]) == 0
    [sent] = server
    assert (sent["entityName"], sent["projectName"], sent["type"]) == ("us", "vision", kind)
    assert sent["displayName"] == "Our network"
    said = json.dumps(json.loads(sent["spec"]))
    assert "zebra" in said
    assert "Concepts lost" in said
    printed = capsys.readouterr().out.strip()
    assert printed.startswith("https://wandb.example/us/vision/reports/Our-network--")


def test_who_is_not_logged_in_is_told(folder, monkeypatch, capsys):
    def refuse():
        raise RuntimeError("not logged in to W&B")

    monkeypatch.setattr(interface, "_get_api", refuse)
    assert cli.main(["wandb-report", folder, *OPTIONS]) == 2
    said = capsys.readouterr().err
    assert "RuntimeError: not logged in to W&B" in said
    assert 'Is there a project us/vision, and has "wandb login" been called?' in said


def test_a_folder_without_a_history_is_named(tmp_path, server, capsys):
    assert cli.main(["wandb-report", str(tmp_path), *OPTIONS]) == 2
    assert "holds none" in capsys.readouterr().err
    assert not server
