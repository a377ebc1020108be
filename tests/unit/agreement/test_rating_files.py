import csv
import io
import json
import math

import pytest

from lightning_dissect.agreement import Rating, ratings_to_csv, read_ratings
from tests.helpers.small_report import HOSTILE

STRANGE = (*HOSTILE, "+1", "-1", "@me", "'tis", "'=both", "''", "\ttab", "\rreturn", ";semi,colon", ' "quoted" ')
HEAD = "rater,layer,unit,label,answer,seconds,note\n"


def ratings_of(labels):
    return tuple(
        Rating("Ana", "=layer;4", unit, label, "yes", 1.5 if unit % 2 else math.nan, label)
        for unit, label in enumerate(labels)
    )


def same(first, second):
    """Equality under which NaN is NaN."""
    return list(map(repr, first)) == list(map(repr, second))


def written(tmp_path, text, name="ratings.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_text(text, encoding=encoding, newline="")
    return path


def test_every_label_comes_back_from_csv_as_it_was(tmp_path):
    ratings = ratings_of(STRANGE)
    assert same(read_ratings(written(tmp_path, ratings_to_csv(ratings))), ratings)


def test_no_cell_is_a_formula():
    cells = [cell for row in csv.reader(io.StringIO(ratings_to_csv(ratings_of(STRANGE)))) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_a_label_that_was_written_by_hand_keeps_its_apostrophe(tmp_path):
    [rating] = read_ratings(written(tmp_path, HEAD + "ana,fc,0,'tis,yes,,\n"))
    assert rating.label == "'tis"


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_what_a_spreadsheet_saved_again(tmp_path, delimiter):
    ratings = ratings_of(STRANGE)
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter)
    columns = ["label", "answer", "unit", "rater", "layer", "seconds", "mine"]
    writer.writerow(columns)
    for row in csv.DictReader(io.StringIO(ratings_to_csv(ratings).removeprefix("\ufeff"))):
        row |= {"seconds": row["seconds"].replace(".", ","), "answer": row["answer"].upper(), "mine": "x"}
        writer.writerow([row[name] for name in columns])
        writer.writerow([""] * len(columns))
    found = read_ratings(written(tmp_path, buffer.getvalue(), encoding="utf-8-sig"))
    assert same(found, [Rating(*(*vars(rating).values(),)[:6]) for rating in ratings])


def test_several_files_in_the_order_given(tmp_path):
    first = written(tmp_path, HEAD + "ana,fc,0,cat,yes,2,\n", "b.csv")
    record = {"layer": "fc", "unit": 0, "label": "cat", "answer": "no"}
    text = json.dumps({"format": "lightning_dissect ratings 1", "rater": "bo", "ratings": [record]})
    second = written(tmp_path, text, "A.JSON")
    assert [(rating.rater, rating.answer) for rating in read_ratings(first, str(second))] == [
        ("ana", "yes"),
        ("bo", "no"),
    ]
    assert read_ratings() == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ana,fc,0,cat,maybe,,", r"`answer` to be one of .* but got 'maybe'. This is line 4 of '.*ratings.csv'. Save"),
        ("ana,fc,x,cat,yes,,", "`unit` to be a whole number but got 'x'. This is line 4"),
        ("ana,fc,0.5,cat,yes,,", "`unit` to be a whole number but got '0.5'"),
        ("ana,fc,-1,cat,yes,,", "`unit` to be at least 0 but got -1. This is line 4"),
        ("ana,fc,0,cat,yes,soon,", "`seconds` to be a number but got 'soon'. This is line 4"),
        (" ,fc,0,cat,yes,,", "`rater` to be a text that is not empty but got ''. This is line 4"),
        ("ana,fc,0,cat,yes", "Expected line 4 of '.*' to have 7 cells but got 5"),
    ],
)
def test_faults_in_csv_are_named_with_file_line_and_value(tmp_path, line, message):
    path = written(tmp_path, HEAD + 'ana,fc,0,"two\nlines",yes,,\n' + line + "\n")
    with pytest.raises(ValueError, match=message):
        read_ratings(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"to have the columns .* but \['rater', 'layer', 'unit', 'label', 'answer'\] are missing"),
        ("rater,layer,unit,answer\n", r"but \['label'\] are missing"),
    ],
)
def test_csv_of_another_kind(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_ratings(written(tmp_path, text))


def test_another_encoding(tmp_path):
    path = written(tmp_path, HEAD + "ana,fc,0,Müller,yes,,\n", encoding="latin-1")
    with pytest.raises(ValueError, match="to be in UTF-8 but it is not; save it as 'CSV UTF-8'"):
        read_ratings(path)


def test_another_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"Expected `paths` to end in \.csv or \.json but got '.*ratings.xlsx'"):
        read_ratings(tmp_path / "ratings.xlsx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{\n1}", "to be JSON but line 2 is not"),
        ("[]", "to be a file of ratings"),
        ('{"format": "lightning_dissect ratings 1"}', "to be a file of ratings"),
        (["text"], "Expected rating 1 of '.*' to be an object but got 'text'"),
        ([{"layer": "fc"}], r"Expected rating 1 of '.*' .* but \['unit', 'label', 'answer'\] are missing"),
        ([{"layer": 3, "unit": 0, "label": "cat", "answer": "yes"}], "Expected `layer` in rating 1 .* but got 3"),
        (
            [{"layer": "", "unit": [0], "label": "cat", "answer": "yes"}],
            r"whole number but got \[0\]. This is rating 1",
        ),
        ([{"layer": "", "unit": True, "label": "cat", "answer": "yes"}], "whole number but got True"),
        ([{"layer": "", "unit": 0, "label": "cat", "answer": ["no"]}], "`answer` to be one of"),
    ],
)
def test_faults_in_json_are_named(tmp_path, content, message):
    if isinstance(content, list):
        content = json.dumps({"format": "lightning_dissect ratings 1", "rater": "ana", "ratings": content})
    with pytest.raises(ValueError, match=message):
        read_ratings(written(tmp_path, content, "ratings.json"))
