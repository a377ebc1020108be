"""Two processes give what one gives."""

import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, IterableDataset

from lightning_dissect import distributed
from tests.helpers.colours import ColourDataset, ColourModule


@pytest.fixture(autouse=True)
def _same_number_of_threads():
    """Sums in another order differ in their last bit, and Lightning gives two processes fewer threads each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class FileWriter:
    """Writes what must not depend on the number of processes; usable from a forked process."""

    def __init__(self, path):
        self.path = Path(path)

    def write(self, report, loggers):
        neurons = [
            [
                neuron.label,
                neuron.status,
                [
                    [candidate.concept, repr(candidate.score), repr(candidate.quality)]
                    for candidate in neuron.candidates
                ],
                [[image.sample_id, image.activation] for image in neuron.top_images],
            ]
            for neuron in report.neurons
        ]
        lines = [json.dumps({"num_images": report.num_images, "neurons": neurons, "images": sorted(report.images)})]
        with self.path.open("a") as file:
            file.writelines(line + "\n" for line in lines)


def run(devices, trainer_options, make_dissection, tmp_path, module, **options):
    path = tmp_path / f"{devices}.jsonl"
    strategy = {"devices": devices, "strategy": "ddp_fork" if devices > 1 else "auto"}
    dissection = make_dissection(writers=[FileWriter(path)], **options)
    Trainer(**{**trainer_options, **strategy}, callbacks=[dissection]).fit(module)
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.ddp
@pytest.mark.parametrize("num_images", [24, 23], ids=["even", "padded"])
@pytest.mark.parametrize("own_probe", [False, True], ids=["validation", "own probe"])
def test_two_processes_equal_one(trainer_options, make_dissection, tmp_path, num_images, own_probe):
    options = {"probe": DataLoader(ColourDataset(num_images), batch_size=1)} if own_probe else {}
    one, two = (
        run(devices, trainer_options, make_dissection, tmp_path, ColourModule(num_images=num_images), **options)
        for devices in (1, 2)
    )
    assert one[0]["num_images"] == num_images
    assert one == two


@pytest.mark.ddp
def test_metrics_that_all_processes_share_cause_no_warning(trainer_options, make_dissection, tmp_path, capfd):
    run(2, trainer_options, make_dissection, tmp_path, ColourModule())
    assert "dissection/" not in capfd.readouterr().err


class ShuffledModule(ColourModule):
    def val_dataloader(self):
        return self.train_dataloader()


@pytest.mark.ddp
def test_shuffled_images_are_counted_once(trainer_options, make_dissection, tmp_path):
    one, two = (
        run(devices, trainer_options, make_dissection, tmp_path, ShuffledModule(num_images=23)) for devices in (1, 2)
    )
    for mine, other in zip(one, two, strict=True):
        assert mine["num_images"] == other["num_images"] == 23
        assert [neuron[0] for neuron in mine["neurons"]] == [neuron[0] for neuron in other["neurons"]]


class FirstProcessOnly(IterableDataset):
    def __iter__(self):
        data = ColourDataset()
        return iter([data[index] for index in range(len(data))] if distributed.rank() == 0 else [])


@pytest.mark.ddp
def test_a_process_without_images_takes_part(trainer_options, make_dissection, tmp_path):
    reports = run(2, trainer_options, make_dissection, tmp_path, ColourModule(), probe=FirstProcessOnly())
    assert [report["num_images"] for report in reports] == [24, 24]
    assert [neuron[0] for neuron in reports[0]["neurons"]] == ["red", "green", "blue", ""]


class Uneven(ColourModule):
    """Has a layer with fewer neurons on the second process."""

    def __init__(self):
        super().__init__()
        self.part = torch.nn.Identity()

    def validation_step(self, batch, batch_idx):
        self.part(self.net.paint(batch[0])[:, : 4 - self.global_rank])


@pytest.mark.ddp
def test_recordings_that_do_not_fit_together_do_not_stop_the_training(trainer_options, make_dissection):
    options = {**trainer_options, "devices": 2, "strategy": "ddp_fork"}
    trainer = Trainer(**options, callbacks=[make_dissection(layers=["part"], strict=False)])
    trainer.fit(Uneven())
    assert trainer.callback_metrics["dissection/part/quality"].isnan()


@pytest.mark.ddp
def test_a_failure_on_one_process_is_everybody_s(trainer_options, make_dissection, tmp_path):
    class HalfBroken:
        """Fails on the process that holds image 1."""

        temperature = 1.0

        def encode_images(self, images):
            import torch.distributed

            if torch.distributed.get_rank() == 1:
                raise RuntimeError("no paint on this process")
            return images.float().mean(dim=(2, 3))

        def encode_texts(self, texts):
            raise AssertionError("never reached")

        def fingerprint(self):
            return "half broken"

    options = {**trainer_options, "devices": 2, "strategy": "ddp_fork"}
    trainer = Trainer(**options, callbacks=[make_dissection(encoder=HalfBroken(), strict=False)])
    trainer.fit(ColourModule())
    assert trainer.callback_metrics["dissection/quality"].isnan()
