"""Finding, checking and loading the weights of the perceptual network: a VGG, or one of timm."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import huggingface_hub
import torch
from torch import Tensor, nn

from lfranker.files import looked_for
from lfranker.perceptual import timm_backbones
from lfranker.perceptual.vgg import (
    NETWORKS,
    Convolution,
    Features,
    VGGFeatures,
    convolutions_for,
    last_layers,
    shapes,
)
from lfranker.perceptual.weight_files import IMAGENET, Published, find_published, read_network

PERCEPTUAL_RANDOM = "perceptual-random"  # the shown name of ``perceptual`` with random weights
DEFAULT = "vgg19"
SUFFIXES = (".safetensors", ".pth", ".pt")
PROBE_TIMEOUT = 5.0  # s
REMEDY = (
    "run once online with weights `imagenet`, which downloads them (VGG: some 570 MB), or pass "
    f"the path of a file of the same network ({', '.join(SUFFIXES)}), or do without: "
    f"-P perceptual=random, whose results are named {PERCEPTUAL_RANDOM}"
)


@dataclass(frozen=True)
class PerceptualWeights:
    kind: str  # "imagenet", "file" or "random"
    path: Path | None  # None where random
    digest: str  # first 16 hex digits of the file's SHA-256, or "random-<seed>"
    seed: int = 0  # of random weights
    notice: str = ""  # what the user should be told, if anything
    network: str = DEFAULT  # of NETWORKS, or timm/NAME

    @property
    def label(self) -> str:
        """Name under which the loss is shown and ranked."""
        return PERCEPTUAL_RANDOM if self.kind == "random" else "perceptual"

    @property
    def fact(self) -> str:
        """Identity of these weights: the digest, after the network's name unless it is VGG19."""
        return self.digest if self.network == DEFAULT else f"{self.network}-{self.digest}"

    @property
    def choice(self) -> str:
        """Text for which ``resolve_weights`` gives the same without a download."""
        what = str(self.path or self.kind)
        return what if self.network == DEFAULT else f"{self.network}:{what}"


def published(network: str) -> Published | None:
    """Return the location of the network's published weights, if any."""
    name = network.removeprefix(timm_backbones.PREFIX)
    return IMAGENET[network] if name == network else timm_backbones.published(name)


def download_imagenet(where: Published) -> Path:
    """Download to the Hugging Face cache, with its progress bar; ConnectionError where it fails."""
    try:
        # The client's own retries take 24 s to find out that there is no network.
        url = huggingface_hub.hf_hub_url(where.repository, where.file)
        huggingface_hub.get_session().head(url, timeout=PROBE_TIMEOUT)
        # the newest revision: the digest of what came is logged, and determines the trainings
        return Path(huggingface_hub.hf_hub_download(where.repository, where.file))  # nosec B615
    except Exception as error:  # its HTTP library, and so the error's base, differs by version
        reason = f"{type(error).__name__}: {error}"
        raise ConnectionError(f"{where.repository} could not be downloaded ({reason})") from error


def resolve_weights(
    choice: str, *, random_allowed: bool, download: bool, seed: int = 0
) -> PerceptualWeights:
    """Find the weights of ``choice``: ``auto``, ``imagenet``, ``random`` or the path of a file.

    Of VGG19, or with ``vgg16:`` before it of VGG16, or with ``timm/NAME:`` of that network of timm,
    whose ``imagenet`` weights are those that timm publishes, whatever they were trained on.
    ``auto`` is ImageNet from disk, else by download if ``download``, else random if
    ``random_allowed``. ValueError saying what to do where nothing can be had.
    """
    network, what = _parted(choice)
    random = PerceptualWeights("random", None, f"random-{seed}", seed, network=network)
    if what == "random":
        return random
    if what not in ("auto", "imagenet"):
        return _from_file("file", Path(what), network)
    path, problem = _imagenet(network, download)
    if path is not None:
        return _from_file("imagenet", path, network)
    if what == "auto" and random_allowed:
        return replace(random, notice=f"{problem}; going on with random weights")
    raise ValueError(f"perceptual weights `{choice}`: {problem}; {REMEDY}")


def _parted(choice: str) -> tuple[str, str]:
    """The network, and what is chosen of it."""
    before, colon, after = choice.partition(":")
    if colon and before in NETWORKS:
        return before, after
    if colon and before.startswith(timm_backbones.PREFIX):
        name = timm_backbones.full_name(before.removeprefix(timm_backbones.PREFIX))
        return timm_backbones.PREFIX + name, after
    return DEFAULT, choice


def _imagenet(network: str, download: bool) -> tuple[Path | None, str]:
    """ImageNet's weights, or None and why."""
    where, shown = published(network), network.upper() if network in NETWORKS else network
    if where is None:
        return None, f"there are no published weights of {shown}"
    path, sought = find_published(where), " and ".join(filter(None, (where[0], where[2])))
    problem = f"{shown} weights are not on this disk, sought {sought}"
    if path is None and download:
        try:
            path = download_imagenet(where)
        except ConnectionError as error:
            problem = f"{problem}; {error}"
    return path, problem


def _from_file(kind: str, path: Path, network: str) -> PerceptualWeights:
    if path.suffix not in SUFFIXES or not path.is_file():
        missing = f" (no such file{looked_for(path)})" if path.suffix in SUFFIXES else ""
        raise ValueError(
            f"perceptual weights `{path}`{missing}: expected `auto`, `imagenet`, `random` or an "
            f"existing file ending in {', '.join(SUFFIXES)}, or `NETWORK:` and one of these for "
            f"another network than {DEFAULT} of {', '.join(NETWORKS)}, {timm_backbones.PREFIX}NAME"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return PerceptualWeights(kind, path, digest, network=network)


def load_levels(weights: PerceptualWeights, count: int) -> Features:
    """The frozen network up to the ``count``-th of its levels, or all where it has fewer.

    ValueError where the file is of another network.
    """
    if weights.network in NETWORKS:
        return load_features(weights, last_layers(NETWORKS[weights.network])[:count])
    name = weights.network.removeprefix(timm_backbones.PREFIX)
    return timm_backbones.load_backbone(name, weights.path, weights.seed, count)


def load_features(weights: PerceptualWeights, layers: Sequence[str] = ()) -> VGGFeatures:
    """The frozen VGG up to the deepest of ``layers``, else of its five.

    ValueError where the file is of another network.
    """
    network = NETWORKS[weights.network]
    layers = layers or last_layers(network)
    plan = convolutions_for(layers, network)
    if weights.path is None:
        state = random_state(plan, weights.seed)
    else:
        state = read_network(weights.path, weights.network.upper(), shapes(plan))
    return VGGFeatures(state, layers, network).eval()


def random_state(plan: Sequence[Convolution], seed: int) -> dict[str, Tensor]:
    """Kaiming normal by fan-in with zero bias, which keeps the scale of features with depth.

    (He et al., ICCV 2015, 10.1109/ICCV.2015.123. PyTorch's default for convolutions shrinks the
    deep features to nothing.) A layer's weights do not depend on how many follow.
    """
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for conv in plan:
        weight = torch.empty(conv.channels_out, conv.channels_in, 3, 3)
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
        state[f"{conv.key}.weight"] = weight
        state[f"{conv.key}.bias"] = torch.zeros(conv.channels_out)
    return state
