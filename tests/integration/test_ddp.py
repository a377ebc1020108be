"""Many processes give what one gives, and fail together or not at all."""

from operator import itemgetter
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.multiprocessing import ProcessRaisedException
from torch.utils.data import DataLoader, IterableDataset

from lightning_dissect import distributed
from lightning_dissect.evaluators import (
    ConceptProportion,
    EmbeddingPercentile,
    EmbeddingSimilarity,
    EvaluationPlan,
)
from lightning_dissect.presence import GivenPresence
from lightning_dissect.probe import ConceptVocabulary, Thumbnails
from lightning_dissect.similarity import Correlation, RankReorder
from lightning_dissect.trust import TrustJudge
from tests.helpers.colours import COLOURS, MEAN, STD, ColourDataset, ColourEncoder, ColourModule
from tests.helpers.planted import CONCEPTS, DEAD, PLANTED, PlantedDataset, PlantedModule
from tests.helpers.processes import one_thread, processes
from tests.helpers.reports import ReportFile, assert_equal_reports
from tests.helpers.witness import Witness

pytestmark = pytest.mark.ddp

SIMILARITIES = {"correlation": "correlation", "soft_wpmi": "soft_wpmi", "rank_reorder": RankReorder(top_fraction=0.25)}
LAYERS = {"wide": "mean", "narrow": "max"}
PAINTS = [f"paint {number}" for number in range(60)]
FAMILIES = ConceptVocabulary(tuple(PAINTS), hierarchy={paint: (f"family {paint[-1]}", "paint") for paint in PAINTS})


@pytest.fixture(autouse=True)
def _same_number_of_threads():
    """Sums in another order differ in their last bit, and Lightning gives several processes fewer threads each."""
    with one_thread():
        yield


class PaintEncoder(ColourEncoder):
    """Knows many paints by number; the same paint has several numbers, so that concepts tie."""

    def encode_texts(self, texts):
        numbers = torch.tensor([float(text.split()[1]) % 45 for text in texts])
        mixtures = torch.stack([torch.sin(numbers * factor).abs() for factor in (1, 2, 3)], dim=1)
        return nn.functional.normalize(mixtures, dim=-1)


class Overlap:
    """A metric of one's own that scores all pairs only."""

    def score(self, activations, concept_presence):
        return (activations[:, :, None].double() * concept_presence[:, None] > 0.1).double().mean(dim=0)


class Steps(nn.Module):
    """Units that know few values, so that images tie; the first is dead and the second is not always finite."""

    def __init__(self, units):
        super().__init__()
        self.conv = nn.Conv2d(3, units, 1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.sin(torch.arange(3.0 * units)).reshape(self.conv.weight.shape))
            self.conv.bias.copy_(torch.cos(torch.arange(units)))
            self.conv.weight[0] = 0

    def forward(self, images):
        steps = (4 * self.conv(images)).round() / 4
        return torch.cat([steps[:, :1], 1 / steps[:, 1:2], steps[:, 2:]], dim=1)


class Stepping(ColourModule):
    """Has a layer with more units than there are processes and one with fewer."""

    def __init__(self, num_images=24):
        super().__init__(num_images=num_images)
        self.wide, self.narrow = Steps(7).requires_grad_(False), Steps(3).requires_grad_(False)

    def forward(self, images):
        self.wide(images), self.narrow(images)
        return super().forward(images)


class TwoLoaders(Stepping):
    def val_dataloader(self):
        return [DataLoader(ColourDataset(number), batch_size=4) for number in (10, 23)]


class Uneven(IterableDataset):
    """Gives the first process most images, the second and the fourth none."""

    def __iter__(self):
        parts = {0: range(24)} if distributed.world_size() == 1 else {0: range(17), 2: range(17, 24)}
        data = ColourDataset()
        return iter([data[index] for index in parts.get(distributed.rank(), ())])


class Streaming(Stepping):
    def val_dataloader(self):
        return DataLoader(Uneven(), batch_size=4)


SETTINGS = {
    "padded shares": {"module": lambda: Stepping(num_images=23)},
    "several loaders": {"module": TwoLoaders},
    "processes without images": {"module": Streaming, "options": {"mean": MEAN, "std": STD}},
    "an own probe of which some have no images": {"options": {"probe": Uneven(), "mean": MEAN, "std": STD}},
    "an own probe": {"options": {"probe": DataLoader(ColourDataset(23), batch_size=4)}},
    "annotations": {"options": {"encoder": "annotations", "vocabulary": list(COLOURS)}},
    "all images everywhere": {"trainer": {"use_distributed_sampler": False}},
    "bfloat16": {"trainer": {"precision": "bf16-mixed"}},
    "a hierarchy": {"options": {"vocabulary": FAMILIES}},
    "presence of one's own": {
        "options": {"presence": GivenPresence(torch.sin(torch.arange(24.0 * 60)).square().reshape(24, 60))}
    },
    "evaluators": {
        "options": {
            "evaluators": [EmbeddingSimilarity(), EmbeddingPercentile(), ConceptProportion(fraction=0.1)],
            "evaluation": EvaluationPlan(num_neurons=20, seconds=None),
        }
    },
    "little memory": {"options": {"max_bytes": 2**12}},
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
def test_four_processes_equal_one(trainer_options, make_dissection, tmp_path, setting):
    found = []
    for number in (1, 4):
        written = ReportFile(tmp_path / str(number))
        given = {"layers": LAYERS, "vocabulary": PAINTS, "encoder": PaintEncoder(), "writers": [written]}
        given["metrics"] = ["auprc", "correlation", "spearman_top_and_random", Overlap()]
        given |= setting.get("options", {})
        dissections = [make_dissection(**given, name=name, similarity=chosen) for name, chosen in SIMILARITIES.items()]
        options = trainer_options | {"max_epochs": 1} | processes(number) | setting.get("trainer", {})
        Trainer(**options, callbacks=dissections).fit(setting.get("module", Stepping)())
        found.append(written.read())
    for one, many in zip(*found, strict=True):
        pictures = [report["exact"].pop("pictures") for report in (one, many)]
        has_room = "max_bytes" not in setting.get("options", {})
        assert pictures[0] == pictures[1] if has_room else pictures[0].items() < pictures[1].items()
    assert_equal_reports(*found)
    for report in found[0]:
        statuses = [status for *_, status in report["exact"]["neurons"]]
        assert statuses == ["dead", "non_finite", *["labelled"] * 5, "dead", "non_finite", "labelled"]


class SomeWithoutImages(IterableDataset):
    """Gives the second and the fourth process no images."""

    def __iter__(self):
        parts = {0: range(158)} if distributed.world_size() == 1 else {0: range(100), 2: range(100, 158)}
        data = PlantedDataset(158)
        return iter([data[index] for index in parts.get(distributed.rank(), ())])


class PlantedStream(PlantedModule):
    def val_dataloader(self):
        return DataLoader(SomeWithoutImages(), batch_size=32)


def judging(make_dissection, written, **options):
    """Return dissections that judge their labels, one for each of two similarities."""
    given = {"layers": ["net.act"], "vocabulary": CONCEPTS, "encoder": "annotations", "target_fn": itemgetter(1)}
    given |= {"false_discovery_rate": 0.05, "writers": [written], **options}
    return [make_dissection(**{"similarity": name, **given}, name=name) for name in ("correlation", "soft_wpmi")]


@pytest.mark.parametrize(("module", "epochs"), [(PlantedModule, 2), (PlantedStream, 1)])
def test_four_processes_withhold_the_labels_that_one_withholds(
    trainer_options, make_dissection, tmp_path, module, epochs
):
    """All numbers are the same to the last bit, for copies have the same weights everywhere.

    Where a model has gathered statistics, its copies gather theirs from the first batch of each process: verdicts may
    then depend on how many processes there are, and this network has none.
    """
    found = []
    for number in (1, 4):
        written = ReportFile(tmp_path / str(number))
        options = trainer_options | {"max_epochs": epochs, "num_sanity_val_steps": 0} | processes(number)
        Trainer(**options, callbacks=judging(make_dissection, written)).fit(module(num_images=158))
        found.append(written.read())
    assert_equal_reports(*found)
    assert len(found[0]) == 2 * epochs
    for report in found[0]:
        statuses = [status for *_, status in report["exact"]["neurons"]]
        if report["name"] == "correlation":
            assert {*statuses[:PLANTED]} == {"labelled", "ambiguous"}
        assert {*statuses[PLANTED:DEAD]} == {"no_clear_function"}
        assert statuses[DEAD] == "dead"
        assert "q_untrained=nan" not in report["exact"]["trust"][0]


class ShuffledModule(ColourModule):
    def val_dataloader(self):
        return self.train_dataloader()


def test_shuffled_images_are_counted_once(trainer_options, make_dissection, tmp_path):
    """Their content is what tells them apart, so the report is that of images in order but for their ids."""
    labels = []
    for number in (1, 2):
        written = ReportFile(tmp_path / str(number))
        options = trainer_options | processes(number)
        Trainer(**options, callbacks=[make_dissection(writers=[written])]).fit(ShuffledModule(num_images=23))
        assert [report["exact"]["num_images"] for report in written.read()] == [23, 23]
        labels.append([report["exact"]["candidates"] for report in written.read()])
    assert labels[0] == labels[1]


class LongEncoder(ColourEncoder):
    """Makes embeddings that show in the number of bytes sent."""

    dimensions = 4096

    def encode_images(self, images):
        return nn.functional.pad(super().encode_images(images), (0, self.dimensions - 3))

    def encode_texts(self, texts):
        self.num_encoded += len(texts)
        return nn.functional.pad(super().encode_texts(texts), (0, self.dimensions - 3))


def test_each_image_and_text_is_encoded_once_by_one_process(trainer_options, make_dissection, tmp_path):
    encoder = LongEncoder()
    witness = Witness(tmp_path / "witness", encoder)
    dissection = make_dissection(encoder=encoder, similarity="soft_wpmi")
    Trainer(**trainer_options | processes(4), callbacks=[dissection, witness]).fit(ColourModule())
    first, second = zip(*witness.read(), strict=True)
    assert [process["encoded"] for process in first] == [6 + 1] * 4
    assert [process["encoded"] for process in second] == [0] * 4
    embeddings = 4 * encoder.dimensions * (24 + len(COLOURS))
    assert embeddings < sum(process["bytes_sent"] for process in first) / 3 < 1.5 * embeddings
    assert sum(process["bytes_sent"] for process in second) < embeddings / 8
    assert all(process["metrics"] == of[0]["metrics"] for of in (first, second) for process in of)


def failing(function, rank=1):
    """Return a function that fails at its first call in one process."""
    calls = []

    def call(*args):
        calls.append(args)
        if distributed.rank() == rank and len(calls) == 1:
            raise RuntimeError("out of paint")
        return function(*args)

    return call


def failing_encoder(method):
    encoder = ColourEncoder()
    setattr(encoder, method, failing(getattr(encoder, method)))
    return {"encoder": encoder}


def failing_probe():
    probe = ColourDataset()
    probe.transform = failing(probe.transform)
    return {"probe": probe, "mean": MEAN, "std": STD}


def failing_preparation():
    similarity = Correlation()
    return {"similarity": SimpleNamespace(score=similarity.score, prepared=failing(similarity.prepared))}


FAILURES = {
    "finding images": lambda: {"image_fn": failing(itemgetter(0))},
    "encoding images": lambda: failing_encoder("encode_images"),
    "encoding texts": lambda: failing_encoder("encode_texts"),
    "running the probe": failing_probe,
    "pooling": lambda: {"pooling": SimpleNamespace(pool=failing(lambda output: output.mean(dim=(2, 3))))},
    "preparing the similarity": failing_preparation,
    "labelling": lambda: {"similarity": SimpleNamespace(score=failing(Correlation().score))},
    "keeping pictures": dict,
}


class PaintedOut(nn.ReLU):
    """Fails in the untrained copies of one process, whose parameters need no gradient."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, values):
        if distributed.rank() == 1 and not self.conv.weight.requires_grad:
            raise RuntimeError("out of paint")
        return super().forward(values)


def failing_copies(monkeypatch, module):
    module.net.act = PaintedOut(module.net.conv)
    return {}


def failing_floor(monkeypatch, module):
    monkeypatch.setattr(TrustJudge, "_floor_of", failing(TrustJudge._floor_of))
    return {}


def failing_before_floors(monkeypatch, module):
    return failing_preparation()


@pytest.mark.parametrize("stage", [failing_copies, failing_floor, failing_before_floors])
def test_all_processes_have_the_same_floor(trainer_options, make_dissection, tmp_path, monkeypatch, stage):
    """If one cannot run its copies, none has a floor; if one fails to learn from them, all learn the next time."""
    written, witness, module = ReportFile(tmp_path / "two"), Witness(tmp_path / "witness"), PlantedModule()
    dissection, _ = judging(make_dissection, written, strict=False, **stage(monkeypatch, module))
    options = trainer_options | processes(2) | {"num_sanity_val_steps": 0}
    Trainer(**options, callbacks=[dissection, witness]).fit(module)
    first, second = zip(*witness.read(), strict=True)
    assert "out of paint" in "".join(first[0]["warnings"])
    assert not [text for process in second for text in process["warnings"] if "paint" in text]
    assert second[0]["metrics"] == second[1]["metrics"]
    reports = written.read()
    is_judged_by_floor = ["q_untrained=nan" not in report["exact"]["trust"][0] for report in reports]
    assert is_judged_by_floor == ([False, False] if stage is failing_copies else [True])


@pytest.fixture
def fit_two_processes(trainer_options, make_dissection, tmp_path):
    """Return a function that trains for two epochs and returns the reports and what each process has seen in each."""

    def fit(writers=(), **options):
        written, witness = ReportFile(tmp_path / "two"), Witness(tmp_path / "witness")
        dissection = make_dissection(writers=[*writers, written], **{"strict": False, **options})
        Trainer(**trainer_options | processes(2), callbacks=[dissection, witness]).fit(ColourModule())
        return written.read(), *zip(*witness.read(), strict=True)

    return fit


@pytest.fixture
def healthy_report(trainer_options, make_dissection, tmp_path):
    """Return the report of every epoch where nothing fails and the weights do not change."""
    written = ReportFile(tmp_path / "one")
    Trainer(**trainer_options | {"max_epochs": 1}, callbacks=[make_dissection(writers=[written])]).fit(ColourModule())
    return written.read()[0]


@pytest.mark.parametrize("stage", FAILURES)
def test_a_failure_of_one_process_is_everybody_s_and_the_next_validation_is_well(
    fit_two_processes, healthy_report, monkeypatch, stage
):
    if stage == "keeping pictures":
        fail = failing(lambda: None)
        add = Thumbnails.add
        monkeypatch.setattr(Thumbnails, "add", lambda *args: (fail(), add(*args)))
    reports, first, second = fit_two_processes(**FAILURES[stage]())
    assert "out of paint" in "".join(first[0]["warnings"])
    assert [process["metrics"]["dissection/quality"] for process in first] == ["nan", "nan"]
    assert second[0]["metrics"] == second[1]["metrics"]
    assert not any(process["warnings"] for process in second)
    assert_equal_reports([healthy_report], reports)


def test_a_failure_of_one_process_stops_all_where_strict(fit_two_processes):
    with pytest.raises(ProcessRaisedException, match=r"DissectionError: .*out of paint"):
        fit_two_processes(strict=True, **failing_encoder("encode_images"))


def test_a_writer_that_fails_stops_nobody(fit_two_processes, healthy_report):
    writer = SimpleNamespace(write=failing(lambda report, loggers: None, rank=0))
    reports, first, second = fit_two_processes(writers=[writer])
    assert "SimpleNamespace failed" in "".join(first[0]["warnings"])
    assert all(process["metrics"] == of[0]["metrics"] for of in (first, second) for process in of)
    assert not second[0]["warnings"]
    assert_equal_reports([healthy_report] * 2, reports)


def test_a_good_run_gives_no_warning_of_ours_in_any_process(fit_two_processes):
    """Such as Lightning's advice to add up over processes what is the same on all."""
    _, first, second = fit_two_processes()
    assert not [text for process in first + second for text in process["warnings"] if "issection" in text]


class Ragged(ColourModule):
    """Has a layer with fewer neurons on the second process."""

    def __init__(self):
        super().__init__()
        self.part = nn.Identity()

    def validation_step(self, batch, batch_idx):
        self.part(self.net.paint(batch[0])[:, : 4 - self.global_rank])


def test_recordings_that_do_not_fit_together_do_not_stop_the_training(trainer_options, make_dissection):
    dissection = make_dissection(layers=["part"], strict=False)
    trainer = Trainer(**trainer_options | processes(2), callbacks=[dissection])
    trainer.fit(Ragged())
    assert trainer.callback_metrics["dissection/part/quality"].isnan()
