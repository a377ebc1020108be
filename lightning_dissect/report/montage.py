"""Images of a probe as tiles, and tiles as pictures of what a neuron or a layer responds to."""

import io
from collections.abc import Mapping, Sequence
from itertools import repeat

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lightning_dissect.checks import check_positive
from lightning_dissect.report.answers import top_answers, verdict_text
from lightning_dissect.report.marks import marked
from lightning_dissect.report.selection import best_and_worst
from lightning_dissect.types import LayerDissection, NeuronLabel, Picture

BACKGROUND = (247, 247, 250)
PLACEHOLDER = (226, 227, 233)
PLACEHOLDER_MARK = (196, 198, 208)
INK = (28, 30, 40)
MUTED_INK = (104, 108, 124)


def tile(image: Picture | None, size: int) -> Image.Image:
    """Return an image as a square tile: the centre is kept and no pixel is blurred.

    A larger image is cropped to its central square and reduced. A smaller one is enlarged by a whole factor with its
    pixels kept sharp and put on a neutral ground, so that a 32-pixel image stays recognisable as one.

    Args:
        image: Shape ``(height, width, 3)``, uint8; ``None`` gives a neutral placeholder.
        size: Side of the tile in pixels.

    Raises:
        ValueError:
            If ``size`` is not positive or ``image`` is not an RGB image of type uint8.

    Example:
        >>> tile(np.zeros((240, 320, 3), dtype=np.uint8), size=96).size
        (96, 96)

    """
    check_positive("size", size)
    if image is None:
        return _placeholder(size)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(
            "Expected `image` to be a non-empty uint8 array of shape (height, width, 3) "
            f"but got {image.dtype} of shape {image.shape}."
        )
    square = _central_square(image)
    side = len(square)
    if side >= size:
        return Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    enlarged = side * (size // side)
    picture = Image.fromarray(square).resize((enlarged, enlarged), Image.Resampling.NEAREST)
    canvas = Image.new("RGB", (size, size), PLACEHOLDER)
    canvas.paste(picture, ((size - enlarged) // 2, (size - enlarged) // 2))
    return canvas


def montage(
    images: Sequence[Picture | None],
    size: int = 112,
    columns: int | None = None,
    gap: int = 4,
    answers: Sequence[bool | None] = (),
) -> Image.Image:
    """Return images side by side as square tiles.

    Args:
        images: Images of any size, each as `tile` takes it.
        size: Side of a tile in pixels.
        columns: Tiles in one row; one row of all by default.
        gap: Pixels between tiles.
        answers: For each image whether it is framed as right or as wrong, ``None`` for neither; by default none is.

    Raises:
        ValueError:
            If there is no image, ``size`` or ``columns`` is not positive, or there are answers to other images.

    Example:
        >>> montage([np.zeros((8, 8, 3), dtype=np.uint8), None], size=32).size
        (68, 32)

    """
    if not images:
        raise ValueError("Expected `images` to hold at least one image but got none.")
    if answers and len(answers) != len(images):
        raise ValueError(f"Expected `answers` to be {len(images)}, one per image, but got {len(answers)}.")
    columns = len(images) if columns is None else columns
    check_positive("columns", columns)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    canvas = Image.new("RGB", (columns * (size + gap) - gap, rows * (size + gap) - gap), BACKGROUND)
    for index, (image, answer) in enumerate(zip(images, answers or repeat(None, len(images)), strict=True)):
        row, column = divmod(index, columns)
        canvas.paste(marked(tile(image, size), answer), (column * (size + gap), row * (size + gap)))
    return canvas


def neuron_montage(
    neuron: NeuronLabel, images: Mapping[int, Picture], size: int = 112, judge: str = ""
) -> Image.Image | None:
    """Return a neuron's top images in one row, most activating first, or ``None`` if it has none.

    Args:
        neuron: The neuron.
        images: Pictures by sample id; where one is missing, its tile is a placeholder.
        size: Side of a tile in pixels.
        judge: Name of the evaluator by whose answers each image is framed: green with a tick or red with a cross.

    Example:
        >>> from lightning_dissect.types import TopImage
        >>> neuron = NeuronLabel("fc", 0, "labelled", top_images=(TopImage(4, 0.9), TopImage(2, 0.8)))
        >>> neuron_montage(neuron, {4: np.zeros((32, 32, 3), np.uint8)}, size=64).size
        (132, 64)

    """
    pictures = [images.get(top.sample_id) for top in neuron.top_images]
    return montage(pictures, size, answers=top_answers(neuron, judge)) if pictures else None


def layer_montage(
    layer: LayerDissection, images: Mapping[int, Picture], count: int = 16, size: int = 96, judge: str = ""
) -> Image.Image | None:
    """Return the best and the worst labelled neurons of a layer, each a captioned row, best first.

    Args:
        layer: The layer.
        images: Pictures by sample id.
        count: Most neurons shown.
        size: Side of a tile in pixels.
        judge: Name of the evaluator whose verdict and answers are shown, see `neuron_montage`.

    Returns:
        The picture, or ``None`` if no labelled neuron has top images.

    Example:
        >>> layer_montage(LayerDissection("fc", (NeuronLabel("fc", 0, "dead"),)), images={}) is None
        True

    """
    neurons = best_and_worst(layer.neurons, count)
    if not neurons:
        return None
    rows = [_captioned(neuron, images, size, judge) for neuron in neurons]
    gap = size // 8
    width = max(row.width for row in rows) + 2 * gap
    canvas = Image.new("RGB", (width, sum(row.height + gap for row in rows) + gap), BACKGROUND)
    top = gap
    for row in rows:
        canvas.paste(row, (gap, top))
        top += row.height + gap
    return canvas


def tiles(images: Mapping[int, Picture], size: int) -> dict[int, Picture]:
    """Return every image as the tile it becomes, so that many montages of the same images cost one reduction each.

    Args:
        images: Pictures by sample id.
        size: Side of a tile in pixels.

    Returns:
        Tiles by sample id, each ``(size, size, 3)`` uint8.

    """
    return {sample_id: np.asarray(tile(image, size)) for sample_id, image in images.items()}


def jpeg_bytes(image: Image.Image, quality: int = 85) -> bytes:
    """Encode a picture as JPEG.

    Args:
        image: RGB picture.
        quality: JPEG quality, 1 to 95.

    Example:
        >>> jpeg_bytes(Image.new("RGB", (8, 8)))[:2].hex()
        'ffd8'

    """
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _central_square(image: Picture) -> Picture:
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def _placeholder(size: int) -> Image.Image:
    canvas = Image.new("RGB", (size, size), PLACEHOLDER)
    third = size // 3
    ImageDraw.Draw(canvas).line((third, size - third, size - third, third), fill=PLACEHOLDER_MARK, width=size // 24 + 1)
    return canvas


def _captioned(neuron: NeuronLabel, images: Mapping[int, Picture], size: int, judge: str) -> Image.Image:
    pictures = [images.get(top.sample_id) for top in neuron.top_images]
    strip = montage(pictures, size, answers=top_answers(neuron, judge))
    height = max(12, size // 7)
    font = ImageFont.load_default(height)
    numbers = f"unit {neuron.unit}   score {neuron.score:.3f}   quality {neuron.quality:.3f}"
    verdict = verdict_text(neuron, judge)
    if verdict:
        numbers = f"{numbers}   {verdict}"
    line = int(height * 1.4)
    width = max(strip.width, int(font.getlength(numbers)))
    canvas = Image.new("RGB", (width, 2 * line + strip.height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    draw.text((0, 0), _fitted(neuron.title, font, width), fill=INK, font=font)
    draw.text((0, line), numbers, fill=MUTED_INK, font=font)
    canvas.paste(strip, (0, 2 * line))
    return canvas


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    kept = max((end for end in range(len(text)) if font.getlength(text[:end] + "...") <= width), default=0)
    return text[:kept].rstrip() + "..."
