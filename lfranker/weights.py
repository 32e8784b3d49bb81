"""Finding, checking and loading the weights of the perceptual network, a VGG."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import huggingface_hub
import torch
from torch import Tensor, nn

from lfranker.losses.perceptual import (
    NETWORKS,
    Convolution,
    VGGFeatures,
    convolutions_for,
    last_layers,
    shapes,
)
from lfranker.losses.spec import PERCEPTUAL_RANDOM
from lfranker.weight_files import IMAGENET, find_imagenet, read_network

DEFAULT = "vgg19"
SUFFIXES = (".safetensors", ".pth", ".pt")
PROBE_TIMEOUT = 5.0  # s
REMEDY = (
    "run once online with weights `imagenet`, which downloads some 570 MB, or pass the path of a "
    f"file of the same network ({', '.join(SUFFIXES)}), or pass `random` knowingly: its "
    f"results are named {PERCEPTUAL_RANDOM}"
)


@dataclass(frozen=True)
class PerceptualWeights:
    kind: str  # "imagenet", "file" or "random"
    path: Path | None  # None where random
    digest: str  # first 16 hex digits of the file's SHA-256, or "random-<seed>"
    seed: int = 0  # of random weights
    notice: str = ""  # what the user should be told, if anything
    network: str = DEFAULT  # of NETWORKS

    @property
    def label(self) -> str:
        """Under which the loss is shown and ranked."""
        return PERCEPTUAL_RANDOM if self.kind == "random" else "perceptual"

    @property
    def fact(self) -> str:
        """What tells these weights from all others: the digest, after a network not VGG19."""
        return self.digest if self.network == DEFAULT else f"{self.network}-{self.digest}"

    @property
    def choice(self) -> str:
        """For ``resolve_weights`` to give the same without a download."""
        what = str(self.path or self.kind)
        return what if self.network == DEFAULT else f"{self.network}:{what}"


def download_imagenet(network: str = DEFAULT) -> Path:
    """Into the Hugging Face cache, with its progress bar; ConnectionError when it cannot be had."""
    repository, file, _ = IMAGENET[network]
    try:
        # The client's own retries take 24 s to find out that there is no network.
        url = huggingface_hub.hf_hub_url(repository, file)
        huggingface_hub.get_session().head(url, timeout=PROBE_TIMEOUT)
        return Path(huggingface_hub.hf_hub_download(repository, file))
    except Exception as error:  # its HTTP library, and so the error's base, differs by version
        reason = f"{type(error).__name__}: {error}"
        raise ConnectionError(f"{repository} could not be downloaded ({reason})") from error


def resolve_weights(
    choice: str, *, random_allowed: bool, download: bool, seed: int = 0
) -> PerceptualWeights:
    """Which weights ``choice`` means: ``auto``, ``imagenet``, ``random`` or the path of a file.

    Of VGG19, or with ``vgg16:`` before it of VGG16. ``auto`` is ImageNet from disk, else by
    download if ``download``, else random if ``random_allowed``. ValueError saying what to do where
    nothing can be had.
    """
    before, colon, after = choice.partition(":")
    network, choice = (before, after) if colon and before in NETWORKS else (DEFAULT, choice)
    random = PerceptualWeights("random", None, f"random-{seed}", seed, network=network)
    if choice == "random":
        return random
    if choice not in ("auto", "imagenet"):
        return _from_file("file", Path(choice), network)
    path, (repository, _, torchvision) = find_imagenet(network), IMAGENET[network]
    problem = (
        f"{network.upper()} weights are not on this disk, sought {repository} and {torchvision}"
    )
    if path is None and download:
        try:
            path = download_imagenet(network)
        except ConnectionError as error:
            problem = f"{problem}; {error}"
    if path is not None:
        return _from_file("imagenet", path, network)
    if choice == "auto" and random_allowed:
        return replace(random, notice=f"{problem}; going on with random weights")
    raise ValueError(f"perceptual weights `{choice}`: {problem}; {REMEDY}")


def _from_file(kind: str, path: Path, network: str) -> PerceptualWeights:
    if path.suffix not in SUFFIXES or not path.is_file():
        raise ValueError(
            f"perceptual weights `{path}`: expected `auto`, `imagenet`, `random` or an existing "
            f"file ending in {', '.join(SUFFIXES)}, or `NETWORK:` and one of these for another "
            f"network than {DEFAULT} of {', '.join(NETWORKS)}"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return PerceptualWeights(kind, path, digest, network=network)


def load_features(weights: PerceptualWeights, layers: Sequence[str] = ()) -> VGGFeatures:
    """The frozen network up to the deepest of ``layers``, else of its five.

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
