"""The command that makes a Weights & Biases Report of a saved run."""

from lightning_dissect.history import DissectionHistory
from lightning_dissect.writers import read_alarms
from lightning_dissect.writers.wandb_report import build_report


def wandb_report(
    run: str, *, entity: str, project: str, run_id: str, title: str = "What the neurons see", draft: bool = False
) -> None:
    """Make a W&B Report of a run: its curves, alarms, best and worst neurons, concepts gained and lost, settings.

    Numbers come from the history on disk; curves, images and tables are those that the run has logged to W&B, so that
    an offline run has to be synchronised first. Printed is the address of the report. It needs the extra
    lightning-dissect[wandb-report], and "wandb login".

    Args:
        run: The folder of the run's reports, in which the folder history lies.
        entity: User or team to which the project belongs.
        project: Project of the run.
        run_id: Id of the run, the last part of its address.
        title: Title of the report.
        draft: Whether it is saved as a draft, which only its author sees.

    """
    report = build_report(
        DissectionHistory.load(run),
        entity=entity,
        project=project,
        run_id=run_id,
        title=title,
        alarms=read_alarms(run),
    )
    try:
        report.save(draft=draft)
        address = report.url
    except Exception as error:
        raise ValueError(
            f"Expected W&B to take the report but got {type(error).__name__}: {error}. "
            f'Is there a project {entity}/{project}, and has "wandb login" been called?'
        ) from error
    print(address)
