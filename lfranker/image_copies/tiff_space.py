"""Room in a TIFF file: where the pixels of a page lie that nothing else reaches into."""

import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import tifffile

from lfranker.image_copies.tiff_directory import end_of

Span = tuple[int, int]  # first byte, and the byte after the last one


def pixel_spans(page: tifffile.TiffPage) -> list[Span]:
    """Return where the strips or tiles of ``page`` lie."""
    places = zip(page.dataoffsets, page.databytecounts, strict=False)
    return [(offset, offset + size) for offset, size in places]


def overlapping_tags(page: tifffile.TiffPage) -> list[tifffile.TiffTag]:
    """Return the tags of ``page`` whose value reaches into its pixels; a Merlin (Zeiss) has one."""
    return [tag for tag in page.tags if _meet(_span_of(tag), pixel_spans(page))]


def free_spans(tiff: tifffile.TiffFile, page: tifffile.TiffPage, size: int) -> list[Span]:
    """Return where the pixels of ``page`` lie, in order, less what others use.

    Others are lists of tags, their values (but for ``overlapping_tags``) and the pixels of other
    pages. ``size`` is that of the file.
    """
    moved = {tag.code for tag in overlapping_tags(page)}
    used = [_span_of(tag) for tag in page.tags if tag.code not in moved]
    used += [(page.offset, page.offset + _length_of_directory(tiff, page))]
    for other in _all_pages(tiff):
        if other.offset != page.offset:
            used += [_span_of(tag) for tag in other.tags]
            used += [(other.offset, other.offset + _length_of_directory(tiff, other))]
            used += pixel_spans(other)
    free = _merged([(start, min(end, size)) for start, end in pixel_spans(page)])
    for start, end in used:
        free = [part for span in free for part in _without(span, (start, end))]
    return free


def place(file: BinaryIO, parts: Sequence[bytes], free: Sequence[Span]) -> list[int]:
    """Write ``parts`` into the ``free`` spans, what finds no room to the end; return offsets.

    A span at the end of the file has room for any part. What is left of the spans is filled with
    zeros, or cut off at the end of the file.
    """
    room = list(free)
    offsets = []
    for part in parts:
        last = file.seek(0, os.SEEK_END)
        fits = (i for i, (start, end) in enumerate(room) if end - start >= len(part) or end == last)
        at = next(fits, None)
        if at is None:
            offset = end_of(file)
        else:
            offset = room[at][0]
            after = offset + len(part)
            end = max(after, room[at][1])
            room[at] = (min(after + after % 2, end), end)
        file.seek(offset)
        file.write(part)
        offsets.append(offset)
    _clear(file, room)
    return offsets


def _clear(file: BinaryIO, spans: Sequence[Span]) -> None:
    for start, end in spans:
        if end == file.seek(0, os.SEEK_END):
            file.truncate(start)
            continue
        file.seek(start)
        file.write(bytes(end - start))


def _all_pages(tiff: tifffile.TiffFile) -> Iterator[tifffile.TiffPage]:
    """Yield the pages, and those below them, which hold the levels of a pyramid."""
    for page in tiff.pages:
        if isinstance(page, tifffile.TiffPage):
            yield page
            yield from (sub for sub in page.pages or () if isinstance(sub, tifffile.TiffPage))


def _length_of_directory(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    form = tiff.tiff
    return int(form.tagnosize + len(page.tags) * form.tagsize + form.offsetsize)


def _span_of(tag: tifffile.TiffTag) -> Span:
    return tag.valueoffset, tag.valueoffset + tag.valuebytecount


def _meet(one: Span, others: Sequence[Span]) -> bool:
    return any(one[0] < end and start < one[1] for start, end in others)


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > start:
            merged.append((start, end))
    return merged


def _without(span: Span, used: Span) -> list[Span]:
    before, after = (span[0], min(span[1], used[0])), (max(span[0], used[1]), span[1])
    if not _meet(span, [used]):
        return [span]
    return [part for part in (before, after) if part[0] < part[1]]
