"""Strips of pictures that show one field noisy, denoised and clean, for the eye to compare."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from lfranker.arrays import Image

PANEL = 384  # px: the longer side of a panel; three side by side fit a page
ENLARGE = 8  # the most that a small image is enlarged
GAP = 8  # px around each panel
TITLE = 24  # px of height
DIFFERENCE_GAIN = 4.0  # of full scale: 1/8 too bright is white
GLANCE = 560  # px: the longer side of a panel of `glance`; four fill a page
HEAD = 36  # px of height: the page shows `glance` at half of its size
INSET = 0.45  # of a panel's width and height, at the most
INSET_ZOOM = 4  # times as large as in the panel
SMALLER = 0.6  # of their size: long titles, at the least
FRAME = (230, 159, 0)  # orange of Okabe & Ito, told apart by the colour-blind


@dataclass(frozen=True)
class _Layout:
    """Sizes at which images of one shape are shown; all are (width, height)."""

    scale: float
    size: tuple[int, int]  # of a panel, px of the canvas
    detail: tuple[int, int]  # px of the image
    zoom: int
    cell: int  # px from one panel's left edge to the next one's

    @property
    def resampling(self) -> PIL.Image.Resampling:
        return PIL.Image.Resampling.NEAREST if self.scale >= 1 else PIL.Image.Resampling.BOX


def strip(panels: Mapping[str, Image]) -> PIL.Image.Image:
    """Draw images of one field side by side, a title above and a detail below each.

    All are drawn on the same fixed gray scale, 0 black and 1 white, so that a brightness bias
    shows. Large images are shrunk to PANEL by the mean over areas, small ones enlarged a whole
    number of times; the detail, framed in the image, is at least twice enlarged and is where the
    last image has the most contrast. Pixels are never interpolated. Returns RGB.
    """
    shown = _layout(panels)
    corner = _busiest(list(panels.values())[-1], shown.detail)
    box = (*corner, corner[0] + shown.detail[0], corner[1] + shown.detail[1])
    enlarged = (shown.detail[0] * shown.zoom, shown.detail[1] * shown.zoom)
    total = (GAP + shown.cell * len(panels), TITLE + shown.size[1] + GAP + enlarged[1] + GAP)
    canvas = PIL.Image.new("RGB", total, "white")
    for at, (title, image) in enumerate(panels.items()):
        left = GAP + at * shown.cell
        levels = _levels(image)
        _write(canvas, title, (left, 0), shown.cell - GAP)
        canvas.paste(_rounded(levels.resize(shown.size, shown.resampling)), (left, TITLE))
        _frame(canvas, [round(edge * shown.scale) for edge in box], left)
        inset = levels.crop(box).resize(enlarged, PIL.Image.Resampling.NEAREST)
        canvas.paste(_rounded(inset), (left, TITLE + shown.size[1] + GAP))
    return canvas


def comparison(panels: Mapping[str, Image]) -> PIL.Image.Image:
    """Draw `strip`, and below it how each image differs from the last one, the clean scan.

    The map is mid-gray where they are equal and brighter where the image is, DIFFERENCE_GAIN
    times exaggerated; over-smoothing shows in it as edges.
    """
    above, shown = strip(panels), _layout(panels)
    height = above.height + TITLE + shown.size[1] + GAP
    canvas = PIL.Image.new("RGB", (above.width, height), "white")
    canvas.paste(above, (0, 0))
    *others, last = panels
    for at, name in enumerate(others):
        left = GAP + at * shown.cell
        title = f"{name} - {last}, x{DIFFERENCE_GAIN:g}"
        _write(canvas, title, (left, above.height), shown.cell - GAP)
        levels = _levels(0.5 + DIFFERENCE_GAIN * (panels[name] - panels[last]))
        canvas.paste(
            _rounded(levels.resize(shown.size, shown.resampling)), (left, above.height + TITLE)
        )
    return canvas


def glance(panels: Mapping[str, Image]) -> PIL.Image.Image:
    """Draw images of one field side by side, each with its detail as an inset in a corner.

    As `strip` does, with less height: the inset lies in the corner away from the detail.
    """
    shown = _layout(panels, GLANCE)
    size = (max(1, round(INSET * shown.size[0])), max(1, round(INSET * shown.size[1])))
    enlarged = INSET_ZOOM * shown.scale
    detail = (max(1, round(size[0] / enlarged)), max(1, round(size[1] / enlarged)))
    left, top = _busiest(list(panels.values())[-1], detail)
    box = (left, top, left + detail[0], top + detail[1])
    height, width = next(iter(panels.values())).shape
    at_right, at_bottom = left + detail[0] / 2 < width / 2, top + detail[1] / 2 < height / 2
    corner = (
        (shown.size[0] - size[0]) * at_right,
        HEAD + (shown.size[1] - size[1]) * at_bottom,
    )
    cell = shown.size[0] + GAP
    canvas = PIL.Image.new("RGB", (cell * len(panels) - GAP, HEAD + shown.size[1]), "white")
    for at, (title, image) in enumerate(panels.items()):
        levels = _levels(image)
        _write(canvas, title, (at * cell, 0), shown.size[0], 28)
        canvas.paste(_rounded(levels.resize(shown.size, shown.resampling)), (at * cell, HEAD))
        _frame(canvas, [round(edge * shown.scale) for edge in box], at * cell, HEAD)
        inset = levels.crop(box).resize(size, PIL.Image.Resampling.NEAREST)
        place = (at * cell + corner[0], corner[1])
        canvas.paste(_rounded(inset), place)
        edges = (*place, place[0] + size[0] - 1, place[1] + size[1] - 1)
        ImageDraw.Draw(canvas).rectangle(edges, outline=FRAME, width=2)
    return canvas


def _layout(panels: Mapping[str, Image], longer: int = PANEL) -> _Layout:
    shapes = {name: image.shape for name, image in panels.items()}
    if len(set(shapes.values())) != 1 or min(next(iter(shapes.values()))) < 1:
        raise ValueError(f"panels: images of one shape (height, width) are allowed, given {shapes}")
    height, width = next(iter(shapes.values()))
    scale = longer / max(height, width)
    scale = min(ENLARGE, int(scale)) if scale >= 1 else scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    zoom = 2 * max(1, int(scale))
    detail = (min(width, max(1, size[0] // zoom)), min(height, max(1, size[1] // zoom)))
    return _Layout(scale, size, detail, zoom, max(size[0], detail[0] * zoom) + GAP)


def _levels(image: Image) -> PIL.Image.Image:
    """Scale to 0 to 255, still as floats, so that only the means over areas are rounded."""
    return PIL.Image.fromarray(np.float32(255) * np.clip(np.nan_to_num(image, nan=0.0), 0, 1))


def _rounded(levels: PIL.Image.Image) -> PIL.Image.Image:
    return PIL.Image.fromarray(np.rint(np.asarray(levels)).astype(np.uint8))


def _busiest(image: Image, detail: tuple[int, int]) -> tuple[int, int]:
    """Find left and top of the window of size `detail` (width, height) of largest deviation."""
    width, height = detail
    lefts = range(0, image.shape[1] - width + 1, max(1, width // 2))
    tops = range(0, image.shape[0] - height + 1, max(1, height // 2))
    corners = [(left, top) for top in tops for left in lefts]
    return max(corners, key=lambda c: np.std(image[c[1] : c[1] + height, c[0] : c[0] + width]))


def _frame(canvas: PIL.Image.Image, box: list[int], left: int, top: int = TITLE) -> None:
    x, y = left + box[0], top + box[1]
    outline = (x, y, max(x, left + box[2] - 1), max(y, top + box[3] - 1))
    ImageDraw.Draw(canvas).rectangle(outline, outline=FRAME, width=1)


def _write(
    canvas: PIL.Image.Image, title: str, at: tuple[int, int], room: int, size: int = 15
) -> None:
    """Write a title: smaller where there is no room, and cut where it would be too small."""
    draw, least = ImageDraw.Draw(canvas), round(SMALLER * size)
    while size > least and _width(title, size) > room:
        size -= 1
    text = title
    while text and _width(text, size) > room:
        title = title[:-1]
        text = f"{title}..." if title else ""
    draw.text((at[0], at[1] + 3), text, fill="black", font=ImageFont.load_default(size=size))


def _width(text: str, size: int) -> float:
    return float(ImageFont.load_default(size=size).getlength(text))
