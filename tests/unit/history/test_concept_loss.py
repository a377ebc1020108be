import numpy as np
import pytest
from scipy.stats import poisson

from lightning_dissect.history import ConceptLoss, DissectionHistory, curves
from lightning_dissect.history.concept_loss import expected_losses
from tests.helpers.label_history import history_of

TWENTY = [f"concept {place}" for place in range(20)]


def check(*dissections, rule=None, **options):
    history = history_of(*dissections, **options)
    return list((rule or ConceptLoss()).check(history, curves(history)))


def test_a_sudden_loss_is_told_with_its_numbers():
    (alarm,) = check(TWENTY, TWENTY[:8] + ["-"] * 12)
    assert (alarm.name, alarm.layer, alarm.value, alarm.threshold) == ("concept_loss", "", 8, 10)
    assert alarm.title == "Concepts lost"
    assert "from 20 to 8" in alarm.text


@pytest.mark.parametrize(
    "after",
    [TWENTY, TWENTY[:10] + ["-"] * 10, ["concept 0"] * 9 + TWENTY[9:]],
    ids=["same", "exactly half", "little"],
)
def test_less_than_the_share_is_no_alarm(after):
    assert check(TWENTY, after) == []


def test_a_loss_is_an_event_and_no_state():
    assert check(TWENTY, ["-"] * 20, ["-"] * 20) == []


def test_few_labels_are_not_worth_an_alarm():
    assert check(TWENTY[:5], ["-"] * 5)
    assert check(TWENTY[:4], ["-"] * 4) == []


def test_what_other_images_explain_is_no_alarm():
    after = TWENTY[:8] + ["?a"] * 12
    assert check(TWENTY, after, stability=0.9)
    assert check(TWENTY, after, stability=0.6) == []
    assert poisson.sf(11, 20 * 0.1) <= 0.001 < poisson.sf(11, 20 * 0.4)


def test_a_label_of_two_neurons_is_lost_if_both_lose_it():
    snapshot = history_of(["a", "a", "b", "?c", "-"], stability=0.75)[0]
    assert expected_losses(snapshot, np.arange(5)) == pytest.approx(0.25**2 + 0.25)
    assert expected_losses(snapshot, np.arange(2, 5)) == pytest.approx(0.25)
    assert expected_losses(history_of(["a"])[0], np.arange(1)) == 0


def test_a_layer_raises_its_own_alarm_unless_all_do():
    calm = [f"calm {place}" for place in range(60)]
    (alarm,) = check({"calm": calm, "lost": TWENTY}, {"calm": calm, "lost": ["-"] * 20})
    assert (alarm.layer, alarm.title) == ("lost", "Concepts lost in lost")
    (alarm,) = check({"x": TWENTY, "y": TWENTY}, {"x": ["-"] * 20, "y": ["-"] * 20})
    assert not alarm.layer


def test_a_layer_that_is_no_longer_dissected_is_no_alarm():
    words = [f"calm {place}" for place in range(60)]
    assert check({"x": words, "y": TWENTY}, {"x": words}) == []


def test_nothing_is_lost_at_the_beginning():
    assert check(TWENTY) == []
    assert ConceptLoss().check(DissectionHistory(), curves(DissectionHistory())) == []


@pytest.mark.parametrize("options", [{"share": 0}, {"share": 1}, {"significance": 1.5}, {"least": 0}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ConceptLoss(**options)
