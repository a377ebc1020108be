import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from lightning_dissect.agreement import consensus, label_keys, ratings_to_csv, read_ratings, render_rating_sheet
from lightning_dissect.types import LayerDissection
from tests.helpers.browser import Browser, needs_a_browser
from tests.helpers.small_report import HOSTILE, doubtful_report, labelled, picture, small_report


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def wide_report(**changes):
    """Two layers of twenty labelled neurons, all with pictures."""
    layers = [
        LayerDissection(name, tuple(labelled(name, unit, f"{name} {unit}", 0.5) for unit in range(20)))
        for name in ("early", "late")
    ]
    return small_report(layers=tuple(layers), images={number: picture(number) for number in range(21)}, **changes)


def keys_of(page):
    return [tuple(item[:3]) for item in data_of(page)["neurons"]]


def test_the_policy_admits_this_script_alone_and_no_network():
    page = render_rating_sheet(small_report())
    scripts = re.findall(r"<script>(.*?)</script>", page, re.S)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    assert not re.search(r"https?://", page)


def test_what_people_write_is_text_never_markup():
    page = render_rating_sheet(small_report(name="<i>run</i>"), question='<b>"Right"?</b>', guideline="a & b")
    assert not re.search(r"<(img|i|b)\b", page)
    assert page.count("</script>") == 2
    assert data_of(page)["question"] == '<b>"Right"?</b>'


def test_the_sheet_holds_every_label_and_nothing_that_others_say_of_it():
    report = small_report()
    page = render_rating_sheet(report)
    assert sorted(keys_of(page)) == sorted(label_keys(report))
    assert {len(item) for item in data_of(page)["neurons"]} == {4}
    assert "quality" not in page
    assert "activation" not in json.dumps(data_of(page))


def test_withheld_labels_and_neurons_without_pictures_are_not_asked_for():
    report = doubtful_report()
    assert sorted(keys_of(render_rating_sheet(report))) == [("fc", 0, "cat"), ("fc", 1, "dog")]
    fewer = replace(report, images={0: picture(0)})
    assert keys_of(render_rating_sheet(fewer)) == [("fc", 0, "cat")]


def test_layers_mix_and_the_seed_decides():
    keys = keys_of(render_rating_sheet(wide_report()))
    assert sorted(keys) == sorted(label_keys(wide_report()))
    assert sum(first[0] != second[0] for first, second in pairwise(keys)) > 5
    assert (
        keys
        == keys_of(render_rating_sheet(wide_report(), seed=0))
        != keys_of(render_rating_sheet(wide_report(), seed=1))
    )


def test_a_smaller_number_is_the_beginning_of_a_larger_one():
    keys = keys_of(render_rating_sheet(wide_report()))
    assert keys_of(render_rating_sheet(wide_report(), 7)) == keys[:7]
    assert keys_of(render_rating_sheet(wide_report(), 1000)) == keys


def test_chosen_neurons():
    keys = keys_of(render_rating_sheet(wide_report(), [("late", 3), ("early", 5), ("late", 3)]))
    assert sorted(keys) == [("early", 5, "early 5"), ("late", 3, "late 3")]


def test_pictures_are_there_once_and_whole():
    images = data_of(render_rating_sheet(wide_report()))["images"]
    assert set(images) == {str(number) for number in range(21)}
    width, height, address = images["4"]
    decoded = Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))
    np.testing.assert_array_equal(np.asarray(decoded), picture(4))
    assert decoded.size == (width, height) == (60, 40)
    assert [len(item[3]) for item in data_of(render_rating_sheet(wide_report(), num_images=1))["neurons"]] == [1] * 40


def test_large_pictures_are_reduced_to_what_the_budget_allows():
    report = wide_report()
    report = replace(report, images={number: picture(number, 600, 900) for number in range(21)})
    width, height, address = data_of(render_rating_sheet(report))["images"]["3"]
    assert (width, height) == (448, 299)
    assert address.startswith("data:image/jpeg;base64,")
    assert data_of(render_rating_sheet(report, image_budget=300_000))["images"]["3"][:2] == [192, 128]
    assert data_of(render_rating_sheet(report, image_budget=1))["images"]["3"][:2] == [128, 85]


def test_the_fingerprint_knows_question_neurons_and_images():
    sheets = [
        render_rating_sheet(wide_report()),
        render_rating_sheet(wide_report(), seed=1),
        render_rating_sheet(wide_report(), question="Is it?"),
        render_rating_sheet(wide_report(), guideline="If it is."),
        render_rating_sheet(wide_report(), num_images=1),
    ]
    assert len({data_of(page)["fingerprint"] for page in sheets}) == len(sheets)
    assert sheets[0] == render_rating_sheet(wide_report())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"neurons": 0}, "Expected `neurons` to be greater than 0 but got 0"),
        ({"num_images": 0}, "Expected `num_images` to be greater than 0"),
        ({"image_budget": 0}, "Expected `image_budget` to be greater than 0"),
        ({"neurons": [("late", 3), ("late", 99)]}, r"a label and pictures but got \[\('late', 99\)\]"),
        ({"neurons": []}, r"pairs of layer and unit .* but got \[\]"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        render_rating_sheet(wide_report(), **arguments)


def test_a_report_without_pictures_says_what_to_do():
    with pytest.raises(ValueError, match="has no pictures until its `images` are given again"):
        render_rating_sheet(small_report(images={}))


@pytest.fixture(scope="module")
def started_browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(started_browser):
    """The browser without a memory of earlier tests; it must have had nothing to complain of."""
    yield started_browser
    assert not started_browser.complaints
    started_browser.evaluate("localStorage.clear()")
    started_browser.send("Emulation.clearDeviceMetricsOverride")
    for file in started_browser.downloads.iterdir():
        file.unlink()


def saved(tmp_path, report=None, **options):
    path = tmp_path / "sheet.html"
    path.write_text(render_rating_sheet(report or small_report(), **options), encoding="utf-8")
    return path


def begin(browser, path, name="Ana Müller"):
    browser.open(path)
    browser.type(name)
    browser.press("Enter")
    assert browser.visible("#rate")


def answers_of(ratings):
    return [(rating.layer, rating.unit, rating.label, rating.answer) for rating in ratings]


@needs_a_browser
def test_in_a_browser_a_person_rates_every_label_and_saves(browser, tmp_path):
    path = saved(tmp_path)
    keys = keys_of(path.read_text(encoding="utf-8"))
    assert {key[2] for key in keys} >= set(HOSTILE)
    begin(browser, path)
    given = ["yes", "no", "unsure", "yes", "no", "unsure", "yes", "yes"]
    for place, (answer, key) in enumerate(zip(given, keys, strict=True)):
        assert browser.text("#label") == key[2]
        assert browser.text("#position") == f"{place + 1} / {len(keys)}"
        browser.wait_for("[...document.querySelectorAll('#images img')].every((image) => image.naturalWidth > 0)")
        if place % 2:
            browser.press(answer[0])
        else:
            browser.click(f"[data-answer={answer}]")
    assert browser.visible("#finish")
    assert browser.text("#verdict") == "All done, thank you"
    assert [browser.text(f"#tally-{name}") for name in ("yes", "no", "unsure", "left")] == ["4", "2", "2", "0"]
    assert not browser.visible("#unanswered")
    for kind in ("csv", "json"):
        browser.click(f"#finish [data-save={kind}]")
        file = browser.downloaded(kind)
        assert re.fullmatch(rf"ratings-Ana-Müller-\d{{8}}-\d{{6}}\.{kind}", file.name)
        ratings = read_ratings(file)
        assert answers_of(ratings) == [(*key, answer) for key, answer in zip(keys, given, strict=True)]
        assert {rating.rater for rating in ratings} == {"Ana Müller"}
        assert all(0 <= rating.seconds < 60 for rating in ratings)
    assert list(consensus(read_ratings(file)).values()) == [answer == "yes" for answer in given if answer != "unsure"]
    assert browser.evaluate("document.title") == "Are the labels right? · 8 neurons"
    assert browser.evaluate("document.querySelectorAll('img[onerror]').length") == 0


@needs_a_browser
def test_in_a_browser_one_can_go_back_skip_undo_and_write_notes(browser, tmp_path):
    path = saved(tmp_path, wide_report(), neurons=4)
    keys = keys_of(path.read_text(encoding="utf-8"))
    begin(browser, path)
    browser.press("Tab")
    assert browser.evaluate("getComputedStyle(document.activeElement).outline").endswith("solid 2px")
    browser.press("y", "n")
    assert browser.text("#label") == keys[2][2]
    browser.press("ArrowLeft", "ArrowLeft", "ArrowLeft")
    assert browser.text("#label") == keys[0][2]
    assert browser.evaluate("document.querySelector('[aria-pressed=true]').dataset.answer") == "yes"
    browser.press("u")
    browser.press("z")
    assert browser.text("#label") == keys[0][2]
    assert browser.evaluate("document.querySelector('[aria-pressed=true]').dataset.answer") == "yes"
    browser.click("#undo")
    assert browser.text("#label") == keys[1][2]
    assert browser.evaluate("document.querySelector('[aria-pressed=true]')") is None
    browser.click("#note")
    browser.type("=not sure, yet")
    browser.press("y", "n", "z", "ArrowRight")
    assert browser.text("#label") == keys[1][2]
    assert browser.evaluate("document.getElementById('note').value") == "=not sure, yetynz"
    browser.press("Enter", "n")
    browser.click("#forward")
    browser.press("ArrowRight", "ArrowRight")
    assert browser.text("#verdict") == "2 labels are left"
    browser.press("y")
    browser.click("#unanswered")
    assert browser.text("#label") == keys[2][2]
    browser.click("#back")
    assert browser.evaluate("document.getElementById('note').value") == "=not sure, yetynz"
    browser.click("#rate [data-save=csv]")
    ratings = read_ratings(browser.downloaded("csv"))
    assert [(*rating.key, rating.answer, rating.note) for rating in ratings] == [
        (*keys[0], "yes", ""),
        (*keys[1], "no", "=not sure, yetynz"),
    ]


@needs_a_browser
def test_in_a_browser_answers_outlast_the_page_for_each_rater_and_sheet(browser, tmp_path):
    path = saved(tmp_path, wide_report(), neurons=5)
    begin(browser, path)
    browser.press("y", "n")
    browser.reload()
    assert browser.visible("#start")
    assert browser.text("#known") == "Go on as Ana Müller 2 of 5"
    browser.click("#known button")
    assert browser.text("#position") == "3 / 5"
    assert browser.evaluate("document.getElementById('progress').value") == 2
    browser.click("#rater")
    browser.evaluate("document.getElementById('name').select()")
    browser.type("  Bo ")
    browser.click("#begin button")
    assert browser.text("#position") == "1 / 5"
    browser.press("u")
    browser.reload()
    assert browser.text("#known") == "Go on as Ana Müller 2 of 5Go on as Bo 1 of 5"
    other = tmp_path / "other.html"
    other.write_text(render_rating_sheet(wide_report(), 5, question="Another?"), encoding="utf-8")
    browser.open(other)
    assert browser.text("#known") == ""


@needs_a_browser
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_in_a_browser_a_saved_file_is_taken_over(browser, tmp_path, kind):
    path = saved(tmp_path)
    keys = keys_of(path.read_text(encoding="utf-8"))
    begin(browser, path)
    browser.press(*"ynuynu")
    browser.click(f"#rate [data-save={kind}]")
    file = browser.downloaded(kind)
    before = answers_of(read_ratings(file))
    assert len(before) == 6
    browser.evaluate("localStorage.clear()")
    browser.reload()
    assert browser.text("#known") == ""
    browser.choose_file("#file", file)
    browser.wait_for("!document.getElementById('rate').hidden")
    assert browser.text("#rater") == "Ana Müller"
    assert browser.text("#position") == f"7 / {len(keys)}"
    file.unlink()
    browser.press("y")
    browser.reload()
    browser.click("#known button")
    browser.click(f"#rate [data-save={kind}]")
    assert answers_of(read_ratings(browser.downloaded(kind))) == [*before, (*keys[6], "yes")]


@needs_a_browser
def test_in_a_browser_other_spreadsheets_and_other_files(browser, tmp_path):
    path = saved(tmp_path)
    browser.open(path)
    broken, foreign, spreadsheet = (tmp_path / name for name in ("broken.json", "foreign.csv", "again.csv"))
    broken.write_text("{")
    foreign.write_text("rater,layer,unit,label,answer\nana,fc,0,other,yes\n")
    for file, message in ((broken, "broken.json cannot be taken over: "), (foreign, "no ratings of this sheet")):
        browser.choose_file("#file", file)
        browser.wait_for(f"document.getElementById('trouble').textContent.includes({json.dumps(message)})")
    label = HOSTILE[1].replace('"', '""')
    spreadsheet.write_text(f'label;answer;unit;seconds;layer;rater\n"{label}";no;1;"2,5";body.conv;bo\n;;;;;\n')
    browser.choose_file("#file", spreadsheet)
    browser.wait_for("!document.getElementById('rate').hidden")
    browser.click("#rate [data-save=json]")
    [rating] = read_ratings(browser.downloaded("json"))
    assert (rating.rater, rating.key, rating.answer, rating.seconds) == ("bo", ("body.conv", 1, HOSTILE[1]), "no", 2.5)


@needs_a_browser
def test_in_a_browser_csv_is_the_one_that_the_library_writes(browser, tmp_path):
    begin(browser, saved(tmp_path))
    browser.press(*"yyyyyyyy")
    browser.click("#finish [data-save=csv]")
    file = browser.downloaded("csv")
    assert list(map(repr, read_ratings(file))) == list(map(repr, read_ratings(_again(file, tmp_path))))
    text = file.read_bytes().decode("utf-8")
    assert text.startswith("\ufeffrater,layer,unit,label,answer,seconds,note\r\n")
    assert "'=HYPERLINK(1)" in text


def _again(file, tmp_path):
    path = tmp_path / "again.csv"
    path.write_text(ratings_to_csv(read_ratings(file)), encoding="utf-8", newline="")
    return path


@needs_a_browser
@pytest.mark.parametrize("size", [(390, 844), (1280, 800), (1920, 1080)])
def test_in_a_browser_everything_fits_the_screen(browser, tmp_path, size):
    path = saved(tmp_path)
    browser.show_as(*size)
    begin(browser, path)
    for _ in range(8):
        overflow = browser.evaluate(
            "[document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]"
        )
        assert max(overflow) <= 0
        edges = browser.evaluate(
            "[...document.querySelectorAll('#images img, #rate button')].map((node) => node.getBoundingClientRect())"
            ".map(({ left, right, top, bottom }) => [left, innerWidth - right, top, innerHeight - bottom])"
        )
        assert min(min(edge) for edge in edges) > -0.5
        browser.press("u")


@needs_a_browser
def test_in_a_browser_that_keeps_nothing_the_sheet_says_so(browser, tmp_path):
    script = browser.send(
        "Page.addScriptToEvaluateOnNewDocument",
        source="Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } });",
    )
    begin(browser, saved(tmp_path))
    assert not browser.evaluate("document.getElementById('forgetful').hidden")
    browser.press("y")
    assert browser.text("#position") == "2 / 8"
    browser.send("Page.removeScriptToEvaluateOnNewDocument", **script)
    browser.reload()
