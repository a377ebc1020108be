"""Which images are probed, and that they are counted once, whatever the loaders do."""

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from lightning_dissect.metrics import PearsonCorrelation
from lightning_dissect.presence import GivenPresence, SigmoidConstants
from tests.helpers.colours import COLOURS, ColourDataset, ColourModule

EXPECTED = ["red", "green", "blue", ""]


def validate(trainer_options, dissection, module, **options):
    Trainer(**trainer_options, callbacks=[dissection]).validate(module, verbose=False, **options)


def essence(report):
    """What must not depend on the way the images came."""
    return [
        [neuron.label, pytest.approx(neuron.score, abs=1e-12, nan_ok=True), *neuron_top(neuron)]
        for neuron in report.neurons
    ]


def neuron_top(neuron):
    return [image.activation for image in neuron.top_images]


class Stream(IterableDataset):
    def __init__(self):
        self.dataset = ColourDataset()

    def __iter__(self):
        return (self.dataset[index] for index in range(len(self.dataset)))


class Backwards(ColourDataset):
    def __init__(self):
        super().__init__()
        self.images, self.classes = self.images.flip(0), self.classes.flip(0)


def assert_pictures_show_their_label(report):
    for neuron in report.neurons[:3]:
        picture = report.images[neuron.top_images[0].sample_id]
        assert list(COLOURS)[picture.mean(axis=(0, 1)).argmax()] == neuron.label


LOADERS = {
    "in order": lambda: DataLoader(ColourDataset(), batch_size=8),
    "other batches": lambda: DataLoader(ColourDataset(), batch_size=5),
    "shuffled": lambda: DataLoader(ColourDataset(), batch_size=8, shuffle=True),
    "a stream": lambda: DataLoader(Stream(), batch_size=8),
    "workers": lambda: DataLoader(ColourDataset(), batch_size=8, num_workers=1),
    "subsets": lambda: [
        DataLoader(Subset(ColourDataset(), range(10)), batch_size=8),
        DataLoader(Subset(ColourDataset(), range(10, 24)), batch_size=8),
    ],
}


@pytest.mark.parametrize("loaders", LOADERS.values(), ids=LOADERS.keys())
def test_the_result_does_not_depend_on_the_loader(trainer_options, make_dissection, writer, loaders):
    validate(trainer_options, make_dissection(), ColourModule(), dataloaders=LOADERS["in order"]())
    validate(trainer_options, make_dissection(), ColourModule(), dataloaders=loaders())
    reference, report = writer.reports
    assert report.num_images == 24
    assert essence(report) == essence(reference)
    assert report.images.keys() == {image.sample_id for neuron in report.neurons for image in neuron.top_images}


def test_combined_loaders_are_identified_by_content(trainer_options, make_dissection, writer):
    class Pairs(ColourModule):
        def validation_step(self, batch, batch_idx):
            self(batch["a"][0])

    loader = CombinedLoader({"a": LOADERS["in order"](), "b": LOADERS["in order"]()}, mode="max_size")
    validate(trainer_options, make_dissection(), Pairs(), dataloaders=loader)
    assert [neuron.label for neuron in writer.reports[0].neurons] == EXPECTED
    assert writer.reports[0].num_images == 24


def test_pictures_are_those_of_the_images_that_were_picked(trainer_options, make_dissection, writer):
    class Pairs(ColourModule):
        def validation_step(self, batch, batch_idx):
            self(batch["b"][0])

    loader = CombinedLoader({"a": DataLoader(Backwards(), batch_size=8), "b": LOADERS["in order"]()}, mode="min_size")
    dissection = make_dissection(image_fn=lambda batch: batch["b"][0])
    validate(trainer_options, dissection, Pairs(), dataloaders=loader)
    assert_pictures_show_their_label(writer.reports[0])


def test_pictures_follow_a_dataset_that_is_swapped(trainer_options, make_dissection, writer):
    class Swapping(ColourModule):
        def val_dataloader(self):
            return DataLoader(Backwards() if self.current_epoch else ColourDataset(), batch_size=8)

    Trainer(**trainer_options, reload_dataloaders_every_n_epochs=1, callbacks=[make_dissection()]).fit(Swapping())
    for report in writer.reports:
        assert_pictures_show_their_label(report)


def test_images_are_taken_before_the_step_edits_them(trainer_options, make_dissection, writer):
    class Careless(ColourModule):
        def validation_step(self, batch, batch_idx):
            self(batch[0])
            batch[0].zero_()

    validate(trainer_options, make_dissection(), Careless())
    assert [neuron.label for neuron in writer.reports[0].neurons] == EXPECTED


@pytest.mark.parametrize(
    "options",
    [
        {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.5)},
        {
            "denormalize": lambda images: (
                images * torch.tensor([0.2, 0.25, 0.5])[:, None, None] + torch.tensor([0.4, 0.5, 0.6])[:, None, None]
            )
        },
    ],
)
def test_normalisation_can_be_given_where_it_cannot_be_found(trainer_options, make_dissection, writer, options):
    class Hidden(Dataset):
        def __init__(self):
            self.inner = [ColourDataset()]

        def __len__(self):
            return 24

        def __getitem__(self, index):
            return {"pixels": self.inner[0][index][0], "name": f"image {index}"}

    class Module(ColourModule):
        def validation_step(self, batch, batch_idx):
            self(batch["pixels"])

    dissection = make_dissection(
        image_fn=lambda batch: batch["pixels"] if isinstance(batch, dict) else batch, **options
    )
    validate(trainer_options, dissection, Module(), dataloaders=DataLoader(Hidden(), batch_size=8))
    validate(trainer_options, make_dissection(), ColourModule())
    assert essence(writer.reports[0]) == essence(writer.reports[1])


class Colours(LightningDataModule):
    def setup(self, stage):
        self.data = ColourDataset()

    def val_dataloader(self):
        return [DataLoader(self.data, batch_size=7)]


PROBES = {
    "dataset": ColourDataset,
    "loader": lambda: DataLoader(ColourDataset(), batch_size=7),
    "datamodule": Colours,
}


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES.keys())
def test_a_probe_of_one_s_own_is_run_through_the_model(trainer_options, make_dissection, writer, probe):
    few = DataLoader(Subset(ColourDataset(), range(4)), batch_size=4)
    validate(trainer_options, make_dissection(probe=probe()), ColourModule(), dataloaders=few)
    validate(trainer_options, make_dissection(), ColourModule())
    own, reference = writer.reports
    assert own.num_images == 24
    assert [neuron.label for neuron in own.neurons] == EXPECTED
    for mine, other in zip(own.neurons, reference.neurons, strict=True):
        assert mine.score == pytest.approx(other.score, abs=1e-6, nan_ok=True)


def test_a_probe_is_run_even_if_the_length_of_the_validation_is_unknown(trainer_options, make_dissection, writer):
    stream = DataLoader(Stream(), batch_size=8)
    validate(trainer_options, make_dissection(probe=ColourDataset()), ColourModule(), dataloaders=stream)
    assert [neuron.label for neuron in writer.reports[0].neurons] == EXPECTED
    assert writer.reports[0].num_images == 24


def test_a_stream_as_a_probe(trainer_options, make_dissection, writer):
    validate(trainer_options, make_dissection(probe=Stream()), ColourModule())
    assert [neuron.label for neuron in writer.reports[0].neurons] == EXPECTED


def test_forward_fn_runs_the_probe(trainer_options, make_dissection, writer):
    dissection = make_dissection(probe=ColourDataset(), forward_fn=lambda module, batch: module.net(batch[0]))
    validate(trainer_options, dissection, ColourModule())
    assert [neuron.label for neuron in writer.reports[0].neurons] == EXPECTED


@pytest.mark.parametrize("first", [True, False], ids=["before the average", "after it"])
def test_averaged_weights_are_seen_wherever_the_callback_stands(trainer_options, make_dissection, writer, first):
    dissections = [make_dissection(name="own", probe=ColourDataset()), make_dissection(name="passing")]
    average = EMAWeightAveraging(decay=0.5)
    callbacks = [*dissections, average] if first else [average, *dissections]
    Trainer(**trainer_options, callbacks=callbacks).fit(ColourModule(learning_rate=0.5))
    for own, passing in zip(writer.reports[::2], writer.reports[1::2], strict=True):
        mine = torch.tensor([neuron.top_images[0].activation for neuron in own.neurons])
        other = torch.tensor([neuron.top_images[0].activation for neuron in passing.neurons])
        torch.testing.assert_close(mine, other)


def test_annotations_can_stand_in_for_an_encoder(trainer_options, make_dissection, writer):
    validate(trainer_options, make_dissection(encoder="annotations"), ColourModule())
    assert [neuron.label for neuron in writer.reports[0].neurons] == EXPECTED
    assert writer.reports[0].settings["encoder"] == "annotations"


def test_presence_can_be_that_of_a_sigmoid(trainer_options, make_dissection, writer):
    constants = SigmoidConstants(scale=20.0, bias=-0.8)
    validate(trainer_options, make_dissection(presence=constants), ColourModule())
    assert [neuron.label for neuron in writer.reports[0].neurons] == EXPECTED
    assert writer.reports[0].settings["presence"] == repr(constants)


@pytest.mark.parametrize("by", ["validation", "probe", "file"])
def test_presence_can_be_ones_own(trainer_options, make_dissection, writer, tmp_path, by):
    values = torch.rand(24, 4, generator=torch.Generator().manual_seed(0))
    presence = GivenPresence(values, list(COLOURS))
    if by == "file":
        presence = str(tmp_path / "presence.npy")
        np.save(presence, values.numpy())
    options = {"probe": ColourDataset()} if by == "probe" else {}
    module = ColourModule()
    validate(trainer_options, make_dissection(presence=presence, **options), module)
    with torch.no_grad():
        activations = module.net.paint(torch.stack([image for image, _ in ColourDataset()])).mean(dim=(2, 3))
    expected = PearsonCorrelation().score(activations, values)
    for neuron in writer.reports[0].neurons[:3]:
        wanted = [expected[neuron.unit, list(COLOURS).index(found.concept)].item() for found in neuron.candidates]
        assert [found.quality for found in neuron.candidates] == pytest.approx(wanted, abs=1e-5)


def test_a_probe_without_presence_is_refused_before_anything_runs(trainer_options, make_dissection):
    dissection = make_dissection(presence=GivenPresence(torch.rand(23, 4)), probe=ColourDataset())
    with pytest.raises(ValueError, match="none for 1 of 24 images at hand, such as image 23 of dataloader 0"):
        Trainer(**trainer_options, callbacks=[dissection]).fit(ColourModule())
    assert dissection.last_report is None


@pytest.mark.parametrize(("shuffle", "reason"), [(False, "none for 1 of 8 images"), (True, "order that is not known")])
def test_validation_images_without_presence_are_a_failed_dissection(
    trainer_options, make_dissection, writer, shuffle, reason
):
    dissection = make_dissection(presence=GivenPresence(torch.rand(23, 4)), strict=False)
    loader = DataLoader(ColourDataset(), batch_size=8, shuffle=shuffle)
    with pytest.warns(UserWarning, match=reason):
        validate(trainer_options, dissection, ColourModule(), dataloaders=loader)
    assert not writer.reports


def test_annotations_can_be_picked_out_of_a_batch(trainer_options, make_dissection, writer):
    one_hot = torch.eye(len(COLOURS))
    dissection = make_dissection(encoder="annotations", target_fn=lambda batch: one_hot[batch[1]])
    validate(trainer_options, dissection, ColourModule())
    assert [neuron.label for neuron in writer.reports[0].neurons] == EXPECTED


def test_images_are_encoded_once_per_content(trainer_options, make_dissection):
    dissection = make_dissection()
    Trainer(**trainer_options, callbacks=[dissection]).fit(ColourModule())
    assert dissection.encoder.num_encoded == 24
