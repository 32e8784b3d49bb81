"""How many of the 16 bits of a sample a file says that it uses: 10, 12 or 14 of a detector's."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tifffile
from numpy.typing import NDArray

MAX_SAMPLE_VALUE = 281  # baseline TIFF tag: the largest value a sample can take
LONGEST = 200_000  # characters of a tag that are read
# OME's SignificantBits, Micro-Manager's BitDepth, and what vendors write in texts of their own
NAMED = re.compile(
    r"(?:significant|valid|used)[ _]?bits|bits?[ _]?per[ _]?pixel|bit[ _]?depth|bits[ _]?used", re.I
)
NUMBER = re.compile(r"""[\s"'>:=]{1,4}(\d{1,2})(?!\d|\.\d)""")
FEWEST, MOST = 9, 15  # 16 is what the container has, whatever is in it


@dataclass(frozen=True)
class Levels:
    """Gray values of a file as they are stored."""

    full: int  # of full brightness: 255 of 8 bits; 65535 of 16, or less where that is known
    stated: bool  # a file of 16 bits says which it is
    brightest: int  # the largest that there is, but for alpha


def levels_of(samples: NDArray[np.integer], bits: int | None, white: int | None) -> Levels:
    """Return the levels of (h, w) or (h, w, channels) samples, said to use that many ``bits``.

    ``white`` is what the user gives for files of 16 bits. Raises ValueError where a pixel is above
    it; what a file says of itself does not count where a pixel is above it.
    """
    largest, gray = int(np.iinfo(samples.dtype).max), _without_alpha(samples)
    brightest = int(gray.max()) if gray.size else 0
    if samples.dtype != np.uint16:
        return Levels(largest, False, brightest)
    if white is not None:
        if brightest > white:
            raise ValueError(f"has pixels of {brightest}, above the white level of {white} given")
        return Levels(white, True, brightest)
    said = largest if bits is None else 2**bits - 1
    stated = bits is not None and brightest <= said
    return Levels(said if stated else largest, stated, brightest)


def _without_alpha(samples: NDArray[np.integer]) -> NDArray[np.integer]:
    has_alpha = samples.ndim == 3 and samples.shape[2] in (2, 4)
    return samples[..., :-1] if has_alpha else samples


def _are_scaled(samples: NDArray[np.integer], bits: int) -> bool:
    """Return whether all 16-bit samples are values of ``bits`` scaled in one of the usual ways.

    The PNG specification names them: rounded, with the high bits repeated in the low ones, and
    shifted; rounding down is in use, too.
    """
    is_there = np.zeros(2**16, bool)
    is_there[samples] = True
    all_values, top, shift = np.arange(2**bits), 2**bits - 1, 16 - bits
    shifted = all_values << shift
    ways = (
        shifted,
        shifted | all_values >> (bits - shift),
        (all_values * 65535 + top // 2) // top,
        all_values * 65535 // top,
    )
    return any(np.isin(np.flatnonzero(is_there), stored).all() for stored in ways)


def tiff_bits(page: tifffile.TiffPage) -> int | None:
    """Return the bits used of a sample by MaxSampleValue or a text among the tags; None if unsaid.

    A MaxSampleValue of 2^k - 1 means that k are used. Other values say how bright this one image
    happened to be, and do not count.
    """
    tag = page.tags.get(MAX_SAMPLE_VALUE)
    if tag is not None:
        value = max(tag.value) if isinstance(tag.value, tuple) else tag.value
        bits = int(value).bit_length()
        if FEWEST <= bits <= 16 and value == 2**bits - 1:
            return bits
    return next((bits for text in _texts(page) for bits in _named(text)), None)


def png_bits(data: bytes, samples: NDArray[np.integer]) -> int | None:
    """Return the bits used of a sample by the chunk sBIT; 16 where the samples are scaled to them.

    The specification of PNG wants samples scaled, and often they are not.
    """
    bits = _in_sbit(data)
    if bits is None or samples.dtype != np.uint16:
        return bits
    gray = _without_alpha(samples)
    return 16 if gray.any() and _are_scaled(gray, bits) else bits


def _in_sbit(data: bytes) -> int | None:
    """Return what the chunk sBIT says, which stands before the pixels."""
    at = 8
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == b"sBIT" and size:
            bits = max(data[at + 8 : at + 8 + min(size, 3)])
            return bits if FEWEST <= bits <= MOST else None
        if kind in (b"IDAT", b"IEND"):
            return None
        at += 12 + size
    return None


def _texts(page: tifffile.TiffPage) -> Iterator[str]:
    for tag in page.tags:
        if isinstance(tag.value, str | dict):
            yield str(tag.value)[:LONGEST]


def _named(text: str) -> Iterator[int]:
    for name in NAMED.finditer(text):
        number = NUMBER.match(text, name.end())
        if number and FEWEST <= int(number[1]) <= MOST:
            yield int(number[1])
