"""A language model that proposes concepts from the scores of others."""

from dataclasses import dataclass, replace

from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.refine.base import Proposal, ProposalRequest, Releasable
from lightning_dissect.refine.chat_model import ChatModel
from lightning_dissect.refine.prompts import EXAMPLE_REASON, EXAMPLE_SCORES, conversation
from lightning_dissect.refine.reply_reading import read_reply


@dataclass(frozen=True)
class ChatProposer:
    """Asks a language model which concept comes next, as LINE does.

    The model is told the concepts of the request from high to low score and those it must not name again, as quoted
    data, and answers in a form that small models keep to; see `conversation` and `read_reply`. Its answer is never
    trusted: it becomes short concepts on one line, or none. Very small models repeat the example that they are shown
    word by word; such a reply is unreadable, and they may do better without it.

    Args:
        model: The language model.
        most_used: Most concepts it is told that were tried before, besides those with a score; the latest are told.
        shows_example: Whether it is shown an example with its answer.

    Raises:
        ValueError:
            If ``most_used`` is negative.

    Example:
        >>> from lightning_dissect.refine.base import ScoredName
        >>> class Model:
        ...     def reply(self, messages, seed):
        ...         return 'Both live in packs. <names>["wolf pack"]</names>'
        ...     def fingerprint(self):
        ...         return "model"
        >>> request = ProposalRequest((ScoredName("wolf", 2.5), ScoredName("dog", 1.5)), ("wolf", "dog"), step=1)
        >>> ChatProposer(Model()).propose(request)
        Proposal(concepts=('wolf pack',), answer='Both live in packs.', outcome='scored')

    References:
        Zaigrajew et al., LLM-based Iterative Neuron Explanations, 2026. https://arxiv.org/abs/2604.08039

    """

    model: ChatModel
    most_used: int = 60
    shows_example: bool = True

    def __post_init__(self) -> None:
        if self.most_used < 0:
            raise ValueError(f"Expected `most_used` to be 0 or above it but got {self.most_used}.")

    def propose(self, request: ProposalRequest) -> Proposal:
        """See `ConceptProposer.propose`.

        Args:
            request: What is known of the neuron.

        Raises:
            OSError:
                If the model cannot be reached.

        """
        turns = conversation(request, self.most_used, self.shows_example)
        proposal = read_reply(self.model.reply(turns, request.seed), request.count)
        if EXAMPLE_REASON in proposal.answer:
            return replace(proposal, concepts=(), outcome="unreadable")
        return proposal

    def fingerprint(self) -> str:
        """Return a key of the model, of the prompts and of what they show."""
        requests = [
            ProposalRequest(EXAMPLE_SCORES, ("mesh",), step=1, is_summary=is_summary) for is_summary in (False, True)
        ]
        turns = [turn for request in requests for turn in conversation(request, 1, self.shows_example)]
        return fingerprint(self.model.fingerprint(), [turn.content for turn in turns], self.most_used)

    def release(self) -> None:
        """Give back the memory of a model that holds any."""
        if isinstance(self.model, Releasable):
            self.model.release()
