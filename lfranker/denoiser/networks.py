"""Networks by name: SCUNet, and those of spandrel (PyPI), which the extra `networks` brings.

Shipped with every logged model. Networks of spandrel are built for one channel and without batch
normalisation, whose running means the average of the weights would not have. They see no border
that training did not show them: an image is padded by replication, as for SCUNet.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from lfranker.denoiser.scunet import SCUNet

SCUNET = "scunet"
PACKAGE = "spandrel"
LAYERS = 17  # of a DnCNN, as published
DOWN, BODY, UP = slice(0, 3), 3, slice(4, 7)  # of the stages, as SCUNet counts them


class Padded(nn.Module):
    """Any (b, 1, h, w) to the same shape, by a network that takes multiples of some pixels."""

    def __init__(self, network: nn.Module, multiple: int, maps: float) -> None:
        super().__init__()
        self.network, self.multiple = network, multiple
        self.pixel_bytes = int(4 * maps)  # that inference takes for each pixel of an image

    def forward(self, image: Tensor) -> Tensor:
        h, w = image.shape[-2:]
        padding = (0, -w % self.multiple, 0, -h % self.multiple)
        output = self.network(F.pad(image, padding, mode="replicate"))
        return cast(Tensor, output[..., :h, :w])


def _nafnet(width: int, blocks: Sequence[int]) -> nn.Module:
    from spandrel.architectures.NAFNet import NAFNet

    return NAFNet(
        img_channel=1, width=width, middle_blk_num=blocks[BODY],
        enc_blk_nums=list(blocks[DOWN]), dec_blk_nums=list(blocks[UP]),
    )  # fmt: skip


def _drunet(width: int, blocks: Sequence[int]) -> nn.Module:
    from spandrel.architectures.DRUNet import DRUNet

    return DRUNet(in_nc=1, nc=[width * 2**level for level in range(4)], nb=max(blocks))


def _dncnn(width: int, blocks: Sequence[int]) -> nn.Module:
    from spandrel.architectures.DnCNN import DnCNN

    return DnCNN(in_nc=1, out_nc=1, nc=width, nb=LAYERS, act_mode="R")


@dataclass(frozen=True)
class SpandrelNetwork:
    """A network of spandrel: how it is built of its width and the blocks of its stages."""

    build: Callable[[int, Sequence[int]], nn.Module]
    multiple: int  # px, that its input must have
    maps: float  # of full resolution and `width` channels that inference holds at most (counted)


FOREIGN = {
    "nafnet": SpandrelNetwork(_nafnet, 8, 9.0),
    "drunet": SpandrelNetwork(_drunet, 8, 6.0),
    "dncnn": SpandrelNetwork(_dncnn, 1, 2.1),
}
NETWORKS = (SCUNET, *FOREIGN)
TITLES = {SCUNET: "SCUNet", "nafnet": "NAFNet", "drunet": "DRUNet", "dncnn": "DnCNN"}


def require(name: str) -> None:
    """Raise ValueError saying what to install where a network's package is missing."""
    if name in FOREIGN and find_spec(PACKAGE) is None:
        raise ValueError(
            f"network {name} needs the package {PACKAGE}: `pip install 'lfranker[networks]'`, or "
            f"take network {SCUNET}"
        )


def build(settings: Mapping[str, Any]) -> nn.Module:
    """Build a network with initial weights by torch's generator.

    ``settings``: `network`, `width` and `config`, the blocks of its stages; or, where there is no
    `network` among them, the arguments of SCUNet. Raises ValueError where a package is missing.
    """
    name = settings.get("network", SCUNET)
    if name == SCUNET:
        return SCUNet(**settings)
    require(name)
    known, width = FOREIGN[name], int(settings["width"])
    return Padded(known.build(width, settings["config"]), known.multiple, known.maps * width)
