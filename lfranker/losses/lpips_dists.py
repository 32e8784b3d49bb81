"""Perceptual distances whose weights were fitted to what people see; both stand on VGG16.

Nothing is downloaded: VGG16's ImageNet weights must be in the cache of Hugging Face or torch. The
fitted weights are files of their authors' packages, of which nothing else is used.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce
from torch import Tensor, nn

from lfranker.losses.structure import require_side
from lfranker.perceptual.vgg import VGG16, VGGFeatures, last_layers, shapes
from lfranker.perceptual.weight_files import IMAGENET, find_imagenet, read_network, read_tensors

SMALLEST = 16  # px a side, for VGG16's four poolings
CHANNELS = (64, 128, 256, 512, 512)  # of VGG16's blocks
DISTS_EPS = 1e-6  # of brightness or feature squared (Ding et al. 2020)
POOL_EPS = 1e-12  # inside the root (Ding et al. 2020)
LPIPS_FILE, DISTS_FILE = ("lpips", "weights/v0.1/vgg.pth"), ("DISTS_pytorch", "weights.pt")


class LPIPS(nn.Module):
    """Learned perceptual image patch similarity, VGG16, version 0.1; >= 0, mean over images.

    (Zhang et al., CVPR 2018, 10.1109/CVPR.2018.00068.) ``fitted``: a weight >= 0 for each channel
    of each block.
    """

    def __init__(self, features: VGGFeatures, fitted: Sequence[Tensor]) -> None:
        super().__init__()
        self.features = features
        for block, weights in enumerate(fitted):
            self.register_buffer(f"fitted_{block}", weights, persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        require_side("lpips", output, SMALLEST)
        with torch.no_grad():
            wanted = [_unit(maps) for maps in self.features(target)]
        found = [_unit(maps) for maps in self.features(output)]
        terms = [
            einsum((f - w).square(), self.get_buffer(f"fitted_{block}"), "b c y x, c -> b y x")
            for block, (f, w) in enumerate(zip(found, wanted, strict=True))
        ]
        return torch.stack([term.mean() for term in terms]).sum()


class DISTS(nn.Module):
    """Deep image structure and texture similarity, VGG16; 0 to about 1, mean over images.

    (Ding et al., TPAMI 2020, 10.1109/TPAMI.2020.3045810.) ``features`` pool by ``l2_pool``;
    ``alpha`` and ``beta`` weigh texture and structure of each channel, the image's three first, and
    are divided by their common sum. Of images of any size (they shrink larger ones to 256 px).
    """

    def __init__(self, features: VGGFeatures, alpha: Tensor, beta: Tensor) -> None:
        super().__init__()
        self.features = features
        total = alpha.sum() + beta.sum()
        self.register_buffer("alpha", alpha / total, persistent=False)
        self.register_buffer("beta", beta / total, persistent=False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        require_side("dists", output, SMALLEST)
        with torch.no_grad():
            wanted = self._channels(target)
        pairs = list(zip(self._channels(output), wanted, strict=True))
        texture, structure = zip(*(_similarities(f, w) for f, w in pairs), strict=True)
        alike = torch.cat(texture, dim=1) @ self.get_buffer("alpha")
        alike = alike + torch.cat(structure, dim=1) @ self.get_buffer("beta")
        return 1 - alike.mean()

    def _channels(self, image: Tensor) -> list[Tensor]:
        return [image.expand(-1, 3, -1, -1), *(F.relu(maps) for maps in self.features(image))]


def l2_pool(maps: Tensor) -> Tensor:
    """Root of the mean square under a 3 x 3 Hann window, at every second pixel."""
    taps = torch.tensor((0.25, 0.5, 0.25), dtype=maps.dtype, device=maps.device)
    kernel = rearrange(torch.outer(taps, taps), "y x -> 1 1 y x").expand(maps.shape[1], 1, 3, 3)
    squares = F.conv2d(maps.square(), kernel, stride=2, padding=1, groups=maps.shape[1])
    return (squares + POOL_EPS).sqrt()


def _unit(maps: Tensor) -> Tensor:
    return F.normalize(F.relu(maps), dim=1, eps=1e-10)


def _similarities(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Similarities of means (texture) and of variations about them (structure), (b, c) each."""
    mean_o, mean_t = (reduce(maps, "b c y x -> b c 1 1", "mean") for maps in (output, target))
    output, target = output - mean_o, target - mean_t
    covariance, variances = (
        reduce(maps, "b c y x -> b c", "mean")
        for maps in (output * target, output.square() + target.square())
    )
    mean_o, mean_t = mean_o[..., 0, 0], mean_t[..., 0, 0]
    texture = (2 * mean_o * mean_t + DISTS_EPS) / (mean_o**2 + mean_t**2 + DISTS_EPS)
    return texture, (2 * covariance + DISTS_EPS) / (variances + DISTS_EPS)


def files_of(loss: str, package: str, file: str) -> tuple[Path, Path]:
    """Find VGG16's file and the fitted weights'; ValueError says how to get what is missing."""
    vgg, found = find_imagenet("vgg16"), find_spec(package)
    fitted = Path(str(found.origin)).parent / file if found else Path(file)
    missing = []
    if vgg is None:
        published = IMAGENET["vgg16"]
        missing.append(
            f"VGG16's ImageNet weights ({published.repository} in the Hugging Face cache or "
            f"{published.torchvision} in {Path(torch.hub.get_dir()) / 'checkpoints'}; "
            f"`hf download {published.repository} {published.file}` fetches them)"
        )
    if not found or not fitted.is_file():
        missing.append(f"the fitted weights (pip install --no-deps {package})")
    if vgg is None or missing:
        raise ValueError(f"{loss}: needs {' and '.join(missing)}; nothing is downloaded")
    return vgg, fitted


def build_lpips() -> LPIPS:
    """Build LPIPS from the files of ``files_of``."""
    vgg, fitted = files_of("lpips", *LPIPS_FILE)
    keys = [f"lin{block}.model.1.weight" for block in range(len(CHANNELS))]
    weights = _complete(fitted, keys, CHANNELS)
    return LPIPS(_vgg16(vgg), weights)


def build_dists() -> DISTS:
    """Build DISTS from the files of ``files_of``."""
    vgg, fitted = files_of("dists", *DISTS_FILE)
    alpha, beta = _complete(fitted, ["alpha", "beta"], (3 + sum(CHANNELS),) * 2)
    return DISTS(_vgg16(vgg, l2=True), alpha, beta)


def _complete(path: Path, keys: Sequence[str], sizes: Sequence[int]) -> list[Tensor]:
    state = read_tensors(path, keys)
    if [state[key].numel() if key in state else 0 for key in keys] != list(sizes):
        raise ValueError(f"{path}: expected {', '.join(keys)} of {list(sizes)} numbers")
    return [state[key].flatten() for key in keys]


def _vgg16(path: Path, *, l2: bool = False) -> VGGFeatures:
    state = read_network(path, "VGG16", shapes(VGG16))
    layers = last_layers(VGG16)
    if l2:
        return VGGFeatures(state, layers, VGG16, l2_pool).eval()
    return VGGFeatures(state, layers, VGG16).eval()
