"""A checkpoint is dissected after the fact, by the command and by `Trainer.validate`."""

import json
import re
import sys
from pathlib import Path

import pytest
import pytorch_lightning
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_dissect import cli
from lightning_dissect.writers import read_report
from tests.helpers.colours import COLOURS, ColourModule

ZOO = """
import pytorch_lightning
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from tests.helpers.colours import ColourDataset, ColourModule, colour_network

class Remembers(ColourModule):
    def __init__(self, width, learning_rate=0.0):
        super().__init__(learning_rate)
        self.save_hyperparameters()
        self.spare = torch.nn.Linear(1, width)

class Draws(ColourModule):
    def validation_step(self, batch, batch_idx):
        self.logger.experiment.add_image("first", batch[0][0])
        self(batch[0])

class Older(pytorch_lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = colour_network()

    def forward(self, images):
        return self.net(images)

    def validation_step(self, batch, batch_idx):
        self(batch[0])

class Data(LightningDataModule):
    def __init__(self, num_images):
        super().__init__()
        self.save_hyperparameters()

    def train_dataloader(self):
        return DataLoader(ColourDataset(self.hparams.num_images), batch_size=8)

    val_dataloader = train_dataloader

def loader():
    return DataLoader(ColourDataset(40), batch_size=8)

def nothing():
    return DataLoader([])

made = ColourModule()

def a_number():
    return 3
"""


@pytest.fixture(autouse=True)
def _zoo(tmp_path, monkeypatch):
    Path("zoo_of_checkpoints.py").write_text(ZOO)
    Path("colours.txt").write_text("\n".join(COLOURS))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "zoo_of_checkpoints", raising=False)


def zoo(name):
    sys.path.insert(0, "")
    return getattr(__import__("zoo_of_checkpoints"), name)


@pytest.fixture
def trained(trainer_options):
    """Checkpoints after each of three epochs of 3 steps, with the state of the callbacks and as weights alone."""
    both = [
        ModelCheckpoint("all", "{epoch}", save_top_k=-1),
        ModelCheckpoint("weights", "{epoch}", mode="max", save_top_k=-1, save_weights_only=True),
    ]
    options = trainer_options | {"max_epochs": 3, "enable_checkpointing": True, "callbacks": both}
    Trainer(**options).fit(ColourModule(learning_rate=0.01))


def dissect(model, checkpoint, *options):
    own = ["--layers=net.paint", "--vocabulary=colours.txt", "--encoder=annotations", "--accelerator=cpu"]
    return cli.main(["dissect", f"zoo_of_checkpoints:{model}", checkpoint, *own, *options])


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("kind", ["all", "weights"])
def test_a_report_of_the_checkpoint(kind, capsys):
    assert dissect("ColourModule", f"{kind}/epoch=1.ckpt", "--output=out") == 0
    out = capsys.readouterr().out
    assert re.search(r"^net.paint +4 +3 +0 +0 +1 +3 +0\.\d\d\d$", out, re.MULTILINE)
    assert "Epoch 1, step 6, 24 images." in out
    assert f"The report lies in {Path.cwd() / 'out' / 'dissection'}" in out
    report = read_report(Path("out/dissection/reports/cycle-0000.json"))
    assert (report.epoch, report.step) == (1, 6)
    assert [neuron.label for neuron in report.neurons] == ["red", "green", "blue", ""]
    assert Path("out/dissection/report.html").exists()


@pytest.mark.usefixtures("trained")
def test_the_weights_are_those_of_the_checkpoint():
    for epoch in (0, 2):
        assert dissect("ColourModule", f"all/epoch={epoch}.ckpt", f"--output={epoch}") == 0
    activations = [
        [neuron.top_images[0].activation for neuron in read_report(path).neurons]
        for path in (Path(f"{epoch}/dissection/reports/cycle-0000.json") for epoch in (0, 2))
    ]
    assert activations[0] != activations[1]


@pytest.mark.usefixtures("trained")
def test_validating_a_checkpoint_reports_when_it_was_saved(trainer_options, make_dissection, writer):
    trainer = Trainer(**trainer_options, callbacks=[make_dissection()])
    module = ColourModule()
    trainer.validate(module, ckpt_path="all/epoch=1.ckpt", verbose=False)
    trainer.validate(module, verbose=False)
    trainer.fit(module)
    trainer.validate(module, verbose=False)
    moments = [(report.epoch, report.step) for report in writer.reports]
    assert moments == [(1, 6), (1, 6), (0, 3), (1, 6), (2, 6)]


def test_resuming_a_training_reports_its_own_epochs(trainer_options, make_dissection, writer):
    first = Trainer(**trainer_options, callbacks=[make_dissection()])
    first.fit(ColourModule())
    first.save_checkpoint("last.ckpt")
    Trainer(**trainer_options | {"max_epochs": 4}, callbacks=[make_dissection()]).fit(
        ColourModule(), ckpt_path="last.ckpt"
    )
    assert [report.epoch for report in writer.reports] == [0, 1, 2, 3]


def test_arguments_come_from_the_checkpoint_and_the_command_line(trainer_options, capsys):
    trainer = Trainer(**trainer_options)
    trainer.fit(zoo("Remembers")(width=5), datamodule=zoo("Data")(32))
    trainer.save_checkpoint("last.ckpt")
    assert dissect("Remembers", "last.ckpt", "--data=zoo_of_checkpoints:Data", "--output=a") == 0
    assert "32 images." in capsys.readouterr().out
    data = ["--data=zoo_of_checkpoints:Data", "--data-args.num_images=16"]
    options = ["--options.metrics=[auprc]", "--options.name=mine", "--options.false_discovery_rate=null"]
    assert dissect("Remembers", "last.ckpt", *data, *options, "--output=b") == 0
    assert "16 images." in capsys.readouterr().out
    (report,) = Path("b/mine/reports").glob("*.json")
    assert [metric.name for metric in read_report(report).label_metrics] == ["auprc"]
    assert dissect("Remembers", "last.ckpt", "--model-args.width=6") == 2
    assert "size mismatch for spare.weight" in capsys.readouterr().err


@pytest.mark.usefixtures("trained")
def test_models_and_images_may_be_made_by_functions(capsys):
    assert dissect("made", "all/epoch=0.ckpt", "--data=zoo_of_checkpoints:loader", "--batches=2") == 0
    assert "16 images." in capsys.readouterr().out
    assert Path("dissection/report.html").exists()


@pytest.mark.usefixtures("trained")
def test_a_model_that_draws_finds_a_logger():
    assert dissect("Draws", "all/epoch=0.ckpt", "--data=zoo_of_checkpoints:loader", "--output=out") == 0


def test_models_of_the_older_package_have_their_own_trainer(capsys):
    module = zoo("Older")()
    trainer = pytorch_lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint("older.ckpt")
    assert dissect("Older", "older.ckpt", "--data=zoo_of_checkpoints:loader", "--output=out") == 0
    assert "Epoch 0, step 0, 40 images." in capsys.readouterr().out


@pytest.mark.usefixtures("trained")
def test_a_checkpoint_that_could_run_code_is_read_only_if_asked_for(capsys):
    content = torch.load("all/epoch=2.ckpt", weights_only=True)
    torch.save(content | {"where": Path.cwd()}, "more.ckpt")
    assert dissect("ColourModule", "more.ckpt") == 2
    assert "'more.ckpt' holds more. If you know where it comes from, allow it with --trust-checkpoint true." in (
        capsys.readouterr().err
    )
    assert dissect("ColourModule", "more.ckpt", "--trust-checkpoint=true", "--output=out") == 0
    assert "Epoch 2, step 9" in capsys.readouterr().out


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("model", "checkpoint", "options", "message"),
    [
        ("ColourModule", "no.ckpt", [], "No such file or directory: 'no.ckpt'"),
        ("ColourModule", "colours.txt", [], "Expected CHECKPOINT to"),
        ("ColourModule", "state.pt", [], "a checkpoint of Lightning but 'state.pt' is another file"),
        ("ColourModule", "broken.ckpt", [], "to be a file that torch can read but got 'broken.ckpt'"),
        ("no_such", "no.ckpt", [], "to have 'no_such' but it has not"),
        ("", "all/epoch=0.ckpt", [], "Expected MODEL to be MODULE:CLASS, like my_package:LightningModule"),
        ("Colourmodule", "all/epoch=0.ckpt", [], "Did you mean 'ColourModule'"),
        ("a_number", "all/epoch=0.ckpt", [], "to be or give a LightningModule but got int"),
        ("Remembers", "all/epoch=0.ckpt", [], "TypeError: .*'width'. Arguments can be given with --model-args"),
        ("ColourModule", "all/epoch=0.ckpt", ["--data=Data"], "Expected --data to be MODULE:CLASS"),
        ("ColourModule", "all/epoch=0.ckpt", ["--data=zoo_of_checkpoints:Data"], "'num_images'. .* --data-args"),
        ("ColourModule", "all/epoch=0.ckpt", ["--layers=net.pint"], "Did you mean 'net.paint'"),
        ("ColourModule", "all/epoch=0.ckpt", ["--batches=0"], "`--batches` to be greater than 0"),
        ("ColourModule", "all/epoch=0.ckpt", ["--options.similarty=cosine"], "unexpected keyword .*'similarty'"),
        ("ColourModule", "all/epoch=0.ckpt", ["--data=zoo_of_checkpoints:nothing"], "nothing was validated"),
        (
            "ColourModule",
            "all/epoch=0.ckpt",
            ["--options.image_fn=3"],
            "The checkpoint could not be dissected: TypeError. ",
        ),
    ],
)
def test_errors_are_one_line(model, checkpoint, options, message, capsys):
    torch.save(ColourModule().state_dict(), "state.pt")
    Path("broken.ckpt").write_bytes(Path("state.pt").read_bytes()[:900])
    capsys.readouterr()
    assert dissect(model, checkpoint, *options) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(f"^lightning-dissect: error: .*{message}.*$", err, re.MULTILINE)


@pytest.mark.usefixtures("trained")
def test_two_checkpoints_are_compared(capsys):
    for epoch in (0, 2):
        assert dissect("ColourModule", f"all/epoch={epoch}.ckpt", f"--output={epoch}") == 0
    assert cli.main(["compare", "0/dissection", "2/dissection", "--json=both.json"]) == 0
    assert "In both (3): blue, green, red" in capsys.readouterr().out
    assert json.loads(Path("both.json").read_text())["overall"]["churn"] == 0


@pytest.mark.usefixtures("trained")
def test_permuted_channels_are_the_same_network(capsys):
    content = torch.load("all/epoch=2.ckpt", weights_only=True)
    order = torch.tensor([2, 0, 3, 1])
    for name in ("net.paint.weight", "net.paint.bias"):
        content["state_dict"][name] = content["state_dict"][name][order]
    content["state_dict"]["net.head.weight"] = content["state_dict"]["net.head.weight"][:, order]
    torch.save(content, "permuted.ckpt")
    assert dissect("ColourModule", "all/epoch=2.ckpt", "--output=a") == 0
    assert dissect("ColourModule", "permuted.ckpt", "--output=b") == 0
    churn = []
    for match in ("true", "false"):
        assert cli.main(["compare", "a/dissection", "b/dissection", f"--match={match}", "--json=both.json"]) == 0
        churn.append(json.loads(Path("both.json").read_text())["layers"][0])
    assert [(layer["pairs"], layer["reliable"], layer["churn"]) for layer in churn] == [(3, 3, 0.0), (4, 2, 1.0)]
