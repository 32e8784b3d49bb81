"""Find the specimen in a microscope's image: the part without data bar and frame.

The height of the bar that the vendor states is trusted (lfranker/microscopes has each vendor's
way). Where the vendor states none, the picture is searched for a bar; that search rather keeps a
bar than cuts the specimen.
"""

import numpy as np
from numpy.typing import NDArray

TALLEST_BAR = 0.25  # of the image
SHORTEST_BAR = 8  # px: less cannot hold text
TOLERANCE = 0.012  # of full scale: 3 of 255, for JPEG
ONE_VALUE = 0.99  # share of a row: Zeiss draws its bar as a box, 1 px inside the image
TWO_LEVELS = 0.80  # share of a bar that is background or ink; the rest are smoothed edges
CONTRAST = 0.35  # least difference of ink and background, of full scale


def content_of(
    gray: NDArray[np.float32], colour: NDArray[np.bool_] | None, data_bar: int | None
) -> tuple[slice, slice]:
    """Return rows and columns of the specimen in ``gray`` (h, w) in [0, 1].

    ``colour`` tells which pixels have unequal channels (None for gray files). ``data_bar`` is the
    height of the bar in px as the metadata say; None where they do not.
    """
    rows = gray.shape[0] - (bar_from_picture(gray) if data_bar is None else data_bar)
    top, bottom, left, right = frame_widths(gray[:rows], None if colour is None else colour[:rows])
    return slice(top, rows - bottom), slice(left, gray.shape[1] - right)


def bar_from_picture(gray: NDArray[np.float32]) -> int:
    """Return the height in px of a bar of text at the bottom, 0 where there is none.

    A bar starts with a row of one value across the whole width, holds two values (background and
    ink) that differ strongly, and has letters: many jumps between the two. The rows above it are
    not like that.
    """
    height = gray.shape[0]
    value = np.median(gray, axis=1)
    uniform = (np.abs(gray - value[:, None]) <= TOLERANCE).mean(axis=1) >= ONE_VALUE
    differs = np.abs(np.diff(value, prepend=value[0])) > TOLERANCE
    for top in range(max(1, height - int(height * TALLEST_BAR)), height - SHORTEST_BAR + 1):
        starts_here = uniform[top] and (differs[top] or not uniform[top - 1])
        if starts_here and _is_text(gray[top:]):
            above = gray[max(0, 2 * top - height) : top]
            return 0 if _is_text(above) else height - top
    return 0


def _is_text(block: NDArray[np.float32]) -> bool:
    counts = np.bincount(np.rint(block * 255).astype(np.intp).ravel(), minlength=256)
    background = int(counts.argmax()) / 255
    far = np.abs(np.arange(256) / 255 - background) >= CONTRAST
    if not (counts * far).any():
        return False
    ink = int((counts * far).argmax()) / 255
    is_background = np.abs(block - background) <= TOLERANCE
    is_ink = np.abs(block - ink) <= TOLERANCE
    jumps = np.count_nonzero(is_background[:, 1:] & (np.abs(np.diff(block)) > CONTRAST / 2))
    return bool(
        is_background.mean() >= 0.5
        and is_ink.mean() >= 0.005
        and (is_background | is_ink).mean() >= TWO_LEVELS
        and jumps >= max(block.shape[1] // 10, 20)
    )


def frame_widths(
    gray: NDArray[np.float32], colour: NDArray[np.bool_] | None
) -> tuple[int, int, int, int]:
    """Return how many lines a coloured frame covers at the top, bottom, left and right.

    FEI's first scan line and column are black beside that frame, and go with it. Without a
    coloured frame nothing is cut.
    """
    if colour is None:
        return 0, 0, 0, 0
    framed = (colour[0], colour[-1], colour[:, 0], colour[:, -1])
    if not all(line.all() for line in framed) or colour.mean() > 0.5:
        return 0, 0, 0, 0

    def width(lines: NDArray[np.float32], drawn: NDArray[np.bool_]) -> int:
        inside = lines[:, lines.shape[1] // 4 : -(lines.shape[1] // 4) or None]
        dead = drawn.all(axis=1) | (inside.max(axis=1) == 0)
        return int(np.argmin(dead)) if not dead.all() else 0

    return (
        width(gray, colour),
        width(gray[::-1], colour[::-1]),
        width(gray.T, colour.T),
        width(gray.T[::-1], colour.T[::-1]),
    )
