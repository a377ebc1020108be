import pytest

from lightning_dissect.evaluators import EvaluationPlan, ImageSampling


def test_votes_and_cycles():
    assert EvaluationPlan().votes_needed == 1
    assert EvaluationPlan(vote=7, images=ImageSampling(top=7)).votes_needed == 7
    assert [cycle for cycle in range(7) if EvaluationPlan(every_n_dissections=3).is_due(cycle)] == [0, 3, 6]


@pytest.mark.parametrize(
    "settings",
    [
        {"every_n_dissections": 0},
        {"num_neurons": 0},
        {"seconds": 0.0},
        {"num_other_labels": 0},
        {"num_reference_images": 0},
        {"vote": 0},
        {"vote": 6},
        {"vote": "most"},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=f"Expected `{next(iter(settings))}`"):
        EvaluationPlan(**settings)


def test_no_limits():
    assert EvaluationPlan(num_neurons=None, seconds=None).is_due(0)
