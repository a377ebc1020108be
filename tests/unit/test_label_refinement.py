import math
from dataclasses import replace

from lightning_dissect.label_refinement import ConceptTrial, CoSyScore, LabelRefinement, RefinementCost, Sense


def trial(concept, score=math.nan, outcome="scored"):
    return ConceptTrial(1, "proposal", outcome, concept, score)


def test_the_running_best_never_falls_and_skips_what_was_not_scored():
    trials = (
        trial("a", 1.0),
        trial("a", outcome="repeat"),
        trial("b", 0.5),
        trial("", outcome="refused"),
        trial("c", 2.0),
    )
    found = LabelRefinement("fc", 0, "c", "c", "a", trials, "steps")
    assert found.running_best == (1.0, 1.0, 2.0)
    assert found.best == trials[-1]


def test_of_equal_scores_the_first_is_best():
    assert LabelRefinement("fc", 0, "a", "a", "a", (trial("a", 1.0), trial("b", 1.0)), "steps").best.concept == "a"


def test_a_search_without_a_score_has_no_best():
    found = LabelRefinement("fc", 0, "", "", "", (trial("", outcome="unreadable"),), "not scorable")
    assert found.best is None
    assert found.running_best == ()


def test_seconds_do_not_count_when_searches_are_compared():
    found = LabelRefinement("fc", 0, "a", "a", "a", (), "steps", cost=RefinementCost(images=5, seconds=1.0))
    assert found == replace(found, cost=RefinementCost(images=5, seconds=2.0))
    assert found != replace(found, cost=RefinementCost(images=6, seconds=1.0))


def test_a_score_without_a_number_is_of_a_neuron_that_cannot_be_scored():
    score = CoSyScore(0.5, 0.0, 0.0, 1.0, 1.0, (0.4, 0.6), (-1.0, 1.0), 4, 2)
    assert score.is_scorable
    assert not replace(score, auc=math.nan).is_scorable


def test_images_of_the_best_trials_of_the_judged_concept_and_of_the_senses_are_shown():
    trials = [ConceptTrial(1, "proposal", "scored", str(place), place, image_ids=(place,)) for place in range(9)]
    senses = (Sense(("x",), 1.0, (20, 21)),)
    found = LabelRefinement("fc", 0, "1", "1", "0", tuple(trials), "steps", senses=senses)
    assert [trial.concept for trial in found.shown_trials] == ["8", "7", "6", "5", "4", "3"]
    assert found.shown_images == {8, 7, 6, 5, 4, 3, 1, 20, 21}
