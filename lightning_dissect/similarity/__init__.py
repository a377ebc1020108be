"""Similarity functions: what chooses labels."""
