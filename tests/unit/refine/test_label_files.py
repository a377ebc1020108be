import math

import pytest

from lightning_dissect.refine import GivenLabel, read_labels
from lightning_dissect.writers import CSVWriter
from tests.helpers.small_report import small_report


def test_labels_of_this_package_are_read_back(tmp_path):
    report = small_report(tmp_path)
    CSVWriter().write(report, [])
    found = read_labels(tmp_path / "descriptions.csv")
    expected = {(neuron.layer, neuron.unit): neuron.label for neuron in report.neurons if neuron.label}
    assert {(label.layer, label.unit): label.label for label in found} == expected
    assert next(label for label in found if label.label == "apple").similarity == pytest.approx(1.5)


def test_a_label_may_hold_commas_slashes_and_capitals_and_columns_may_be_in_any_order(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text('\ufeffunit,other,description,layer\n3,x,"Cat, asleep / at home",fc\n', encoding="utf-8")
    [label] = read_labels(str(file))
    assert label == GivenLabel("fc", 3, "Cat, asleep / at home", label.similarity)
    assert math.isnan(label.similarity)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layer,unit\nfc,1\n", "no \\['description'\\]"),
        ("", "no \\['layer', 'unit', 'description'\\]"),
        ("layer,unit,description\n", "holds none"),
        ("layer,unit,description\nfc,-1,cat\n", "`unit`.*row 1"),
        ("layer,unit,description\nfc,1, \n", "`description`.*row 1"),
        ("layer,unit,description,similarity\nfc,1,cat,much\n", "`similarity`.*'much'"),
        ("layer,unit,description\nfc,1,cat\nfc,1,dog\n", "two for fc 1"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path, text, message):
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_labels(file)
