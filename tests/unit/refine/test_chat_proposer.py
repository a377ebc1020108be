import pytest

from lightning_dissect.refine.base import ConceptProposer, Proposal, ProposalRequest, ScoredName
from lightning_dissect.refine.chat_proposer import ChatProposer

REQUEST = ProposalRequest((ScoredName("wolf", 2.5),), ("wolf", "fox"), step=3, count=2, seed=11)


class Scripted:
    def __init__(self, reply, key="scripted"):
        self.said, self.key, self.asked = reply, key, []

    def reply(self, messages, seed):
        self.asked.append((list(messages), seed))
        return self.said

    def fingerprint(self):
        return self.key


def test_a_model_is_asked_once_with_the_seed_of_the_request():
    model = Scripted('Packs. <names>["wolf pack", "pack of dogs", "third"]</names>')
    proposer = ChatProposer(model)
    assert isinstance(proposer, ConceptProposer)
    assert proposer.propose(REQUEST) == Proposal(("wolf pack", "pack of dogs"), "Packs.", "scored")
    ((messages, seed),) = model.asked
    assert seed == 11
    assert '"fox"' in messages[-1].content


@pytest.mark.parametrize(("reply", "outcome"), [("I'm sorry, I can't.", "refused"), ("", "unreadable")])
def test_replies_without_concepts_say_why(reply, outcome):
    assert ChatProposer(Scripted(reply)).propose(REQUEST) == Proposal((), reply, outcome)


def test_the_fingerprint_is_that_of_model_and_prompts(monkeypatch):
    keys = {
        ChatProposer(Scripted("a")).fingerprint(),
        ChatProposer(Scripted("b")).fingerprint(),
        ChatProposer(Scripted("a", key="other")).fingerprint(),
        ChatProposer(Scripted("a"), most_used=3).fingerprint(),
    }
    assert len(keys) == 3
    for name in ("TASK", "SEARCH", "SUMMARY", "USED", "EXAMPLE_REASON"):
        with monkeypatch.context() as patch:
            patch.setattr(f"lightning_dissect.refine.prompts.{name}", "another")
            keys.add(ChatProposer(Scripted("a")).fingerprint())
    assert len(keys) == 8


def test_a_model_that_repeats_the_example_says_nothing_of_the_neuron():
    model = Scripted("")
    ChatProposer(model).propose(REQUEST)
    model.said = model.asked[0][0][1].content
    proposal = ChatProposer(model).propose(REQUEST)
    assert (proposal.concepts, proposal.outcome) == ((), "unreadable")
    assert proposal.answer


def test_a_model_may_be_asked_without_an_example():
    model = Scripted("wolf pack")
    proposer = ChatProposer(model, shows_example=False)
    assert proposer.propose(REQUEST).concepts == ("wolf pack",)
    assert [turn.role for turn in model.asked[0][0]] == ["user"]
    assert proposer.fingerprint() != ChatProposer(model).fingerprint()


def test_the_latest_concepts_are_told():
    model = Scripted("")
    ChatProposer(model, most_used=0).propose(REQUEST)
    assert "fox" not in model.asked[0][0][-1].content
    with pytest.raises(ValueError, match="Expected `most_used` to be 0 or above it but got -1"):
        ChatProposer(model, most_used=-1)


def test_a_model_without_memory_of_its_own_is_left_alone():
    ChatProposer(Scripted("")).release()
