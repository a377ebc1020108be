"""From records to rows, pictures and the data of the page."""

from lightning_dissect.report.change_scalars import change_values, early_stop_warnings
from lightning_dissect.report.evaluation_rows import evaluation_rows
from lightning_dissect.report.evaluator_names import check_evaluator_names
from lightning_dissect.report.montage import jpeg_bytes, layer_montage, montage, neuron_montage
from lightning_dissect.report.page import render_page
from lightning_dissect.report.refinement_page import render_refinement
from lightning_dissect.report.refinement_rows import refinement_rows, trial_rows
from lightning_dissect.report.rows import layer_rows, neuron_rows
from lightning_dissect.report.scalars import key_name, key_names, metric_values, values_of_evaluators

__all__ = [
    "change_values",
    "check_evaluator_names",
    "early_stop_warnings",
    "evaluation_rows",
    "jpeg_bytes",
    "key_name",
    "key_names",
    "layer_montage",
    "layer_rows",
    "metric_values",
    "montage",
    "neuron_montage",
    "neuron_rows",
    "refinement_rows",
    "render_page",
    "render_refinement",
    "trial_rows",
    "values_of_evaluators",
]
