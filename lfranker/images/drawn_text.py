"""Find letters that are drawn over a specimen, without a background of their own.

JEOL and others draw kV, magnification and scale so. Letters are thin strokes of full white or
black with sharp edges, of one height and on one line; the specimen's own white spots are blobs with
soft edges, of all heights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

LEVELS = (
    0.004,
    0.2,
)  # of full scale: white is above 1 - this, black below; smoothed lines are gray
HEIGHTS = (7, 90)  # px, of letters
WIDEST = 1.5  # a letter's width, in heights
FILLED = (0.12, 0.75)  # share of its box that a letter fills
STROKE = 0.36  # thickest stroke, in heights
CONTRAST = 0.25  # of what is 2 px beside the letter, of full scale
SHARP = 0.8  # share of a letter's surroundings that has this contrast
FEWEST = 7  # letters of a line
SHORTEST_WORD = 3  # letters: "10.0" without its point
BASE = 1  # px by which letters of a line may stand higher or lower
ALIKE = 0.15  # share by which their heights may differ
GAP = 1.5  # heights, between letters of a word
MOST = 20_000  # spots: more are noise, not letters
MARGIN = 2  # px above letters: outlines, smoothed edges


@dataclass(frozen=True)
class Letter:
    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top


def rows_of_text(gray: NDArray[np.float32]) -> int:
    """Return the height of the rows at the bottom that lines of drawn letters begin; 0: none."""
    tops = [
        letter.top
        for level in LEVELS
        for mask in (gray >= 1 - level, gray <= level)
        for line in _lines(_letters(mask, gray))
        for letter in line
    ]
    return min(gray.shape[0] - min(tops) + MARGIN, gray.shape[0]) if tops else 0


def _letters(mask: NDArray[np.bool_], gray: NDArray[np.float32]) -> list[Letter]:
    if not mask.any():
        return []
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if count > MOST:
        return []
    letters = []
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        rows, columns = box
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if not (HEIGHTS[0] <= height <= HEIGHTS[1] and width <= WIDEST * height):
            continue
        if _is_letter(labels, number, box, gray):
            letters.append(Letter(rows.start, rows.stop, columns.start, columns.stop))
    return letters


def _is_letter(
    labels: NDArray[np.int32], number: int, box: tuple[slice, slice], gray: NDArray[np.float32]
) -> bool:
    around = tuple(slice(max(0, side.start - 3), side.stop + 3) for side in box)
    drawn = labels[around] == number
    if not FILLED[0] <= labels[box].astype(bool).mean() <= FILLED[1]:
        return False
    height = box[0].stop - box[0].start
    if 2 * ndimage.distance_transform_edt(drawn).max() > max(STROKE * height, 3.5):
        return False
    near = ndimage.binary_dilation(drawn, np.ones((3, 3)))
    beside = ndimage.binary_dilation(near, np.ones((3, 3))) & ~near & (labels[around] == 0)
    ink = gray[around][drawn].mean()
    return bool((np.abs(gray[around][beside] - ink) >= CONTRAST).mean() >= SHARP)


def _lines(letters: Sequence[Letter]) -> list[list[Letter]]:
    """Return the lines: letters of one height that stand on one row, in words or numbers."""
    lines: list[list[Letter]] = []
    for letter in letters:
        line = [
            other
            for other in letters
            if abs(other.bottom - letter.bottom) <= BASE
            and abs(other.height - letter.height) <= ALIKE * letter.height
        ]
        words = [word for word in _words(line) if len(word) >= SHORTEST_WORD]
        if sum(map(len, words)) >= FEWEST:
            lines.append([letter for word in words for letter in word])
    return lines


def _words(line: Sequence[Letter]) -> list[list[Letter]]:
    """Return the letters that stand beside each other without a wide gap."""
    words: list[list[Letter]] = []
    for letter in sorted(line, key=lambda letter: letter.left):
        if words and letter.left - words[-1][-1].right <= GAP * letter.height:
            words[-1].append(letter)
        else:
            words.append([letter])
    return words
