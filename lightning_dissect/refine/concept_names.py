"""When two concepts are the same."""


def canonical(concept: str) -> str:
    """Return the form that all spellings of a concept share."""
    return " ".join(concept.casefold().split())
