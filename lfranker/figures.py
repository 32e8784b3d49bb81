"""Pictures: a strip of the same field noisy, denoised and clean, for the eye to compare."""

from collections.abc import Mapping

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from lfranker.images import Image

PANEL = 384  # px: the longer side of a panel; three side by side fit a page
ENLARGE = 8  # the most that a small image is enlarged
GAP = 8  # px around each panel
TITLE = 24  # px of height
FRAME = (230, 159, 0)  # orange of Okabe & Ito, told apart by the colour-blind


def strip(panels: Mapping[str, Image]) -> PIL.Image.Image:
    """Images of one field side by side in the order given, a title above and a detail below each.

    All are drawn on the same fixed gray scale, 0 black and 1 white, so that a brightness bias
    shows. Large images are shrunk to PANEL by the mean over areas, small ones enlarged a whole
    number of times; the detail, framed in the image, is at least twice enlarged and is where the
    last image has the most contrast. Pixels are never interpolated. Returns RGB.
    """
    shapes = {name: image.shape for name, image in panels.items()}
    if len(set(shapes.values())) != 1 or min(next(iter(shapes.values()))) < 1:
        raise ValueError(f"panels: images of one shape (height, width) are allowed, given {shapes}")
    height, width = next(iter(shapes.values()))
    scale = PANEL / max(height, width)
    scale = min(ENLARGE, int(scale)) if scale >= 1 else scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    zoom = 2 * max(1, int(scale))
    detail = (min(width, max(1, size[0] // zoom)), min(height, max(1, size[1] // zoom)))
    corner = _busiest(list(panels.values())[-1], detail)
    cell = max(size[0], detail[0] * zoom) + GAP
    total = (GAP + cell * len(panels), TITLE + size[1] + GAP + detail[1] * zoom + GAP)
    canvas = PIL.Image.new("RGB", total, "white")
    for at, (title, image) in enumerate(panels.items()):
        left = GAP + at * cell
        levels = _levels(image)
        _write(canvas, title, left, cell - GAP)
        method = PIL.Image.Resampling.NEAREST if scale >= 1 else PIL.Image.Resampling.BOX
        canvas.paste(_rounded(levels.resize(size, method)), (left, TITLE))
        box = (*corner, corner[0] + detail[0], corner[1] + detail[1])
        _frame(canvas, [round(edge * scale) for edge in box], left)
        enlarged = (detail[0] * zoom, detail[1] * zoom)
        inset = levels.crop(box).resize(enlarged, PIL.Image.Resampling.NEAREST)
        canvas.paste(_rounded(inset), (left, TITLE + size[1] + GAP))
    return canvas


def _levels(image: Image) -> PIL.Image.Image:
    """0 to 255 as floats, so that only the means over areas are rounded."""
    return PIL.Image.fromarray(np.float32(255) * np.clip(np.nan_to_num(image, nan=0.0), 0, 1))


def _rounded(levels: PIL.Image.Image) -> PIL.Image.Image:
    return PIL.Image.fromarray(np.rint(np.asarray(levels)).astype(np.uint8))


def _busiest(image: Image, detail: tuple[int, int]) -> tuple[int, int]:
    """Left and top of the window of size `detail` (width, height) with the largest deviation."""
    width, height = detail
    lefts = range(0, image.shape[1] - width + 1, max(1, width // 2))
    tops = range(0, image.shape[0] - height + 1, max(1, height // 2))
    corners = [(left, top) for top in tops for left in lefts]
    return max(corners, key=lambda c: np.std(image[c[1] : c[1] + height, c[0] : c[0] + width]))


def _frame(canvas: PIL.Image.Image, box: list[int], left: int) -> None:
    x, y = left + box[0], TITLE + box[1]
    outline = (x, y, max(x, left + box[2] - 1), max(y, TITLE + box[3] - 1))
    ImageDraw.Draw(canvas).rectangle(outline, outline=FRAME, width=1)


def _write(canvas: PIL.Image.Image, title: str, left: int, room: int) -> None:
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=15)
    text = title
    while text and draw.textlength(text, font=font) > room:
        text = text[:-1]
    draw.text((left, 3), text, fill="black", font=font)
