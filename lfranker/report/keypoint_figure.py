"""A picture of matched keypoints: what a denoised scan shares with the clean one, and what not."""

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from lfranker.arrays import Image
from lfranker.evaluation.keypoints import Points, Shared

LINES = 60  # of the matches; more hide the images
GAP = 8  # px
TITLE = 24  # px
RIGHT, WRONG = (0, 158, 115), (213, 94, 0)  # green and vermilion of Okabe & Ito


def match_figure(name: str, output: Image, original: Image, shared: Shared) -> PIL.Image.Image:
    """Output and clean scan side by side, matches as dots and every so often a line.

    Green where they are at the same place, vermilion where not.
    """
    size = (
        3 * GAP + output.shape[1] + original.shape[1],
        TITLE + max(output.shape[0], original.shape[0]) + GAP,
    )
    canvas = PIL.Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    second = 2 * GAP + output.shape[1]
    for image, left in ((output, GAP), (original, second)):
        levels = np.rint(255 * np.clip(np.nan_to_num(image), 0, 1)).astype(np.uint8)
        canvas.paste(PIL.Image.fromarray(levels), (left, TITLE))
    title = (
        f"{name}, clean: {int(shared.inliers.sum())} of {len(shared.pairs)} matches right, "
        f"repeatability {shared.repeatability:.3f}"
    )
    draw.text((GAP, 3), title, fill="black", font=ImageFont.load_default(size=15))
    here = _places(shared.output[shared.pairs[:, 0]], GAP)
    there = _places(shared.original[shared.pairs[:, 1]], second)
    lined = set(np.linspace(0, len(here) - 1, min(LINES, len(here))).astype(int).tolist())
    for number, (one, other) in enumerate(zip(here, there, strict=True)):
        colour = RIGHT if shared.inliers[number] else WRONG
        for x, y in (one, other):
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), outline=colour)
        if number in lined:
            draw.line((*one, *other), fill=colour)
    return canvas


def _places(points: Points, left: int) -> list[tuple[float, float]]:
    return [(left + x, TITLE + y) for y, x in points.tolist()]
