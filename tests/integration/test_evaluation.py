"""Evaluators judge labels in a real fit: how often, what is logged, what a failure does, and judging afterwards."""

import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_dissect import cli
from lightning_dissect.commands.evaluate import vocabulary_of
from lightning_dissect.dissector import DissectionError
from lightning_dissect.encoders import ENCODERS
from lightning_dissect.evaluators import Answers, EmbeddingSimilarity, EvaluationPlan, ImageSampling
from lightning_dissect.label_evaluation import RATES
from lightning_dissect.types import DissectionReport, LayerDissection, NeuronLabel, ScoredConcept
from lightning_dissect.writers import read_report
from tests.helpers import tiny_vlm
from tests.helpers.colours import COLOURS, ColourEncoder, ColourModule

SIMILAR = EmbeddingSimilarity(threshold=0.9)
KEY = "dissection/net_paint/embedding_similarity_rate"


@dataclass
class Moody:
    """Judges by the pictures: yes where the label's colour is the brightest channel. May fail."""

    failing: bool = False
    rows: list = field(default_factory=list, repr=False)
    family = "eyes"
    questions_at_once = 10**6

    def check(self, vocabulary, has_encoder):
        pass

    def answer(self, questions):
        if self.failing:
            raise OSError("no eyes")
        self.rows.append(len(questions))
        pictures = [questions.evidence.pictures[row].reshape(-1, 3).mean(axis=0) for row in questions.images]
        channel = [list(COLOURS).index(questions.labels[label]) for label in questions.label_of]
        pairs = zip(pictures, channel, strict=True)
        return Answers.above(torch.tensor([float(mean.argmax() == place) for mean, place in pairs]), 0.5)

    def release(self):
        pass


class Seen(Callback):
    """Remembers what could be monitored after each validation."""

    def __init__(self):
        self.values = []

    def on_validation_end(self, trainer, pl_module):
        if trainer.sanity_checking:
            return
        self.values.append({key: float(value) for key, value in trainer.callback_metrics.items()})


def test_rates_are_there_to_be_monitored_after_every_validation(trainer_options, make_dissection, writer, tmp_path):
    moody, seen = Moody(), Seen()
    dissection = make_dissection(
        evaluators=[SIMILAR, moody], evaluation=EvaluationPlan(every_n_dissections=2, num_other_labels=2)
    )
    keeper = ModelCheckpoint(tmp_path / "kept", monitor=KEY, mode="max", save_top_k=2)
    options = trainer_options | {"max_epochs": 4, "enable_checkpointing": True}
    Trainer(**options, callbacks=[dissection, keeper, seen]).fit(ColourModule())
    assert len(moody.rows) == 2
    assert [bool(report.evaluators) for report in writer.reports] == [True, False, True, False]
    for values in seen.values:
        for place in ("", "net_paint/"):
            names = {
                f"dissection/{place}{judge}_{rate}" for judge in ("embedding_similarity", "moody") for rate in RATES
            }
            assert names <= values.keys()
        assert values[KEY] == 1
        assert values["dissection/net_paint/moody_shuffled_rate"] == 0
        assert values["dissection/net_paint/moody_discrimination"] == 1
        assert values["dissection/net_paint/moody_evaluated"] == 3
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_the_last_rates_survive_a_resumed_run(trainer_options, make_dissection, tmp_path):
    plan = EvaluationPlan(every_n_dissections=5)
    options = trainer_options | {"enable_checkpointing": True}
    first = make_dissection(evaluators=[Moody()], evaluation=plan)
    trainer = Trainer(**options, callbacks=[first])
    trainer.fit(ColourModule())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    moody, seen = Moody(), Seen()
    resumed = make_dissection(evaluators=[moody], evaluation=plan)
    Trainer(**options | {"max_epochs": 3}, callbacks=[resumed, seen]).fit(
        ColourModule(), ckpt_path=tmp_path / "last.ckpt"
    )
    assert not moody.rows
    assert seen.values[-1]["dissection/moody_rate"] == 1


def test_a_failing_evaluator_is_warned_of_and_costs_nothing_else(trainer_options, make_dissection, writer):
    seen = Seen()
    dissection = make_dissection(evaluators=[Moody(failing=True), SIMILAR], strict=False)
    with pytest.warns(UserWarning, match=r"moody could not judge labels\. OSError: no eyes"):
        Trainer(**trainer_options, callbacks=[dissection, seen]).fit(ColourModule())
    assert len(writer.reports) == 2
    assert math.isnan(seen.values[0]["dissection/moody_rate"])
    assert seen.values[0]["dissection/embedding_similarity_rate"] == 1
    with pytest.raises(DissectionError, match="no eyes"):
        Trainer(**trainer_options, callbacks=[make_dissection(evaluators=[Moody(failing=True)])]).fit(ColourModule())


def test_keys_exist_where_the_first_dissection_fails(trainer_options, make_dissection):
    seen = Seen()
    dissection = make_dissection(evaluators=[Moody()], strict=False, image_fn=lambda batch: 1 / 0)
    with pytest.warns(UserWarning, match="could not be dissected"):
        Trainer(**trainer_options | {"max_epochs": 1}, callbacks=[dissection, seen]).fit(ColourModule())
    assert math.isnan(seen.values[0]["dissection/net_paint/moody_rate"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"evaluators": ["concept_proportion"]},
            r"`fraction` of the vocabulary to be at least one concept but 0\.001 of 4",
        ),
        ({"evaluators": ["telepathy"]}, "Expected an evaluator or one of"),
        ({"evaluators": ["vqa:/no/such/folder"]}, "/no/such/folder"),
        ({"evaluators": [SIMILAR], "encoder": "annotations"}, "`encoder` is 'annotations'"),
    ],
)
def test_what_cannot_judge_is_known_at_setup(trainer_options, make_dissection, options, message):
    with pytest.raises(ValueError, match=message):
        Trainer(**trainer_options, callbacks=[make_dissection(**options)]).fit(ColourModule())


def test_who_judges_its_own_labels_is_warned_of(trainer_options, make_dissection):
    options = trainer_options | {"max_epochs": 1}
    with pytest.warns(
        UserWarning, match=r"embedding_similarity will judge .* \(ColourEncoder\), which is no independent"
    ):
        Trainer(**options, callbacks=[make_dissection(evaluators=[SIMILAR])]).fit(ColourModule())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*independent witness")
        Trainer(**options, callbacks=[make_dissection(evaluators=[Moody()])]).fit(ColourModule())


def test_images_drawn_for_later_judges_are_all_kept(trainer_options, make_dissection, writer):
    plan = EvaluationPlan(num_neurons=2, images=ImageSampling(2, 1, 1), num_reference_images=3)
    Trainer(**trainer_options, callbacks=[make_dissection(evaluation=plan)]).fit(ColourModule())
    report = writer.reports[-1]
    drawn = [neuron.judged_images for neuron in report.neurons if neuron.judged_images]
    assert len(drawn) == 2
    assert {image.sample_id for images in drawn for image in images} <= report.images.keys()
    assert set(report.reference_images) <= report.images.keys()
    assert not report.evaluators


@pytest.fixture
def saved_run(trainer_options, make_dissection, tmp_path, monkeypatch):
    """A run whose report is judged afterwards, and the words of the command that name what the report cannot tell."""
    monkeypatch.setattr(ENCODERS, "_factories", {**ENCODERS._factories, "colours": ColourEncoder})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    dissection = make_dissection(
        writers=["json", "pictures", "html"], evaluation=EvaluationPlan(), dirpath=tmp_path / "run"
    )
    Trainer(**trainer_options, callbacks=[dissection]).fit(ColourModule())
    concepts = tmp_path / "colours.txt"
    concepts.write_text("\n".join(COLOURS))
    return tmp_path / "run" / "dissection", [f"--vocabulary={concepts}", "--encoder=colours"]


def test_a_saved_report_is_judged_by_a_vision_language_model_and_by_an_encoder(saved_run, capsys, tmp_path):
    folder, words = saved_run
    model = tiny_vlm.blip_2(tmp_path / "blip-2")
    assert cli.main(["evaluate", str(folder), "--evaluator", f"vqa:{model}, embedding_similarity", *words]) == 0
    report = read_report(folder / "reports" / "cycle-0001.json")
    assert [judge.name for judge in report.evaluators] == ["vqa", "embedding_similarity"]
    assert [judge.family for judge in report.evaluators] == ["blip-2", "ColourEncoder"]
    labelled = [neuron for neuron in report.neurons if neuron.label]
    for neuron in labelled:
        assert len(neuron.evaluations["vqa"].scores) == len(neuron.judged_images) == 18
        assert all(0 <= score <= 1 for score in neuron.evaluations["vqa"].scores)
    printed = capsys.readouterr().out
    assert "shuffled labels" in printed
    assert "embedding_similarity sees with the family of models that chose the labels" in printed
    assert "embedding_similarity" in (folder / "report.html").read_text(encoding="utf-8")


def test_an_earlier_report_gets_a_page_of_its_own(saved_run, tmp_path, capsys):
    folder, words = saved_run
    newest = (folder / "report.html").read_bytes()
    file, answers = folder / "reports" / "cycle-0000.json", tmp_path / "answers.csv"
    command = ["evaluate", str(file), "--evaluator=embedding_percentile", *words, f"--csv={answers}", "--votes=2"]
    assert cli.main(command) == 0
    assert (folder / "report.html").read_bytes() == newest
    assert "embedding_percentile" in (folder / "reports" / "cycle-0000.html").read_text(encoding="utf-8")
    assert len(answers.read_text(encoding="utf-8").splitlines()) == 1 + 3 * 18
    assert cli.main(["agreement", str(file)]) == 2
    assert "Expected at least two judges" in capsys.readouterr().err


def test_people_rate_and_are_compared_with_evaluators(saved_run, tmp_path, capsys):
    folder, words = saved_run
    assert cli.main(["evaluate", str(folder), "--evaluator=embedding_percentile,embedding_similarity", *words]) == 0
    assert cli.main(["rating-sheet", str(folder), str(tmp_path / "sheet.html")]) == 0
    assert "<!doctype html>" in (tmp_path / "sheet.html").read_text(encoding="utf-8")
    sheets = tmp_path / "ratings"
    sheets.mkdir()
    for rater, last in (("ana", "yes"), ("bo", "no")):
        lines = ["rater,layer,unit,label,answer"]
        lines += [
            f"{rater},net.paint,{unit},{label},{last}" for unit, label in enumerate(("red", "green", "blue", "?"))
        ]
        (sheets / f"{rater}.csv").write_text("\n".join(lines))
    capsys.readouterr()
    files = {name: tmp_path / file for name, file in (("csv", "a.csv"), ("markdown", "a.md"), ("plot", "a.svg"))}
    options = [f"--{name}={file}" for name, file in files.items()] + [f"--kappa-plot={tmp_path / 'kappa.png'}"]
    assert cli.main(["agreement", str(folder), f"--ratings={sheets}", *options]) == 0
    printed = capsys.readouterr().out
    assert "2 of 8 ratings are of labels that this report does not have." in printed
    for pair in (
        "people / ana",
        "ana / bo",
        "people / embedding_percentile",
        "embedding_percentile / embedding_similarity",
    ):
        assert pair in printed
    assert all(file.stat().st_size > 0 for file in (*files.values(), tmp_path / "kappa.png"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "nowhere", "--evaluator=vqa"], "there is no 'nowhere'"),
        (["evaluate", ".", "--evaluator=vqa"], "holds none"),
        (["evaluate", "RUN", "--evaluator=embedding_similarity", "--encoder="], "Expected an encoder or one of"),
        (["evaluate", "RUN", "--evaluator=embedding_similarity"], "Expected --encoder"),
        (["evaluate", "RUN", "--evaluator=concept_proportion:colours"], "0.001 of 4"),
        (["evaluate", "RUN", "--evaluator=telepathy"], "Expected an evaluator or one of"),
        (["rating-sheet", "RUN", "sheet.pdf"], "Expected OUTPUT to end in .html"),
        (["agreement", "RUN", "--ratings=ratings.csv"], "none of the 1 in 'ratings.csv' fits"),
        (["agreement", "RUN", "--ratings=empty"], "Expected --ratings to hold .csv or .json files"),
        (["agreement", "RUN", "--kappa-plot=a.txt"], "Expected --kappa-plot to end in .png"),
    ],
)
def test_what_commands_cannot_do_is_one_line(saved_run, capsys, words, message):
    Path("ratings.csv").write_text("rater,layer,unit,label,answer\nana,elsewhere,0,cat,yes\n")
    Path("empty").mkdir()
    assert cli.main([word.replace("RUN", str(saved_run[0])) for word in words]) == 2
    assert message in capsys.readouterr().err


def test_a_run_without_pictures_cannot_be_judged(trainer_options, make_dissection, tmp_path, capsys):
    Trainer(**trainer_options, callbacks=[make_dissection(writers=["json"], dirpath=tmp_path)]).fit(ColourModule())
    assert cli.main(["evaluate", str(tmp_path / "dissection"), "--evaluator=vqa"]) == 2
    assert "with the writer 'pictures' among `writers`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("told", "size"),
    [("imagenet (998 concepts)", 998), ("imagenet (12 concepts)", 2), ("list (4 concepts)", 2), ("", 2)],
)
def test_a_saved_report_tells_its_vocabulary_where_that_is_registered(told, size):
    cat = NeuronLabel("fc", 0, "labelled", (ScoredConcept("cat", 0.5, 0.4), ScoredConcept("dog", 0.2, 0.1)))
    settings = {"vocabulary": told} if told else {}
    report = DissectionReport(0, 0, 0, (LayerDissection("fc", (cat,)),), num_images=9, settings=settings)
    assert len(vocabulary_of(report)) == size
