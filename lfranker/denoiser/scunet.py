"""SCUNet, the denoiser (Zhang et al., Mach. Intell. Res. 2023, 10.1007/s11633-023-1466-0).

A U-Net whose blocks run half of the channels through a residual convolution and half through
window attention (Swin). Parameters carry the names of the published checkpoints (cszn/SCUNet), so
these load with ``strict=True``. There is no global residual and no output clamp. Published drop
path is zero and left out.

Axes: b batch, c channels, h w image, i j windows down and across, p q tokens of a window (query,
key), k heads, d channels of a head.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

WINDOW = 8  # px
MULTIPLE = 8 * WINDOW  # three halvings must leave whole windows
DEPTHS = 7  # three levels down, the body, three levels up
STRIP = 2**19  # values of a strip: what a block makes of them stays in a processor's cache
GPU_STRIP = 2**27  # 512 MiB
LARGEST = 3.5  # maps of full resolution that inference holds at most (counted at dim 64)


@lru_cache(maxsize=24)  # three sizes, of images or strips, at four levels, and as many others
def seam_mask(down: int, across: int, device: torch.device) -> Tensor:
    """True where two tokens of a shifted window are not neighbours in the image.

    The cyclic shift by half a window brings opposite edges together in the last row and the last
    column of windows. Bool (down * across, 1, p, q).
    """
    # Made outside inference mode: a mask first used there could not serve training later.
    with torch.inference_mode(False):
        rows = torch.zeros(down, WINDOW, dtype=torch.int64, device=device)
        columns = torch.zeros(across, WINDOW, dtype=torch.int64, device=device)
        rows[-1, WINDOW // 2 :] = 2
        columns[-1, WINDOW // 2 :] = 1
        part = rearrange(rows, "i y -> i 1 y 1") + rearrange(columns, "j x -> 1 j 1 x")
        part = rearrange(part, "i j y x -> (i j) (y x)")
        return rearrange(part, "n p -> n 1 p 1") != rearrange(part, "n q -> n 1 1 q")


def relative_positions() -> Tensor:
    """Return the index of each token pair's offset in a (2 WINDOW - 1)^2 table: (p, q, 2)."""
    token = torch.arange(WINDOW**2)
    place = torch.stack((token // WINDOW, token % WINDOW), dim=-1)
    return rearrange(place, "p a -> p 1 a") - rearrange(place, "q a -> 1 q a") + WINDOW - 1


class WindowAttention(nn.Module):
    """Self-attention within windows of 8 x 8, laid half a window further if ``shifted``."""

    offset: Tensor

    def __init__(self, channels: int, head_dim: int, shifted: bool) -> None:
        super().__init__()
        self.heads, self.head_dim, self.shifted = channels // head_dim, head_dim, shifted
        side = 2 * WINDOW - 1
        self.embedding_layer = nn.Linear(channels, 3 * channels)
        self.relative_position_params = nn.Parameter(torch.empty(self.heads, side, side))
        nn.init.trunc_normal_(self.relative_position_params, std=0.02)
        self.linear = nn.Linear(channels, channels)
        self.register_buffer("offset", relative_positions(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(b, h, w, c) to the same; h and w are multiples of 8."""
        half = WINDOW // 2
        if self.shifted:
            x = torch.roll(x, (-half, -half), (1, 2))
        down, across = x.shape[1] // WINDOW, x.shape[2] // WINDOW
        x = rearrange(x, "b (i y) (j x) c -> b (i j) (y x) c", y=WINDOW, x=WINDOW)
        q, k, v = rearrange(
            self.embedding_layer(x),
            "b n p (three k d) -> three b n k p d",
            three=3,
            d=self.head_dim,
        )
        below, right = self.offset.unbind(-1)
        # Written out: given this learned bias, scaled_dot_product_attention took 2 to 8 % longer a
        # training step on one CPU thread (dim 16 and 32, batch 8 of 64 x 64).
        logits = (q * self.head_dim**-0.5) @ rearrange(k, "b n k p d -> b n k d p")
        logits = logits + self.relative_position_params[:, below, right]  # float32 under autocast
        if self.shifted:
            logits = logits.masked_fill_(seam_mask(down, across, x.device), -math.inf)
        x = rearrange(logits.softmax(-1) @ v, "b n k p d -> b n p (k d)")
        x = self.linear(x)
        x = rearrange(x, "b (i j) (y x) c -> b (i y) (j x) c", i=down, y=WINDOW)
        return torch.roll(x, (half, half), (1, 2)) if self.shifted else x


class TransformerBlock(nn.Module):
    def __init__(self, channels: int, head_dim: int, shifted: bool) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(channels)
        self.msa = WindowAttention(channels, head_dim, shifted)
        self.ln2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.msa(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class ConvTransBlock(nn.Module):
    """Half of the channels through convolutions, half through attention, mixed by 1 x 1."""

    def __init__(self, channels: int, head_dim: int, shifted: bool) -> None:
        super().__init__()
        half = channels // 2
        self.shifted = shifted
        self.reach = WINDOW if shifted else 2  # rows beyond its own that an output depends on
        self.trans_block = TransformerBlock(half, head_dim, shifted)
        self.conv1_1 = nn.Conv2d(channels, channels, 1)
        self.conv1_2 = nn.Conv2d(channels, channels, 1)
        self.conv_block = nn.Sequential(
            nn.Conv2d(half, half, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, half, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor, above: int = 0, below: int = 0) -> Tensor:
        """(b, c, h, w) to (b, c, h - above - below, w).

        The first rows ``above`` and the last ``below`` are context alone: where they are
        ``reach`` rows of a larger image, the others come out as they do there.
        """
        own = slice(above, x.shape[2] - below)
        conv, trans = self.conv1_1(x).chunk(2, dim=1)
        conv = conv + self.conv_block(conv)
        if not self.shifted:  # no window looks at the context
            trans = trans[:, :, own]
        trans = self.trans_block(rearrange(trans, "b c h w -> b h w c"))
        trans = rearrange(trans, "b h w c -> b c h w")
        if self.shifted:
            trans = trans[:, :, own]
        return x[:, :, own] + self.conv1_2(torch.cat((conv[:, :, own], trans), dim=1))


def run_stage(stage: nn.Sequential, x: Tensor) -> Tensor:
    """Return ``stage(x)``; in inference mode, a large image goes through blocks in strips."""
    limit = STRIP if x.device.type == "cpu" else GPU_STRIP
    if not torch.is_inference_mode_enabled() or len(x) > 1:
        return cast(Tensor, stage(x))
    own = False  # x, which the stage was given, is still wanted
    for layer in stage:
        rows = max(limit // x[:, :, 0].numel() // WINDOW, 1) * WINDOW
        if isinstance(layer, ConvTransBlock) and rows < x.shape[2]:
            x = in_strips(layer, x, rows, x if own else torch.empty_like(x))
        else:
            x = layer(x)
        own = True
    return x


def in_strips(block: ConvTransBlock, x: Tensor, rows: int, out: Tensor) -> Tensor:
    """Write ``block(x)`` into ``out``, which may be x, strips of ``rows`` rows at a time.

    Exact: each strip has as many rows of context as the block looks at.
    """
    height, above = x.shape[2], x[:, :, :0]
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        end = min(bottom + block.reach, height)
        strip = torch.cat((above, x[:, :, top:end]), dim=2) if top else x[:, :, :end]
        kept = x[:, :, bottom - block.reach : bottom].clone()  # before out, if it is x, loses them
        out[:, :, top:bottom] = block(strip, above.shape[2], end - bottom)
        above = kept
    return out


class SCUNet(nn.Module):
    """Any (b, in_nc, h, w) to the same shape.

    ``config`` counts the blocks of the three levels down, the body, and the three levels up;
    ``dim`` is the number of channels at full resolution, doubled at each level. Half of them are
    split into heads of ``head_dim`` (32 as published).
    """

    def __init__(
        self,
        in_nc: int = 1,
        config: Sequence[int] = (4,) * DEPTHS,
        dim: int = 64,
        head_dim: int = 32,
    ) -> None:
        super().__init__()
        if len(config) != DEPTHS or min(config) < 0:
            raise ValueError(
                f"config={list(config)}: expected {DEPTHS} counts of blocks, each >= 0"
            )
        if min(in_nc, dim, head_dim) < 1 or dim % (2 * head_dim):
            raise ValueError(
                f"in_nc={in_nc}, dim={dim}, head_dim={head_dim}: each must be positive and dim / 2 "
                f"a multiple of head_dim"
            )

        def blocks(count: int, channels: int) -> list[nn.Module]:
            return [ConvTransBlock(channels, head_dim, bool(i % 2)) for i in range(count)]

        def down(count: int, channels: int) -> nn.Sequential:
            halve = nn.Conv2d(channels, 2 * channels, 2, stride=2, bias=False)
            return nn.Sequential(*blocks(count, channels), halve)

        def up(count: int, channels: int) -> nn.Sequential:
            double = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2, bias=False)
            return nn.Sequential(double, *blocks(count, channels))

        self.pixel_bytes = int(4 * LARGEST * dim)  # that inference takes for each pixel of an image
        self.m_head = nn.Sequential(nn.Conv2d(in_nc, dim, 3, padding=1, bias=False))
        self.m_down1 = down(config[0], dim)
        self.m_down2 = down(config[1], 2 * dim)
        self.m_down3 = down(config[2], 4 * dim)
        self.m_body = nn.Sequential(*blocks(config[3], 8 * dim))
        self.m_up3 = up(config[4], 4 * dim)
        self.m_up2 = up(config[5], 2 * dim)
        self.m_up1 = up(config[6], dim)
        self.m_tail = nn.Sequential(nn.Conv2d(dim, in_nc, 3, padding=1, bias=False))

    def forward(self, image: Tensor) -> Tensor:
        h, w = image.shape[-2:]
        padding = (0, -w % MULTIPLE, 0, -h % MULTIPLE)
        x1 = self.m_head(F.pad(image, padding, mode="replicate"))
        x2 = run_stage(self.m_down1, x1)
        x3 = run_stage(self.m_down2, x2)
        x4 = run_stage(self.m_down3, x3)
        x = run_stage(self.m_body, x4)
        # In place, and each skip is let go: at full resolution they are most of the memory.
        x = run_stage(self.m_up3, x.add_(x4))
        del x4
        x = run_stage(self.m_up2, x.add_(x3))
        del x3
        x = run_stage(self.m_up1, x.add_(x2))
        del x2
        return cast(Tensor, self.m_tail(x.add_(x1))[..., :h, :w])
