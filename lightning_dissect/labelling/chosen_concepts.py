"""What a choice of encoder and presence stands for."""

from pathlib import Path

from lightning_dissect.encoders import ENCODERS, EmbeddingCache, ImageTextEncoder
from lightning_dissect.labelling.concept_source import AnnotatedConcepts, ConceptSource, EncodedConcepts
from lightning_dissect.presence import SIGMOID_CONSTANTS, GivenPresence, SigmoidConstants
from lightning_dissect.probe.vocabulary import ConceptVocabulary


def resolve_concepts(
    vocabulary: ConceptVocabulary,
    encoder: str | ImageTextEncoder,
    dirpath: Path | None = None,
    presence: str | Path | SigmoidConstants | GivenPresence = "softmax",
) -> ConceptSource:
    """Return the source that a choice of encoder stands for.

    Args:
        vocabulary: The concepts.
        encoder: An encoder, its registered name, or ``"annotations"`` for the dataset's own annotations.
        dirpath: Folder in which embeddings are kept, ``None`` keeps them in memory.
        presence: How an encoder's similarities become presence: ``"softmax"`` over the concepts, the constants of a
            sigmoid, or ``"sigmoid"`` for the constants in `SIGMOID_CONSTANTS`. Annotations are presence as they are.

    Raises:
        ValueError:
            If ``encoder`` is a string that is not registered, ``presence`` is unknown or the encoder has no published
            constants.

    Example:
        >>> type(resolve_concepts(ConceptVocabulary(("cat", "dog")), "annotations")).__name__
        'AnnotatedConcepts'

    """
    if isinstance(encoder, str) and encoder == "annotations":
        return AnnotatedConcepts(vocabulary)
    constants = resolve_constants(presence, encoder)
    return EncodedConcepts(vocabulary, EmbeddingCache(ENCODERS.resolve(encoder), dirpath), constants)


def resolve_constants(
    presence: str | Path | SigmoidConstants | GivenPresence, encoder: str | ImageTextEncoder
) -> SigmoidConstants | None:
    """Return the constants of the sigmoid that a choice of presence stands for, ``None`` for a softmax.

    Args:
        presence: ``"softmax"``, ``"sigmoid"`` or the constants themselves.
        encoder: The encoder or its registered name.

    Raises:
        ValueError:
            If ``presence`` is something else or the encoder has no published constants.

    Example:
        >>> resolve_constants("sigmoid", "hf_clip:google/siglip-so400m-patch14-384")
        SigmoidConstants(scale=58.0, bias=-0.13)

    """
    if isinstance(presence, SigmoidConstants):
        return presence
    if presence == "softmax":
        return None
    if presence != "sigmoid":
        raise ValueError(
            "Expected `presence` to be 'softmax', 'sigmoid' or SigmoidConstants, or a presence of your own in a "
            f".csv or .npy file or as a GivenPresence, but got {presence!r}."
        )
    if not isinstance(encoder, str) or encoder not in SIGMOID_CONSTANTS:
        raise ValueError(
            f"Expected `encoder` to be one whose constants are published, {list(SIGMOID_CONSTANTS)}, but got "
            f"{encoder!r}. Find its constants with `lightning_dissect.presence.calibrate` and pass them as `presence`."
        )
    return SIGMOID_CONSTANTS[encoder]
