"""Every file of callbacks/ adds its callback and keeps the user's own."""

from pathlib import Path

import pytest
import yaml
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.cli import LightningCLI

from lightning_dissect import NeuronDissection
from lightning_dissect.metrics import Recall
from lightning_dissect.presence import SigmoidConstants
from lightning_dissect.writers import read_report
from tests.helpers.colours import ColourModule

CONFIGS = sorted((Path(__file__).parents[2] / "callbacks").glob("*.yaml"))


def run_cli(*arguments):
    own = {"trainer": {"callbacks": [{"class_path": "LearningRateMonitor"}], "logger": True, "max_epochs": 1}}
    Path("own.yaml").write_text(yaml.safe_dump(own))
    return LightningCLI(ColourModule, run=False, args=["--config", "own.yaml", *arguments], save_config_callback=None)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_the_callback_is_added(config):
    cli = run_cli(f"--trainer.callbacks+={config}")
    kinds = [type(callback) for callback in cli.trainer.callbacks]
    assert LearningRateMonitor in kinds
    (dissection,) = [callback for callback in cli.trainer.callbacks if isinstance(callback, NeuronDissection)]
    assert dissection.writers is None or "json" in dissection.writers
    assert yaml.safe_load(config.read_text()).keys() == {"class_path", "init_args"}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_config_runs_with_the_layers_and_concepts_of_one_s_own(config, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    cli = run_cli(
        f"--trainer.callbacks+={config}",
        "--trainer.callbacks.layers=[net.paint]",
        "--trainer.callbacks.encoder=annotations",
        "--trainer.callbacks.vocabulary=[red, green, blue, white]",
        "--trainer.callbacks.strict=true",
        *(["--trainer.callbacks.evaluators=[]"] if config.stem == "evaluators" else []),
        *(["--trainer.callbacks.refinement=null"] if config.stem == "refine" else []),
        "--trainer.enable_progress_bar=false",
        "--trainer.accelerator=cpu",
    )
    cli.trainer.fit(cli.model)
    (report,) = Path.cwd().glob("**/cycle-0000.json")
    best = [neuron.candidates[0].concept if neuron.candidates else "" for neuron in read_report(report).neurons]
    assert best == ["red", "green", "blue", ""]


def test_objects_and_functions_can_be_named_in_yaml():
    cli = run_cli(
        "--trainer.callbacks+=lightning_dissect.NeuronDissection",
        "--trainer.callbacks.layers={net.paint: max}",
        "--trainer.callbacks.similarity=lightning_dissect.similarity.SoftWPMI",
        "--trainer.callbacks.similarity.top_k=10",
        "--trainer.callbacks.metrics=[iou, {class_path: lightning_dissect.metrics.Recall, init_args: {alpha: 0.1}}]",
        "--trainer.callbacks.presence={scale: 58.0, bias: -0.13}",
        "--trainer.callbacks.image_fn=lightning_dissect.probe.find_images",
    )
    (dissection,) = [callback for callback in cli.trainer.callbacks if isinstance(callback, NeuronDissection)]
    assert dissection.layers == {"net.paint": "max"}
    assert dissection.similarity.top_k == 10
    assert list(dissection.metrics) == ["iou", Recall(alpha=0.1)]
    assert dissection.presence == SigmoidConstants(58.0, -0.13)
    assert dissection.image_fn.__name__ == "find_images"


def test_a_search_for_labels_can_be_planned_in_yaml():
    config = Path(__file__).parents[2] / "callbacks" / "refine.yaml"
    cli = run_cli(f"--trainer.callbacks+={config}", "--trainer.callbacks.refinement.search.steps=3")
    (dissection,) = [callback for callback in cli.trainer.callbacks if isinstance(callback, NeuronDissection)]
    plan = dissection.refinement
    assert (plan.neurons, plan.num_neurons, plan.search.steps, plan.search.budget.seconds) == ("disputed", 16, 3, 600)


def test_presence_of_one_s_own_is_a_file_in_yaml():
    cli = run_cli(
        "--trainer.callbacks+=lightning_dissect.NeuronDissection",
        "--trainer.callbacks.layers=[net.paint]",
        "--trainer.callbacks.presence=presence.csv",
    )
    (dissection,) = [callback for callback in cli.trainer.callbacks if isinstance(callback, NeuronDissection)]
    assert str(dissection.presence) == "presence.csv"
