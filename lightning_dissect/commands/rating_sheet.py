"""The command that makes a sheet on which people rate labels."""

from pathlib import Path

from lightning_dissect.agreement import render_rating_sheet
from lightning_dissect.commands.saved_report import saved_report
from lightning_dissect.whole_files import write_whole


def rating_sheet(report: str, output: str, *, neurons: int = 100, images: int = 5, seed: int = 0) -> None:
    """Make a sheet on which people say whether labels are right: one HTML page that needs no network.

    Give it to anybody with a browser; answers are saved as CSV or JSON, for the command "agreement". Where evaluators
    have judged some labels, those are asked for, so that people and evaluators can be compared.

    Args:
        report: The folder of a run (its last report is taken) or a file reports/cycle-0003.json of it.
        output: The page, a file that ends in .html.
        neurons: Most neurons on the sheet, drawn at random.
        images: Images per neuron, the most activating ones.
        seed: Seed of the choice and of the order.

    """
    if not output.endswith(".html"):
        raise ValueError(f"Expected OUTPUT to end in .html but got {output!r}.")
    saved = saved_report(report)
    judged = [(neuron.layer, neuron.unit) for neuron in saved.neurons if neuron.evaluations and neuron.label]
    chosen = neurons if not judged or len(judged) > neurons else judged
    write_whole(Path(output), render_rating_sheet(saved, chosen, num_images=images, seed=seed))
    print(f"Open {Path(output).resolve()} in a browser; give the saved answers to: lightning-dissect agreement")
