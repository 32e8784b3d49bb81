"""Find the specimen in a microscope's image: the part without data bars, overlays and frame.

The height of the bar that the vendor states is trusted (lfranker/microscopes has each vendor's
way). Where the vendor states none, the picture is searched for a bar of text at the bottom or the
top, and for text that is drawn over the specimen there; that search rather keeps a bar than cuts
the specimen. Text in the middle of the specimen stays.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfranker.images.drawn_text import rows_of_text

TALLEST_BAR = 0.25  # of the image
SHORTEST_BAR = 8  # px: less cannot hold text
TOLERANCE = 0.012  # of full scale: 3 of 255, for JPEG
ONE_VALUE = 0.99  # share of a row's run: Zeiss draws its bar as a box, 1 px inside the image
NARROWEST = 0.5  # of the image's width: some bars are boxes that lie on the specimen
TWO_LEVELS = 0.80  # share of a bar that is background or ink; the rest are smoothed edges
CONTRAST = 0.35  # least difference of ink and background, of full scale
RINGING = 0.08  # of full scale: what JPEG makes of a row of one value beside the specimen
SPECIMEN = 0.3  # share of a row that may look like the bar's background; more is a dark specimen
TICK = 0.15  # of a row: the marks of a scale at the edge of a bar are less
COLOURED = 0.05  # share of the image: more is a picture in colours, less is drawn over it


@dataclass(frozen=True)
class Bars:
    """Heights of what is not specimen, in px from the image's edges."""

    top: int = 0
    bottom: int = 0
    notice: str | None = None  # how they were found, where not in this file


def content_of(
    gray: NDArray[np.float32], colour: NDArray[np.bool_] | None, bars: Bars
) -> tuple[slice, slice]:
    """Return rows and columns of the specimen in ``gray`` (h, w) in [0, 1], without ``bars``.

    ``colour`` tells which pixels have unequal channels (None for gray files).
    """
    rows = slice(bars.top, gray.shape[0] - bars.bottom)
    top, bottom, left, right = frame_widths(gray[rows], None if colour is None else colour[rows])
    return slice(rows.start + top, rows.stop - bottom), slice(left, gray.shape[1] - right)


def bars_of(
    gray: NDArray[np.float32], colour: NDArray[np.bool_] | None, stated: int | None
) -> Bars:
    """Return the bars of an image; ``stated`` is the bottom one's height as the metadata say it."""
    if stated is not None:
        return Bars(bottom=stated)
    bottom, top = bar_from_picture(gray), bar_from_picture(gray[::-1])
    rows = slice(top, gray.shape[0] - bottom)
    drawn = None if colour is None else _drawn(colour[rows])
    most = int(gray.shape[0] * TALLEST_BAR)
    over_top = _overlay(gray[rows][::-1], None if drawn is None else drawn[::-1], most - top)
    over_bottom = _overlay(gray[rows], drawn, most - bottom)
    return Bars(_whole(gray[::-1], top, over_top), _whole(gray, bottom, over_bottom))


def bar_from_picture(gray: NDArray[np.float32]) -> int:
    """Return the height in px of a bar of text at the bottom, 0 where there is none.

    A bar starts with a row that has one value, or runs of it over most of the width, holds two
    values (background and ink) that differ strongly, and has letters: many jumps between the two.
    The rows above it are not like that. What may be between its end and the edge of the image
    counts as a part of it, as do marks of a scale that hang from its upper edge.
    """
    height = gray.shape[0]
    first = max(1, height - int(height * TALLEST_BAR))
    part = gray[first - 1 :]
    value = np.median(part, axis=1)
    near = np.abs(part - value[:, None]) <= TOLERANCE
    plain = near.mean(axis=1)
    for row in range(1, len(part) - SHORTEST_BAR + 1):
        if plain[row] < NARROWEST:
            continue
        left, right = _longest_run(near[row])
        if right - left < len(near[row]) and plain[row - 1] < NARROWEST:  # the specimen's last row
            left, right = _longest_run(near[row] | _marks(part[row], value[row]))
        if right - left < NARROWEST * gray.shape[1]:
            continue
        above = near[row - 1, left:right].mean() >= ONE_VALUE
        if above and abs(value[row] - value[row - 1]) <= TOLERANCE:
            continue
        end = row + _end_of_bar(part[row:, left:right])
        if (
            end - row >= SHORTEST_BAR
            and _is_boxed(part[row:end], left, right)
            and _is_text(part[row:end, left:right])
        ):
            plain_top = first - 1 + row
            top = _with_ticks(gray[:, left:right], plain_top, plain_top + end - row)
            return 0 if _is_text(gray[max(0, 2 * top - height) : top]) else height - top
    return 0


def _whole(gray: NDArray[np.float32], bar: int, overlay: int) -> int:
    """Return the height of a bar and the text over it, with the rows above of their background.

    In a JPEG no row of a bar beside the specimen has one value: only its text is found at first.
    """
    top = gray.shape[0] - bar - overlay
    if not overlay or not has_background(gray[top:]):
        return bar + overlay
    return gray.shape[0] - _with_ticks(gray, top, gray.shape[0])


def has_background(block: NDArray[np.float32]) -> bool:
    """Return whether one value, or what JPEG makes of it, covers most of a block, as in a bar."""
    return bool((np.abs(block - _background(block)) <= RINGING / 2).mean() >= NARROWEST)


def _marks(row: NDArray[np.float32], background: float) -> NDArray[np.bool_]:
    """Return where a row has marks of a scale: few pixels of one value unlike its background."""
    far = np.abs(row - background) >= CONTRAST
    if not 0 < far.mean() < TICK:
        return np.zeros_like(far)
    return np.asarray(far & (np.abs(row - np.median(row[far])) <= TOLERANCE))


def _longest_run(near: NDArray[np.bool_]) -> tuple[int, int]:
    """Return start and end of the longest run; a few pixels beside it count, as at Zeiss's box."""
    if near.mean() >= ONE_VALUE:
        return 0, len(near)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], near, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]), int(ends[longest])


def _is_boxed(block: NDArray[np.float32], left: int, right: int) -> bool:
    """Return whether a bar has straight edges, where it does not reach across the image."""
    width = block.shape[1]
    if right - left >= ONE_VALUE * width:
        return True
    inside = [column for column in (left, right - 1) if 0 < column < width - 1]
    outside = [column for column in (left - 1, right) if 0 <= column < width]
    near = np.abs(block - _background(block[:, left:right])) <= TOLERANCE
    free = near[:, inside].mean(axis=0) >= ONE_VALUE - 0.04
    differs = near[:, outside].mean(axis=0) <= SPECIMEN
    return bool(free.all() and differs.all())


def _end_of_bar(block: NDArray[np.float32]) -> int:
    """Return how many rows from the first on are of one background and its ink."""
    background = _background(block[: max(SHORTEST_BAR, len(block) // 4)])
    near = np.abs(block - background) <= TOLERANCE
    far = np.abs(block - background) >= CONTRAST
    inside = (near.mean(axis=1) >= SPECIMEN) & ((near | far).mean(axis=1) >= TWO_LEVELS)
    inside |= far.mean(axis=1) >= ONE_VALUE  # lines across
    inside[0] = True
    return len(block) if inside.all() else int(np.argmin(inside))


def _background(block: NDArray[np.float32]) -> float:
    return float(_counts(block).argmax()) / 255


def _counts(block: NDArray[np.float32]) -> NDArray[np.intp]:
    return np.bincount(np.rint(block * 255).astype(np.intp).ravel(), minlength=256)


def _is_text(block: NDArray[np.float32]) -> bool:
    counts = _counts(block)
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


def _with_ticks(gray: NDArray[np.float32], top: int, end: int) -> int:
    """Return the first row of the bar that has a plain row at ``top``.

    Rows above it belong to it that have its background too: they hold marks of a scale, letters
    that touch the edge, or what JPEG makes of them. A specimen as dark as the bar has them as
    well; then only marks count, which every row above repeats.
    """
    background = _background(gray[top:end])
    first = max(0, top - max(2 * SHORTEST_BAR, (end - top) // 2))
    rows = gray[first:top]
    far = np.abs(rows - background) >= CONTRAST
    like = (np.abs(rows - background) <= RINGING).mean(axis=1)
    inside = (like >= 0.5) & (like + far.mean(axis=1) >= TWO_LEVELS)
    plain = (np.abs(rows - np.median(rows, axis=1)[:, None]) <= RINGING).mean(axis=1)
    inside |= (far.mean(axis=1) >= ONE_VALUE) & (plain >= ONE_VALUE)  # lines across
    start = len(rows) - (int(np.argmin(inside[::-1])) if not inside.all() else len(rows))
    if 0 < start < len(rows) and like[start - 1] < SPECIMEN:
        return first + start
    marked = far & (like + far.mean(axis=1) >= ONE_VALUE)[:, None]
    return first + _first_mark(marked)


def _first_mark(ink: NDArray[np.bool_]) -> int:
    """Return the first of the last rows that hold marks at the same places, at least three."""
    row = len(ink)
    while row > 0 and 0 < ink[row - 1].mean() < TICK:
        marks = ink[row - 1]
        if row < len(ink) and (ink[row] & ~marks).sum() > 0.1 * marks.sum():
            break
        if np.count_nonzero(np.diff(marks.astype(np.int8)) > 0) < 3:
            break
        row -= 1
    return row if len(ink) - row >= 3 else len(ink)


def _drawn(colour: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return where something is drawn in colours over a gray picture, without a frame around it."""
    inside = colour.copy()
    for line in (np.s_[:3], np.s_[-3:], np.s_[:, :3], np.s_[:, -3:]):
        inside[line] = False
    return inside if 0 < inside.mean() <= COLOURED else None


def _overlay(gray: NDArray[np.float32], drawn: NDArray[np.bool_] | None, most: int) -> int:
    """Return the height, up to ``most``, of the rows at the bottom over which text is drawn."""
    if most < SHORTEST_BAR:
        return 0
    height = rows_of_text(gray[-most:])
    if drawn is not None and (marked := drawn[-most:].any(axis=1)).any():
        height = max(height, most - int(np.argmax(marked)))
    return height


def frame_widths(
    gray: NDArray[np.float32], colour: NDArray[np.bool_] | None
) -> tuple[int, int, int, int]:
    """Return how many lines a frame covers at the top, bottom, left and right.

    It is in colours, or was before the picture was made gray. FEI's first scan line and column are
    black beside that frame, and go with it. Without a frame nothing is cut.
    """
    frame = _coloured_frame(colour) if colour is not None and colour.any() else _gray_frame(gray)
    if frame is None:
        return 0, 0, 0, 0

    def width(lines: NDArray[np.float32], drawn: NDArray[np.bool_]) -> int:
        inside = lines[:, lines.shape[1] // 4 : -(lines.shape[1] // 4) or None]
        dead = drawn.all(axis=1) | (inside.max(axis=1) == 0)
        return int(np.argmin(dead)) if not dead.all() else 0

    return (
        width(gray, frame),
        width(gray[::-1], frame[::-1]),
        width(gray.T, frame.T),
        width(gray.T[::-1], frame.T[::-1]),
    )


def _coloured_frame(colour: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return which pixels have a colour, where these frame the picture on all sides."""
    if colour.mean() > 0.5:
        return None
    framed = (colour[0], colour[-1], colour[:, 0], colour[:, -1])
    return colour if all(line.all() for line in framed) else None


def _gray_frame(gray: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Return which pixels have the one gray value of three sides or all, as a frame has.

    A side may have gone with the data bar. No scan has lines of one gray value; those that are
    black or white may be background or saturated.
    """
    value = gray[0, 0] if gray[0, 0] == gray[0, -1] else gray[-1, 0]
    if not 0 < value < 1:
        return None
    drawn = np.asarray(gray == value)
    sides = (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1])
    return drawn if sum(bool(line.all()) for line in sides) >= 3 else None
