"""Denoise images of any size with a network. Shipped with every logged model: torch and numpy only.

An image is float32 (h, w) in [0, 1]. What a network says that it needs (`pixel_bytes`, as SCUNet
does) is compared with the memory that is free: an image is taken whole where it fits, which costs
least, and otherwise in the largest tiles that fit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lfranker.arrays import Image
from lfranker.processes.free_memory import free_memory

Span = tuple[slice, Image]  # of one axis: where a tile lies, and its weight at each pixel

PHASE = 64  # px; SCUNet's windows repeat with it, so a tile that starts elsewhere sees others
TILE = 512  # px; of a network that does not say what it needs, or where nobody knows what is free
SHARE = 0.2  # of the free memory, for one image; up to four files are denoised at a time
MOST = 2**32  # bytes for one image: what is free may be shared with others


def denoise(
    network: nn.Module,
    image: Image,
    *,
    tile: int | None = None,
    margin: int = 64,
    out: Image | None = None,
    on_tile: Callable[[int, int], None] | None = None,
) -> Image:
    """``network``'s output for ``image``, clipped to [0, 1]; NaN stays NaN.

    Whole where the image has at most ``tile`` x ``tile`` px, by default as many as fit into memory;
    otherwise in tiles of at most that size that start on multiples of 64. Next to a neighbour, a
    tile's outer ``margin`` px serve as context only, and the ``margin`` px after them fade: a
    network that looks no further than ``margin`` px gives what it gives for the whole image. Runs
    on the network's device.

    Input and ``out`` (float32, of the image's shape; the result is written there and returned)
    may be memory-mapped: beside a tile, only a band of its height is held. ``on_tile`` is told
    the tiles done and their number.
    """
    tile = largest_tile(network, margin) if tile is None else tile
    if tile < 3 * margin + PHASE or margin < 0:
        raise ValueError(
            f"tile={tile}, margin={margin}: a tile needs at least 3 margins + {PHASE} px"
        )
    if image.ndim != 2 or image.size == 0:
        raise ValueError(f"image of shape {image.shape}: (h, w) with h, w >= 1 is needed")
    output = np.empty(image.shape, np.float32) if out is None else out
    if output.shape != image.shape or output.dtype != np.float32:
        raise ValueError(f"out is {output.dtype} {output.shape}; float32 {image.shape} is needed")
    tell = on_tile or (lambda done, total: None)
    with _evaluating(network), torch.inference_mode():
        if image.size <= tile * tile:
            np.clip(_apply(network, image), 0, 1, out=output)
            tell(1, 1)
        else:
            _in_bands(network, image, output, tile, margin, tell)
    return output


def largest_tile(network: nn.Module, margin: int = 64) -> int:
    """Return the side in px, a multiple of 64, of the largest tile that fits into memory."""
    needed = getattr(network, "pixel_bytes", None)
    device = next(network.parameters(), torch.zeros(())).device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    if needed is None or free is None or device.type not in ("cpu", "cuda"):
        return TILE
    side = int((min(SHARE * free, MOST) / needed) ** 0.5) // PHASE * PHASE
    return max(side, -(-3 * margin // PHASE) * PHASE + PHASE)


def _in_bands(
    network: nn.Module,
    image: Image,
    output: Image,
    tile: int,
    margin: int,
    tell: Callable[[int, int], None],
) -> None:
    """Blend row after row of tiles; write rows as soon as no tile to come touches them."""
    height, width = image.shape
    rows, columns = _spans(height, tile, margin), _spans(width, tile, margin)
    ends = [*(row.start for row, _ in rows[1:]), height]
    top, band, done = 0, np.zeros((0, width), np.float32), 0
    for (row, fade_y), end in zip(rows, ends, strict=True):
        missing = np.zeros((row.stop - top - len(band), width), np.float32)
        band = np.concatenate([band, missing])
        for column, fade_x in columns:
            denoised = _apply(network, image[row, column])
            band[row.start - top :, column] += denoised * fade_y[:, None] * fade_x
            done += 1
            tell(done, len(rows) * len(columns))
        np.clip(band[: end - top], 0, 1, out=output[top:end])
        top, band = end, band[end - top :]


def _apply(network: nn.Module, image: Image) -> Image:
    like = next(network.parameters(), torch.zeros(()))
    # A copy: torch refuses read-only arrays, such as memory-mapped files, with a warning.
    batch = torch.from_numpy(np.array(image, np.float32))[None, None]
    output: Tensor = network(batch.to(like.device, like.dtype))
    return output[0, 0].float().cpu().numpy()


def _spans(length: int, tile: int, margin: int) -> list[Span]:
    """Tiles along one axis; at every pixel their weights sum to 1."""
    last = -(-max(length - tile, 0) // PHASE) * PHASE
    step = (tile - 3 * margin) // PHASE * PHASE
    starts = [*range(0, last, step), last]
    slices = [slice(start, min(start + tile, length)) for start in starts]
    total = np.zeros(length, np.float32)
    fades = []
    for part in slices:
        pixel = np.arange(part.start, part.stop)
        left = _fade(pixel - part.start, margin) if part.start > 0 else 1.0
        right = _fade(part.stop - 1 - pixel, margin) if part.stop < length else 1.0
        fade: Image = np.minimum(left, right) * np.ones(len(pixel), np.float32)
        fades.append(fade)
        total[part] += fades[-1]
    return [(part, fade / total[part]) for part, fade in zip(slices, fades, strict=True)]


def _fade(distance: NDArray[np.int_], margin: int) -> Image:
    """0 up to ``margin`` px from a tile's edge, 1 from twice that, a line in between."""
    return np.clip((distance - margin + 0.5) / max(margin, 1), 0, 1).astype(np.float32)


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; every part's own mode again afterwards."""
    modes = [(part, part.training) for part in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
