"""The page of a run: how its neurons came to their labels."""

from lightning_dissect.dashboard.dashboard import render_dashboard
from lightning_dissect.dashboard.gallery import Gallery, PictureSource

__all__ = ["Gallery", "PictureSource", "render_dashboard"]
