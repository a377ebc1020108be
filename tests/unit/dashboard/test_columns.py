import base64
import gzip
from dataclasses import replace

import numpy as np
import pytest

from lightning_dissect.dashboard.columns import PEAK, UNIT, pack, packed
from lightning_dissect.history import Snapshot
from tests.helpers.run_history import wandering_run
from tests.helpers.small_report import doubtful_report, evaluated_report, small_report


def unpacked(columns):
    """Read columns as the page does: each begins at the next multiple of eight bytes."""
    content, offset, found = gzip.decompress(base64.b64decode(columns.text)), 0, {}
    for name, kind, shape in columns.layout:
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        found[name] = np.frombuffer(content[offset : offset + size], f"<{kind}").reshape(shape)
        offset += -(-size // 8) * 8
    assert offset == len(content)
    return found


def correlations(column):
    return np.where(column < -UNIT, np.nan, column / UNIT)


def test_columns_come_back_whatever_their_type_and_order_of_bytes():
    columns = {
        "small": np.array([1, 2, 3], np.uint8),
        "swapped": np.array([[1.5, np.nan]], ">f4"),
        "wide": np.arange(6, dtype=np.int64).reshape(2, 3).T,
        "none": np.zeros((0, 4), np.int16),
    }
    found = unpacked(pack(columns))
    for name, column in columns.items():
        np.testing.assert_array_equal(found[name], column, err_msg=name)


def test_the_same_columns_are_the_same_text():
    columns = {"a": np.arange(100)}
    assert pack(columns) == pack(columns)


def test_whole_columns_say_what_the_snapshot_says(tmp_path):
    snapshot = wandering_run(tmp_path, dissections=2)[1]
    found = unpacked(packed(snapshot, is_whole=True))
    np.testing.assert_array_equal(found["candidates"], snapshot.candidates)
    np.testing.assert_array_equal(found["status"], snapshot.status)
    np.testing.assert_allclose(correlations(found["qualities"]), np.clip(snapshot.qualities, -1, 1), atol=1 / UNIT)
    np.testing.assert_allclose(correlations(found["interval"]), np.clip(snapshot.interval, -1, 1), atol=1 / UNIT)
    bits = np.unpackbits(found["contenders"], axis=1)[:, : snapshot.contenders.shape[1]]
    np.testing.assert_array_equal(bits.astype(bool), snapshot.contenders)
    np.testing.assert_array_equal(found["ids"][found["images"]], snapshot.top_images)
    for name, column in (("scores", snapshot.scores), ("activations", snapshot.top_activations)):
        np.testing.assert_allclose(found[name], column, rtol=2**-11)
    for name, column in snapshot.trust.items():
        np.testing.assert_allclose(found[f"trust/{name}"], column, rtol=2**-11)
    np.testing.assert_allclose(found["metric/iou"], snapshot.metrics["iou"], rtol=2**-11)
    np.testing.assert_array_equal(found["verdict/vqa"], snapshot.verdicts["vqa"])
    np.testing.assert_array_equal(found["range"], snapshot.activation_range)


def test_the_highest_bar_is_full_and_no_image_is_invisible(tmp_path):
    snapshot = wandering_run(tmp_path, dissections=1)[0]
    counts = np.array([[0, 1, 100_000], [0, 0, 0]], np.int32)
    short = replace(snapshot, histograms=np.resize(counts, (len(snapshot), 3)))
    bars = unpacked(packed(short, is_whole=True))["histogram"]
    assert bars[:2].tolist() == [[0, 1, PEAK], [0, 0, 0]]


def test_infinite_scores_stay_infinite(tmp_path):
    snapshot = wandering_run(tmp_path, dissections=1)[0]
    scores = snapshot.scores.copy()
    scores[0] = [np.inf, -np.inf, np.nan, 0.0, 1.0]
    found = unpacked(packed(replace(snapshot, scores=scores), is_whole=True))["scores"]
    np.testing.assert_array_equal(found[0], scores[0])


def test_many_concepts_take_more_bits(tmp_path):
    snapshot = wandering_run(tmp_path, dissections=1)[0]
    many = replace(snapshot, candidates=snapshot.candidates + 40_000)
    layout = {name: kind for name, kind, _ in packed(many, is_whole=False).layout}
    assert layout["candidates"] == "i4"
    assert {name: kind for name, kind, _ in packed(snapshot, is_whole=False).layout}["candidates"] == "i2"


def test_a_snapshot_is_packed_once(tmp_path):
    snapshot = wandering_run(tmp_path, dissections=1)[0]
    assert packed(snapshot, is_whole=True) is packed(snapshot, is_whole=True)
    assert len(packed(snapshot, is_whole=False).text) < len(packed(snapshot, is_whole=True).text)


@pytest.mark.parametrize("make", [small_report, doubtful_report, evaluated_report])
def test_reports_without_histograms_or_with_missing_images_are_packed_too(make):
    snapshot = Snapshot.of(make())
    found = unpacked(packed(snapshot, is_whole=True))
    np.testing.assert_array_equal(np.where(found["images"] < 0, -1, found["ids"][found["images"]]), snapshot.top_images)
    assert found["histogram"].shape == (len(snapshot), 0)
