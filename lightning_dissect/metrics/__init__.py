"""Metrics: what judges labels."""
