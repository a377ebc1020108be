"""Metrics judge labels in a real fit, checkpoints go by them, and what is wrong with that is said."""

import math
import warnings
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lightning_dissect.metrics import AUPRC, METRICS
from lightning_dissect.presence import ConceptPresence
from tests.helpers.colours import COLOURS, ColourEncoder, ColourModule

PAINT = torch.cat([torch.eye(3) - 0.5 * (1 - torch.eye(3)), torch.zeros(1, 3)])[:, :, None, None]
NOISE = (1.5, 0.0, 0.75)
"""How much of the weights is spoilt in each epoch; the second is the best."""


class Spoilt(ColourModule):
    """Has other weights in every epoch."""

    def on_validation_epoch_start(self):
        noise = torch.randn(PAINT.shape, generator=torch.Generator().manual_seed(self.current_epoch))
        noise[3] = 0
        with torch.no_grad():
            self.net.paint.weight.copy_(PAINT + NOISE[self.current_epoch] * noise)


class ByHand(Callback):
    """Computes the metrics of all labels from the activations of each validation."""

    def __init__(self, metrics, writer):
        self.metrics, self.writer, self.means, self.values = metrics, writer, [], []

    def on_validation_end(self, trainer, pl_module):
        data = pl_module.data
        with torch.no_grad():
            images = torch.stack([data[index][0] for index in range(len(data))])
            activations = pl_module.net.paint(images).mean(dim=(2, 3))
        encoder = ColourEncoder()
        pictures = (data.images * 255).round().to(torch.uint8)
        cosines = encoder.encode_images(pictures) @ encoder.encode_texts(list(COLOURS)).T
        presence = ConceptPresence(cosines).columns(slice(None))
        labels = [neuron.label for neuron in self.writer.reports[-1].neurons]
        found = {}
        for name, metric in self.metrics.items():
            scores = metric.score(activations, presence)
            found[name] = [
                scores[unit, list(COLOURS).index(label)].item() if label else math.nan
                for unit, label in enumerate(labels)
            ]
        self.values.append(found)
        self.means.append({name: torch.tensor(values).nanmean().item() for name, values in found.items()})


def test_a_checkpoint_keeps_the_best_by_a_metric(trainer_options, make_dissection, writer, tmp_path):
    chosen = {"auprc": AUPRC(alpha=0.2), "spearman": METRICS.resolve("spearman")}
    by_hand = ByHand(chosen, writer)
    checkpoint = ModelCheckpoint(dirpath=tmp_path / "best", monitor="dissection/net_paint/auprc", mode="max")
    dissection = make_dissection(metrics=[chosen["auprc"], "spearman"])
    trainer_options.update(max_epochs=3, enable_checkpointing=True, num_sanity_val_steps=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Trainer(**trainer_options, callbacks=[dissection, by_hand, checkpoint]).fit(Spoilt())
    assert not [warning for warning in caught if "NeuronDissection" in str(warning.message)]
    for report, values in zip(writer.reports, by_hand.values, strict=True):
        for name in chosen:
            found = [neuron.metrics[name] for neuron in report.neurons]
            assert found == pytest.approx(values[name], abs=1e-6, nan_ok=True)
    auprc = [means["auprc"] for means in by_hand.means]
    assert max(auprc) == auprc[1] > max(auprc[0], auprc[2])
    assert checkpoint.best_model_score.item() == pytest.approx(auprc[1], abs=1e-6)
    kept = torch.load(checkpoint.best_model_path, weights_only=True)
    assert kept["epoch"] == 1
    assert torch.equal(kept["state_dict"]["net.paint.weight"], PAINT)


@pytest.mark.parametrize("name", ["recall", "accuracy"])
def test_a_monitored_metric_that_fails_is_warned_of(trainer_options, make_dissection, name):
    stopping = EarlyStopping(monitor=f"dissection/{name}", mode="max")
    dissection = make_dissection(metrics=[name, "auprc"])
    with pytest.warns(UserWarning, match=rf"EarlyStopping monitors 'dissection/{name}', .* fails the .* test") as found:
        Trainer(**trainer_options, callbacks=[stopping, dissection]).fit(ColourModule())
    ours = [str(warning.message) for warning in found if "EarlyStopping monitors" in str(warning.message)]
    assert len(ours) == 1
    assert "auprc, combined_auc" in ours[0]


def test_the_wrong_direction_is_warned_of(trainer_options, make_dissection, tmp_path):
    checkpoint = ModelCheckpoint(dirpath=tmp_path / "best", monitor="dissection/auprc")
    trainer_options["enable_checkpointing"] = True
    with pytest.warns(UserWarning, match=r"ModelCheckpoint keeps the lowest 'dissection/auprc' .* Set mode='max'"):
        Trainer(**trainer_options, callbacks=[make_dissection(metrics=["auprc"]), checkpoint]).fit(ColourModule())


def test_keys_exist_even_if_the_first_dissection_fails(trainer_options, make_dissection):
    encoder = ColourEncoder()
    encoder.encode_images = None
    trainer = Trainer(**trainer_options, callbacks=[make_dissection(encoder=encoder, metrics=["auprc"], strict=False)])
    trainer.fit(ColourModule())
    for key in ("auprc", "auprc_undefined", "net_paint/auprc", "net_paint/auprc_undefined"):
        assert math.isnan(trainer.callback_metrics[f"dissection/{key}"])


def test_a_metric_that_is_unknown_or_named_twice_is_an_error_before_training(trainer_options, make_dissection):
    with pytest.raises(ValueError, match=r"a metric or one of .* but got 'auprk'"):
        Trainer(**trainer_options, callbacks=[make_dissection(metrics=["auprk"])]).fit(ColourModule())
    with pytest.raises(ValueError, match="distinct names but got 'iou' more than once"):
        Trainer(**trainer_options, callbacks=[make_dissection(metrics=["iou", "iou"])]).fit(ColourModule())


def test_all_writers_show_the_metrics(trainer_options, make_dissection, tmp_path):
    trainer_options["max_epochs"] = 1
    names = list(METRICS)
    dissection = make_dissection(metrics=names, writers=["csv", "html", "json"], dirpath=tmp_path)
    Trainer(**trainer_options, callbacks=[dissection]).fit(ColourModule())
    header = Path(tmp_path, "dissection", "neurons.csv").read_text().splitlines()[0].split(",")
    assert header[5 : 5 + len(names)] == names
    page = Path(tmp_path, "dissection", "report.html").read_text()
    assert "recall does not fall reliably when a label gets as many wrong images" in page
    assert dissection.last_report.settings["metrics"].startswith("quality, Accuracy(alpha=0.01), ")
