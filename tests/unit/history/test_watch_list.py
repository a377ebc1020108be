from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import fisher_exact

from lightning_dissect.history import ALARMS, DissectionHistory, WatchList, curves
from tests.helpers.label_history import history_of


def words(watched, total=100):
    return ["watermark"] * watched + ["cat"] * (total - watched)


def check(*dissections, rule=None, **options):
    history = history_of(*dissections, **options)
    return list((rule or WatchList(["watermark", "text"])).check(history, curves(history)))


def test_the_rise_of_a_watched_concept_is_told_once():
    (alarm,) = check(words(1), words(20))
    assert (alarm.name, alarm.layer, alarm.value, alarm.threshold) == ("watch_list", "", 0.2, 0.01)
    assert "20 of 100" in alarm.text
    assert "watermark" in alarm.text
    assert check(words(1), words(20), words(25)) == []


def test_a_slow_rise_is_found_too():
    rising = [words(count) for count in range(0, 20, 2)]
    raised = [bool(check(*rising[: count + 1])) for count in range(len(rising))]
    assert sum(raised) == 1


def test_the_test_is_fisher_s():
    for found in range(1, 15):
        p_value = fisher_exact([[found, 100 - found], [2, 98]], alternative="greater")[1]
        assert bool(check(words(2), words(found))) == (p_value <= 0.01)


def test_several_earlier_dissections_need_a_smaller_chance():
    found = next(count for count in range(20) if check(words(0), words(count)))
    assert check(*[words(0)] * 6, words(found)) == []


def test_the_share_of_labels_counts_and_not_their_number():
    before = words(1, 20) + ["?cat"] * 380
    assert check(before, words(20, 400)) == []


def test_a_share_may_be_forbidden():
    rule = WatchList("watermark", share=0.1)
    (alarm,) = check(words(11), rule=rule)
    assert alarm.threshold == 0.1
    assert check(words(10), rule=rule) == []
    assert check(words(11), words(12), rule=rule) == []


@pytest.mark.parametrize(
    ("concept", "label", "is_watched"),
    [
        ("watermark", "a WATERMARK", True),
        ("watermarks", "watermark", True),
        ("text", "texture", False),
        ("speech bubble", "speech-bubbles, comic", True),
        ("speech bubble", "bubble speech", False),
        ("glass", "glass", True),
        ("gas", "gas", True),
        ("straße", "STRASSE", True),
        ("水印", "水印", True),
    ],
)
def test_names_are_compared_as_words(concept, label, is_watched):
    assert WatchList([concept]).watches(label) is is_watched


def test_a_near_label_is_watched():
    near = ["copyright"] * 20 + ["watermark"] + ["cat"] * 79
    directions = {"watermark": [1.0, 0.0], "copyright": [0.9, 0.1], "cat": [0.0, 1.0], "rest": [0.0, 0.0]}
    before = ["cat"] * 99 + ["watermark"]
    assert check(before, near, rule=WatchList("watermark"), embeddings=directions) == []
    (alarm,) = check(before, near, rule=WatchList("watermark", distance=0.1), embeddings=directions)
    assert alarm.value == 0.21
    assert check(before, near, rule=WatchList("watermark", distance=0.1)) == []
    assert check(["cat"], ["cat"], rule=WatchList("logo", distance=0.1), embeddings=directions) == []


def test_without_labels_there_is_nothing_to_watch():
    assert check(["?watermark"] * 9, words(9)) == []
    assert check(["?cat"] * 9, ["-"] * 9) == []
    assert WatchList("text").check(DissectionHistory(), curves(DissectionHistory())) == []


def test_false_alarms_are_rarer_than_declared():
    """Labels of neurons that are drawn anew each time, around the same share: the worst case for the test."""
    generator = np.random.default_rng(0)
    template = history_of(words(100, 200))[0]
    rule, raised = WatchList("watermark"), 0
    for _ in range(400):
        is_watched = generator.random((6, 200, 1)) < 0.05
        watermark, cat = (template.concepts.index(name) for name in ("watermark", "cat"))
        snapshots = [replace(template, candidates=np.where(drawn, watermark, cat)) for drawn in is_watched]
        raised += bool(rule.check(snapshots, {}))
    assert raised / 400 <= 0.01


def test_it_is_known_by_name():
    assert ALARMS.resolve("watch_list:watermark,text on a wall") == WatchList("watermark,text on a wall")
    assert WatchList("watermark, text on a wall").watches("text on a wall")


@pytest.mark.parametrize(
    "options", [{"concepts": ""}, {"concepts": []}, {"share": 2}, {"significance": 0}, {"distance": -1}]
)
def test_nonsense_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        WatchList(**{"concepts": ["text"], **options})
