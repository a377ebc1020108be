"""The command line: what its words stand for."""

import inspect
import os
import sys
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from typing import Any

from lightning_dissect.checks import require_package
from lightning_dissect.commands.agreement import agreement
from lightning_dissect.commands.compare import compare
from lightning_dissect.commands.dashboard import dashboard
from lightning_dissect.commands.dissect import dissect
from lightning_dissect.commands.evaluate import evaluate
from lightning_dissect.commands.history import history
from lightning_dissect.commands.layers import layers
from lightning_dissect.commands.rating_sheet import rating_sheet
from lightning_dissect.commands.refine import refine
from lightning_dissect.commands.sanity_check import sanity_check
from lightning_dissect.commands.wandb_report import wandb_report

PROGRAM = "lightning-dissect"
DESCRIPTION = (
    "Look into vision models: find the layers whose neurons are to be labelled, label those of a checkpoint, follow "
    "labels through a training, compare runs, have evaluators and people judge labels, and test what judges them."
)

COMMANDS: dict[str, Callable[..., None]] = {
    "layers": layers,
    "dissect": dissect,
    "refine": refine,
    "history": history,
    "compare": compare,
    "dashboard": dashboard,
    "evaluate": evaluate,
    "rating-sheet": rating_sheet,
    "agreement": agreement,
    "sanity-check": sanity_check,
    "wandb-report": wandb_report,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words of the command line after the program's name; those of this process by default. None at all
            ask for help.

    Returns:
        Exit code: 0, or 2 after an error, which is one line on the standard error stream. A reader that stops early,
        such as ``head``, is no error.

    """
    try:
        require_package("jsonargparse", "lightning-dissect[cli]", "The command line")
        words = list(sys.argv[1:] if arguments is None else arguments)
        parsed = _parser().parse_args(words or ["--help"]).as_dict()
        COMMANDS[parsed["command"]](**parsed[parsed["command"]])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ArgumentError, ImportError, OSError, TypeError, ValueError) as error:
        print(f"{PROGRAM}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _parser() -> Any:  # noqa: ANN401 - the type lives in an optional package
    from jsonargparse import ArgumentParser

    class DashedParser(ArgumentParser):
        """Spells options with dashes and positional arguments in capitals."""

        def add_argument(self, *names: str, **settings: Any) -> Any:  # noqa: ANN401
            if not names[0].startswith("-"):
                settings["metavar"] = names[0].upper()
            dashed = (name.replace("_", "-") if name.startswith("--") else name for name in names)
            return super().add_argument(*dashed, **settings)

    parser = DashedParser(prog=PROGRAM, description=DESCRIPTION, exit_on_error=False)
    commands = parser.add_subcommands(dest="command", metavar="COMMAND")
    for name, function in COMMANDS.items():
        about = inspect.cleandoc(function.__doc__ or "").partition("\n\nArgs:")[0]
        command = DashedParser(description=about, exit_on_error=False)
        command.add_function_arguments(function, as_group=False, as_positional=True)
        commands.add_subcommand(name, command, help=about.partition("\n")[0])
    return parser
