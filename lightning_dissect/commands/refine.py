"""The command that searches for labels of an open vocabulary, or judges given ones, for a checkpoint."""

from collections.abc import Iterator, Sequence
from typing import Any

from lightning_dissect.commands.checkpoint import CheckpointRun
from lightning_dissect.commands.table import aligned, decimal
from lightning_dissect.label_refinement import LabelRefinement
from lightning_dissect.refine import ConceptRefinement, RefinementPlan, SearchBudget, summarise_cosy
from lightning_dissect.refine.plan import CHOICES
from lightning_dissect.refinement_report import RefinementReport

HEADER = ("layer", "unit", "before", "after", "AUC before", "AUC", "MAD", "q", "images", "calls")


def refine(
    model: str,
    checkpoint: str,
    *,
    layers: str,
    data: str | None = None,
    vocabulary: str = "imagenet",
    encoder: str = "open_clip",
    neurons: str = "disputed",
    count: int = 16,
    labels: str | None = None,
    proposer: str = "vocabulary",
    generator: str = "retrieval",
    judging_generator: str | None = None,
    steps: int = 10,
    seconds: float | None = None,
    images: int | None = None,
    calls: int | None = None,
    search: dict[str, Any] | None = None,
    output: str = ".",
    model_args: dict[str, Any] | None = None,
    data_args: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    batches: int | None = None,
    accelerator: str = "auto",
    trust_checkpoint: bool = False,
) -> None:
    """Search for labels beyond the vocabulary, for neurons of a network that is trained already.

    The checkpoint is dissected as by the command "dissect". Then concepts are proposed for the chosen neurons, images
    of them are found or made, the network is run on these, and the next concepts are proposed. The best concept is
    judged by other images and printed beside the label before, with its AUC and MAD (CoSy); a label that chance could
    explain is put in brackets. With --steps 0 nothing is proposed and labels are judged as they are, those of another
    tool with --labels FILE.

    For example: lightning-dissect refine my_package:Classifier last.ckpt --layers layer4 --count 8 --seconds 600

    Args:
        model: Your LightningModule as MODULE:CLASS, or a function that gives one; see "dissect".
        checkpoint: The checkpoint, a .ckpt file of Lightning.
        layers: Layers, separated by commas: names, unique ends of names, patterns or types.
        data: The images, a LightningDataModule as MODULE:CLASS or a function that gives one or a DataLoader; by default
            the validation data of the model itself. They are also the control images.
        vocabulary: Concepts of the dissection: imagenet, wordnet, common:20000 or a text file with one per line.
        encoder: What compares images with concepts: open_clip, hf_clip:NAME, assembled (offline) or annotations.
        neurons: Which neurons: disputed, withheld, all, or units of layers, as in layer4:7,12;fc:3.
        count: Most neurons.
        labels: Table of another tool with the columns layer, unit and description: the labels to begin with.
        proposer: Who names concepts: vocabulary, vocabulary:wordnet, chat:FOLDER (a language model) or
            http:MODEL@URL (a server that speaks OpenAI's protocol).
        generator: Who makes images of them: retrieval (real images of the data) or diffusion:MODEL.
        judging_generator: Who makes the images by which results are judged; by default the same.
        steps: Steps of the search per neuron; 0 only judges.
        seconds: Time that the search may take.
        images: Images that may be made.
        calls: Times that the proposer may be asked.
        search: Further arguments of ConceptRefinement, as in --search.proposals 3.
        output: Folder in which the folder of the report, dissection, is made.
        model_args: Arguments of the model that the checkpoint does not remember, as in --model-args.width 64.
        data_args: Arguments of the data, likewise.
        options: Further arguments of NeuronDissection, as in --options.similarity soft_wpmi.
        batches: Batches that are run, all by default.
        accelerator: Where the network runs: cpu, gpu, mps, or auto for the best there is.
        trust_checkpoint: Whether the checkpoint may hold more than weights and plain values. Such a file can run any
            code when it is read: allow it only if you know where it comes from.

    """
    judging_only = {"bank_concepts": 0, "random_concepts": 0, "start_concepts": 1} if steps == 0 else {}
    plan = RefinementPlan(
        ConceptRefinement(
            proposer=proposer,
            generator=generator,
            judging_generator=judging_generator,
            steps=steps,
            budget=SearchBudget(seconds, images, calls),
            **{**judging_only, **(search or {})},
        ),
        neurons=neurons if neurons in CHOICES else _units(neurons),
        labels=labels or (),
        num_neurons=count,
        every_n_dissections=1,
    )
    run = CheckpointRun(
        model, checkpoint, data, output, model_args or {}, data_args or {}, batches, accelerator, trust_checkpoint
    )
    chosen = {"layers": [layer.strip() for layer in layers.split(",")], "vocabulary": vocabulary, "encoder": encoder}
    found = run.dissect(**{**chosen, "refinement": plan, **(options or {})}).last_refinement
    print("\n".join(_lines(found)) if found is not None and found.neurons else _nothing(neurons, found))


def _units(text: str) -> dict[str, list[int]]:
    """Return the units of each layer that a word of the command names."""
    try:
        parts = [part.rpartition(":") for part in text.split(";")]
        return {layer.strip(): [int(unit) for unit in units.split(",")] for layer, _, units in parts if layer.strip()}
    except ValueError as error:
        raise ValueError(
            f"Expected --neurons to be one of {', '.join(CHOICES)}, or units of layers as in layer4:7,12;fc:3, but got "
            f"{text!r}."
        ) from error


def _nothing(neurons: str, found: RefinementReport | None) -> str:
    if found is None:
        return f"No neuron is {neurons}. --neurons all searches for the labels of any."
    return "The budget reached no neuron: judging one takes up to twice --search.judging-images images."


def _lines(report: RefinementReport) -> Iterator[str]:
    yield from aligned(HEADER, (_row(neuron) for neuron in report.neurons))
    scores = [neuron.judged for neuron in report.neurons if neuron.judged is not None]
    summary, metrics = summarise_cosy(scores), report.metrics
    low, high = summary.auc_interval
    yield f"\nAUC {summary.auc:.3f} ({low:.3f} to {high:.3f}), MAD {summary.mad:.2f}, of {summary.neurons} neurons."
    costs = [f"{metrics[f'{name}_per_neuron']:.1f}" for name in ("images", "judging_images", "calls", "lookups")]
    yield "Per neuron {} images to search, {} to judge, {} calls and {} free lookups.".format(*costs)
    if report.folder is not None:
        yield f"The search lies in {report.folder.resolve()}; open refinement.html in a browser."


def _row(neuron: LabelRefinement) -> Sequence[str]:
    before, after = neuron.start_judged, neuron.judged
    return (
        neuron.layer,
        str(neuron.unit),
        neuron.start or "-",
        neuron.label or f"({neuron.concept or neuron.stopped})",
        decimal(before.auc, 3) if before is not None else "-",
        decimal(after.auc, 3) if after is not None else "-",
        decimal(after.mad, 2) if after is not None else "-",
        decimal(neuron.q_value, 3),
        str(neuron.cost.images),
        str(neuron.cost.calls),
    )
