import html as entities

import pytest

from lightning_dissect.report.markdown import escape_markdown, markdown_table

HOSTILE = "<img> *a* _b_ `c` [d](e) | # f \\ & 猫"


def rendered(lines):
    markdown = pytest.importorskip("markdown")
    return markdown.markdown("\n".join(lines), extensions=["markdown.extensions.tables"])


def test_markdown_shows_the_text_itself():
    html = rendered([f"| a |\n| --- |\n| {escape_markdown(HOSTILE)} |"])
    [cell] = [line for line in html.splitlines() if line.startswith("<td>")]
    assert entities.unescape(cell.removeprefix("<td>").removesuffix("</td>")) == HOSTILE
    assert cell.count("<") == 2


def test_a_table_has_a_cell_per_column_and_no_text_breaks_it():
    rows = [{"label": HOSTILE, "mean_quality": 0.123456, "other": 1}, {"label": "a\nb", "mean_quality": 2}]
    lines = markdown_table(["label", "mean_quality"], rows)
    assert lines[0] == "| label | mean-quality |"
    assert lines[2].endswith(" | 0.1235 |")
    assert lines[3] == "| a b | 2 |"
    assert rendered(lines).count("<td") == 4
