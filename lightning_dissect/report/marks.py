"""Frames with a tick or a cross, drawn as shapes: no font is needed and colour is not all that tells them apart."""

from functools import lru_cache

from PIL import Image, ImageDraw

YES = (22, 140, 76)
NO = (206, 49, 45)
OUTLINE = (255, 255, 255)

_FINENESS = 4
"""How many times larger a mark is drawn than shown, so that its edges are smooth."""

_TICK = ((0.27, 0.52), (0.44, 0.69), (0.74, 0.34))
_CROSS = (((0.32, 0.32), (0.68, 0.68)), ((0.32, 0.68), (0.68, 0.32)))


def marked(tile: Image.Image, answer: bool | None) -> Image.Image:
    """Return a tile framed in green with a tick, in red with a cross, or as it is.

    Args:
        tile: Square RGB picture.
        answer: ``True`` for a tick, ``False`` for a cross, ``None`` for neither.

    Example:
        >>> tile = Image.new("RGB", (48, 48))
        >>> marked(tile, True).getpixel((0, 24)) == YES, marked(tile, None) is tile
        (True, True)

    """
    if answer is None:
        return tile
    frame = _frame(tile.width, answer)
    picture = tile.copy()
    picture.paste(frame, mask=frame)
    return picture


@lru_cache(maxsize=16)
def _frame(size: int, answer: bool) -> Image.Image:
    """Return a frame and a badge in the upper right corner, transparent elsewhere."""
    colour = (*(YES if answer else NO), 255)
    width = max(2, size // 24)
    badge = max(8, size // 4)
    frame = Image.new("RGBA", (size, size), (*colour[:3], 0))
    ImageDraw.Draw(frame).rectangle((0, 0, size - 1, size - 1), outline=colour, width=width)
    frame.paste(_badge(badge, colour, answer), (size - badge, 0))
    return frame


def _badge(size: int, colour: tuple[int, ...], answer: bool) -> Image.Image:
    """Return a square whose lower left corner is round, with a tick or a cross in it."""
    side = size * _FINENESS
    badge = Image.new("RGBA", (side, side), (*colour[:3], 0))
    draw = ImageDraw.Draw(badge)
    draw.rounded_rectangle((0, 0, side - 1, side - 1), side // 3, colour, corners=(False, False, False, True))
    for stroke in (_TICK,) if answer else _CROSS:
        points = [(x * side, y * side) for x, y in stroke]
        draw.line(points, (*OUTLINE, 255), side // 8, joint="curve")
    return badge.resize((size, size), Image.Resampling.LANCZOS)
