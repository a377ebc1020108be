import json
import math
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise

import pytest

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.refine.base import NeedsSurroundings, Proposal
from lightning_dissect.refine.refinement import ConceptRefinement
from lightning_dissect.refine.search import RefinementTarget
from lightning_dissect.refine.spending import SearchBudget
from tests.helpers.word_world import WORDS, Neighbours, Painter, Reader, WordEncoder, surroundings, unit

UNITS = [unit("single", word) for word in WORDS[:6]] + [unit("dead"), unit("random")]


def target(place, *candidates):
    return RefinementTarget("units", place, candidates)


def refined(targets, units=UNITS, dirpath=None, reader=None, around=None, **settings):
    settings = {"proposer": Neighbours(), "generator": Painter(), "random_concepts": 2, **settings}
    chosen = ConceptRefinement(**settings)
    return chosen.refine(targets, reader or Reader(units, 0.1), around or surroundings(), dirpath=dirpath)


def test_the_word_that_a_neuron_sees_is_found_beyond_the_first_label():
    found = refined([target(0, "bar"), target(1, "dop")], proposals=3).labels
    for place, start in enumerate(["bar", "dop"]):
        label = found["units", place]
        assert label.label == WORDS[place]
        assert label.start == start
        assert label.judged.auc > 0.9
        assert label.judged.auc > label.start_judged.auc
        assert label.q_value < 0.05


def test_the_running_best_never_falls_and_steps_are_numbered():
    label = refined([target(0, "bar", "dop", "kin")], proposals=2).labels["units", 0]
    best = label.running_best
    assert all(later >= earlier for earlier, later in pairwise(best))
    assert [trial.origin for trial in label.trials][:3] == ["label", "vocabulary", "vocabulary"]
    steps = [trial.step for trial in label.trials]
    assert steps == sorted(steps)
    assert label.trials[-1].origin in ("summary", "bank")
    assert label.best.score == best[-1]
    assert label.trials[0].answer == ""
    assert {trial.answer for trial in label.trials if trial.origin == "proposal"} == {"because"}


def test_scores_are_standard_deviations_above_the_control_images():
    around = surroundings()
    reader = Reader(UNITS, 0.1)
    trial = refined([target(0, "ban")], reader=reader, around=around, steps=1).labels["units", 0].trials[0]
    control = reader.read(around.pool.images[around.pool.rows("search")])["units"][:, 0].double()
    painted = reader.read(Painter().generate("ban", 5, "search"))["units"][:, 0].double()
    assert trial.score == pytest.approx(((painted.mean() - control.mean()) / control.std()).item())


def test_a_concept_that_was_drawn_for_one_neuron_is_free_for_all():
    painter = Painter()
    targets = [target(place, "ban", "dop") for place in range(6)]
    found = refined(targets, generator=painter, random_concepts=6, patience=9).labels
    searched = [concept for concept, purpose in painter.asked if purpose == "search"]
    assert len(set(searched)) == len(searched)
    assert sum(label.cost.images for label in found.values()) == 5 * len(searched)
    assert found["units", 5].cost.images < found["units", 0].cost.images
    assert found["units", 5].cost.lookups > 5
    for label in found.values():
        trials = [trial for trial in label.trials if trial.outcome == "scored"]
        assert label.cost.images == sum(trial.new_images for trial in trials)
        assert label.cost.lookups == sum(not trial.new_images for trial in trials)
        assert label.cost.calls == len({(t.step, t.origin) for t in trials if t.origin in ("proposal", "summary")})


def test_what_later_neurons_have_drawn_is_looked_up_at_the_end():
    found = refined([target(0, "rox"), target(1, "ban")], steps=1, random_concepts=0, proposals=1).labels
    first = found["units", 0]
    assert first.trials[-1].origin == "bank"
    assert first.label == "ban"
    assert first.trials[-1].new_images == 0


def test_repeats_are_noted_and_cost_nothing():
    again = [Proposal(("BAN",)), Proposal(("ban ",)), Proposal(("dop", "Dop"))]
    label = refined([target(0, "ban")], proposer=Neighbours(again), steps=1, proposals=2, random_concepts=0).labels[
        "units", 0
    ]
    repeats = [trial for trial in label.trials if trial.outcome == "repeat"]
    assert [trial.concept for trial in repeats] == ["BAN", "ban", "Dop"]
    assert not any(trial.new_images or trial.image_ids for trial in repeats)
    assert label.cost.images == 5 * sum(trial.outcome == "scored" for trial in label.trials)


def test_answers_without_a_concept_are_asked_for_again_and_noted():
    answers = [Proposal((), "no tags"), Proposal((), "I cannot", "refused"), Proposal(("dop",))]
    proposer = Neighbours(answers)
    label = refined([target(0, "bar")], proposer=proposer, steps=1).labels["units", 0]
    assert [(trial.outcome, trial.answer) for trial in label.trials if not trial.concept] == [
        ("unreadable", "no tags"),
        ("refused", "I cannot"),
    ]
    assert label.cost.calls == 4
    assert len({request.seed for request in proposer.requests}) == 4


def test_a_proposer_that_says_nothing_useful_does_not_stop_the_search():
    proposer = Neighbours([Proposal((), "", "unreadable")] * 99)
    label = refined([target(0, "ban")], proposer=proposer, steps=2, retries=1).labels["units", 0]
    assert label.label == "ban"
    assert label.stopped == "steps"
    assert label.cost.calls == 6


def test_a_proposer_that_cannot_be_reached_is_asked_once():
    proposer = Neighbours([ConnectionError("nobody there")] * 9)
    found = refined([target(0, "ban"), target(1, "bap")], proposer=proposer).labels
    assert len(proposer.requests) == 1
    for place, label in enumerate(found.values()):
        assert label.stopped == "unreachable"
        assert label.label == WORDS[place]
        assert "nobody there" in label.trials[-1].answer


def test_dead_neurons_are_not_scorable_and_ties_never_crash():
    label = refined([target(6, "ban")]).labels["units", 6]
    assert (label.label, label.stopped, label.trials, label.best) == ("", "not scorable", (), None)
    assert label.judged is None
    assert math.isnan(label.q_value)


def test_a_neuron_that_sees_nothing_gets_no_label():
    units = [unit("random") for _ in range(20)]
    found = refined([target(place, "ban") for place in range(20)], units, steps=4).labels
    assert sum(bool(label.label) for label in found.values()) <= 2


def test_concepts_may_hold_commas_slashes_and_capitals():
    names = ("ban, dop", "ban/dop", 'Ban "dop"', "<b>ban</b>")
    proposer = Neighbours([Proposal(names)])
    label = refined([target(0, "kin")], proposer=proposer, steps=1, proposals=4).labels["units", 0]
    assert [trial.concept for trial in label.trials if trial.origin == "proposal"] == list(names)


def test_concepts_without_images_fail_alone():
    proposer = Neighbours([Proposal(("unpaintable",)), Proposal(("ban",))])
    label = refined([target(0, "bar")], proposer=proposer, steps=2, judging_images=8).labels["units", 0]
    failed = next(trial for trial in label.trials if trial.concept == "unpaintable")
    assert failed.outcome == "failed"
    assert "Painter" in failed.answer
    assert label.label == "ban"
    start = refined([target(0, "unpaintable")], steps=1).labels["units", 0]
    assert start.start_judged is None


def test_a_search_ends_where_steps_bring_nothing_better():
    label = refined([target(0, "ban")], patience=2).labels["units", 0]
    assert label.stopped == "converged"
    assert max(trial.step for trial in label.trials) == 3


@pytest.mark.parametrize("calls", [1, 3])
def test_the_budget_of_calls_is_kept(calls):
    proposer = Neighbours()
    found = refined(
        [target(0, "bar"), target(1, "dop")], proposer=proposer, budget=SearchBudget(calls=calls), patience=9
    ).labels
    assert len(proposer.requests) == calls
    assert {label.stopped for label in found.values()} == {"budget"}
    assert all(label.judged is not None for label in found.values())


@pytest.mark.parametrize("images", [25, 47, 80, 200])
def test_the_budget_of_images_is_kept_and_what_was_searched_is_judged(images):
    painter = Painter()
    targets = [target(place, "bar") for place in range(4)]
    found = refined(targets, generator=painter, judging_images=10, budget=SearchBudget(images=images)).labels
    made = sum(5 if purpose == "search" else 10 for _, purpose in painter.asked)
    assert made <= images
    assert made == sum(label.cost.images + label.cost.judging_images for label in found.values())
    assert found
    assert all(label.judged is not None for label in found.values() if label.best)


def test_the_budget_of_seconds_is_kept():
    assert refined([target(0, "bar")], budget=SearchBudget(seconds=1e-9)).labels == {}


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [0, 3, 7, 11])
def test_a_search_that_was_killed_goes_on_to_the_same_result(tmp_path, after):
    class Mortal(Neighbours):
        def propose(self, request):
            if len(self.requests) == after:
                raise Killed
            return super().propose(request)

    targets = [target(place, "bar", "dop") for place in range(3)]
    settings = {"proposals": 2, "patience": 4}
    whole = refined(targets, dirpath=tmp_path / "whole", **settings)
    with pytest.raises(Killed):
        refined(targets, dirpath=tmp_path / "killed", proposer=Mortal(), **settings)
    with (tmp_path / "killed" / "history.jsonl").open("a") as file:
        file.write('{"kind": "answer", "key": "torn')
    proposer, painter = Neighbours(), Painter()
    resumed = refined(targets, dirpath=tmp_path / "killed", proposer=proposer, generator=painter, **settings)
    assert resumed.labels == whole.labels
    assert len(proposer.requests) == sum(label.cost.calls for label in whole.labels.values()) - after
    assert lines_of(tmp_path / "killed" / "history.jsonl")[1:] == lines_of(tmp_path / "whole" / "history.jsonl")[1:]
    assert resumed.pictures.keys() == whole.pictures.keys()


def test_a_search_is_not_continued_with_other_weights(tmp_path):
    refined([target(0, "bar")], dirpath=tmp_path)
    proposer, painter = Neighbours(), Painter()
    refined([target(0, "bar")], UNITS[::-1], dirpath=tmp_path, proposer=proposer, generator=painter)
    assert proposer.requests
    assert ("bar", "search") in painter.asked


def test_the_history_holds_every_trial(tmp_path):
    label = refined([target(0, "bar")], dirpath=tmp_path).labels["units", 0]
    trials = [line for line in lines_of(tmp_path / "history.jsonl") if line.get("kind") == "trial"]
    assert [line["concept"] for line in trials] == [trial.concept for trial in label.trials]
    assert [line.get("score") for line in trials] == [None if math.isnan(t.score) else t.score for t in label.trials]


def test_of_concepts_that_are_as_good_the_one_with_fewest_words_is_chosen():
    proposer = Neighbours([Proposal(("ban bap bar", "ban", "bap"))])
    label = refined([target(0, "dop")], proposer=proposer, steps=1, proposals=3).labels["units", 0]
    assert {trial.concept for trial in label.trials if trial.score > label.best.score - 0.5} == {"ban", "ban bap bar"}
    assert label.label == "ban"


def test_requests_show_a_bounded_bank_and_all_that_was_tried():
    proposer = Neighbours()
    label = refined(
        [target(0, "bar", *WORDS[6:12])], proposer=proposer, bank_size=3, proposals=2, patience=9, start_concepts=7
    ).labels["units", 0]
    last = proposer.requests[-1]
    assert last.is_summary
    assert len(last.scored) == 3
    assert len(last.tried) == len(label.trials) - 1
    assert [name.score for name in last.scored] == sorted((name.score for name in last.scored), reverse=True)


def test_judging_images_may_come_from_another_generator():
    judge = Painter()
    label = refined([target(0, "ban")], judging_generator=judge, steps=1).labels["units", 0]
    assert {purpose for _, purpose in judge.asked} == {"judging"}
    assert label.judged.num_synthetic == 30
    assert label.judged.num_control == 100


def test_who_needs_surroundings_is_shown_them():
    class Curious(Neighbours):
        def enter(self, around):
            self.around = around

    proposer, around = Curious(), surroundings(WORDS[:9])
    assert isinstance(proposer, NeedsSurroundings)
    refined([target(0, "ban")], proposer=proposer, around=around, steps=1)
    assert proposer.around is around


@pytest.mark.parametrize("failure", [None, RuntimeError("no words")])
def test_models_give_their_memory_back_however_a_search_ends(failure):
    class Heavy(Neighbours):
        released = 0

        def release(self):
            self.released += 1

    proposer = Heavy([failure] if failure else None)
    with pytest.raises(RuntimeError, match="no words") if failure else nullcontext():
        refined([target(0, "ban")], proposer=proposer, steps=1)
    assert proposer.released == 1


def test_the_same_seeds_give_the_same_result():
    assert refined([target(0, "bar")]).labels == refined([target(0, "bar")]).labels


def test_a_target_that_was_not_recorded_is_refused():
    for wrong in (RefinementTarget("fc", 0), target(8), target(-1)):
        with pytest.raises(ValueError, match="8 units of units"):
            refined([wrong])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, 0) for name in ("proposals", "start_concepts", "bank_size", "patience", "search_images")),
        *(
            ("steps", -1),
            ("retries", -1),
            ("bank_concepts", -1),
            ("random_concepts", -1),
            ("further_senses", -1),
            ("judging_images", 0),
        ),
        *(("false_discovery_rate", 0.0), ("false_discovery_rate", 1.0)),
    ],
)
def test_a_setting_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}`"):
        ConceptRefinement(proposer=Neighbours(), generator=Painter(), **{name: value})


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="concept proposer"):
        ConceptRefinement(proposer="nobody", generator=Painter())
    with pytest.raises(ValueError, match="image generator"):
        ConceptRefinement(proposer=Neighbours(), generator="nothing")


def test_without_steps_labels_are_only_judged():
    painter, proposer = Painter(), Neighbours()
    settings = {"steps": 0, "start_concepts": 1, "bank_concepts": 0, "random_concepts": 0}
    targets = [target(0, "ban", "dop"), target(1, "dop")]
    found = refined(targets, proposer=proposer, generator=painter, **settings).labels
    assert proposer.requests == []
    assert [concept for concept, _ in painter.asked] == ["ban", "dop"] * 2
    assert found["units", 0].judged == found["units", 0].start_judged
    assert found["units", 0].judged.auc > 0.9
    assert [label.label for label in found.values()] == ["ban", ""]


def seeing(*words, count=200, known=WORDS):
    """Return surroundings with an encoder and a hierarchy of the first letters above some words."""
    above = {word: (word[:2],) for word in words}
    cache = EmbeddingCache(WordEncoder())
    return replace(surroundings(known, count), cache=cache, words=ConceptVocabulary(words, hierarchy=above))


KINDS_SEEN = (*WORDS[:2], *WORDS[6:])


def test_an_encoder_leads_on_to_what_takes_in_all_that_a_neuron_sees():
    units = [unit("or", "ban", "bap"), unit("single", "ban")]
    targets = [target(0, "ban"), target(1, "ban")]
    settings = {"generator": "retrieval", "random_concepts": 0, "false_discovery_rate": 0.3}
    wide, narrow = refined(targets, units, around=seeing(*KINDS_SEEN, count=600), **settings).labels.values()
    assert (wide.label, narrow.label) == ("ba", "ban")
    assert wide.trials[-1].origin == "superclass"
    assert wide.trials[-1].image_ids
    assert "superclass" not in {trial.origin for trial in narrow.trials}


def test_an_encoder_leads_on_to_the_other_sense():
    around = seeing(*WORDS)
    proposer = Neighbours([Proposal(("bap",))] * 9)
    label = refined(
        [target(0, "ban")], [unit("or", "ban", "rox")], around=around, proposer=proposer, steps=1, random_concepts=0
    ).labels["units", 0]
    found = [trial.concept for trial in label.trials if trial.origin == "unexplained"]
    assert found == ["rox"]
    assert sorted(sense.concepts[0] for sense in label.senses) == ["ban", "rox"]
    alone = refined(
        [target(0, "ban")], [unit("or", "ban", "rox")], around=around, proposer=Neighbours(), further_senses=0, steps=1
    ).labels["units", 0]
    assert "unexplained" not in {trial.origin for trial in alone.trials}


def test_without_steps_an_encoder_changes_no_label():
    settings = {"steps": 0, "start_concepts": 1, "bank_concepts": 0, "random_concepts": 0}
    label = refined([target(0, "bap ban")], around=seeing(*WORDS), **settings).labels["units", 0]
    assert label.concept == "bap ban"
    assert len(label.trials) == 1


def test_where_no_image_is_left_the_answer_is_what_was_drawn():
    units = [unit("or", "ban", "bap")]
    budget = SearchBudget(images=2 * 30 + 5)
    around = seeing(*KINDS_SEEN, count=600)
    label = refined([target(0, "ban")], units, around=around, budget=budget, random_concepts=0).labels["units", 0]
    assert label.stopped == "budget"
    assert [trial.concept for trial in label.trials] == [label.concept] == ["ban"]


def test_what_was_joined_for_another_neuron_is_not_taken_from_the_bank():
    first = Neighbours([Proposal(("ban and dop",))])
    found = refined(
        [target(0, "ban"), target(1, "kin")], [unit("or", "ban", "dop")] * 2, proposer=first, steps=1
    ).labels
    assert "ban and dop" in {trial.concept for trial in found["units", 0].trials}
    assert "ban and dop" not in {trial.concept for trial in found["units", 1].trials}
    assert "ban" in {trial.concept for trial in found["units", 1].trials if trial.origin == "bank"}


def test_words_beyond_the_vocabulary_are_known_to_all():
    class Curious(Neighbours):
        def enter(self, surroundings):
            self.seen = surroundings.lexicon

    proposer = Curious()
    refined([target(0, "ban")], proposer=proposer, words=["elk", "ban"], steps=1)
    assert proposer.seen.concepts[:2] == ("elk", "ban")
    assert set(proposer.seen.concepts) == {"elk", *WORDS}
    with pytest.raises(ValueError, match="nothing-of-the-kind"):
        ConceptRefinement(proposer=Neighbours(), generator=Painter(), words="nothing-of-the-kind")


def test_the_order_of_targets_does_not_change_what_is_judged():
    targets = [target(place, "ban", "bap") for place in range(2)]
    forwards, backwards = refined(targets, steps=3).labels, refined(targets[::-1], steps=3).labels
    for key, label in forwards.items():
        assert label.start_judged == backwards[key].start_judged
