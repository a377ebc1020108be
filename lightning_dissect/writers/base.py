"""Writers: what takes a report to an output."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.registry import Registry
from lightning_dissect.types import DissectionReport


@runtime_checkable
class ReportWriter(Protocol):
    """Takes a report to one kind of output.

    Example:
        >>> class Printer:
        ...     def write(self, report: DissectionReport, loggers: Sequence[Any]) -> None:
        ...         print(f"epoch {report.epoch}: {report.num_images} images")
        >>> isinstance(Printer(), ReportWriter)
        True
        >>> Printer().write(DissectionReport(epoch=1, step=10, cycle=1, layers=(), num_images=9), loggers=[])
        epoch 1: 9 images

    """

    def write(self, report: DissectionReport, loggers: Sequence[Any]) -> None:
        """Write a report.

        Args:
            report: The dissection to write.
            loggers: The loggers of the run; a writer uses those that it knows, by what they can do.

        """
        ...


@runtime_checkable
class RefinementWriter(Protocol):
    """Takes what a search for labels found to one kind of output; a `ReportWriter` may be one too.

    Example:
        >>> class Printer:
        ...     def write_refinement(self, report: RefinementReport, loggers: Sequence[Any]) -> None:
        ...         print(f"epoch {report.epoch}: {len(report.neurons)} neurons")
        >>> isinstance(Printer(), RefinementWriter)
        True

    """

    def write_refinement(self, report: RefinementReport, loggers: Sequence[Any]) -> None:
        """Write a report.

        Args:
            report: What the search found.
            loggers: The loggers of the run; a writer uses those that it knows, by what they can do.

        """
        ...


WRITERS: Registry[ReportWriter] = Registry("writer")
