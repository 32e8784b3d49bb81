"""Finding, checking and loading the weights of the perceptual network, VGG19."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import torch
from torch import Tensor, nn

from lfranker.losses.perceptual import LAYERS, Convolution, VGGFeatures, convolutions_for
from lfranker.losses.spec import PERCEPTUAL_RANDOM
from lfranker.weight_files import IMAGENET, find_imagenet, read_tensors

HUB_REPOSITORY, HUB_FILE, TORCHVISION_FILE = IMAGENET["vgg19"]  # 575 MB, the last 548 MB
SUFFIXES = (".safetensors", ".pth", ".pt")
PROBE_TIMEOUT = 5.0  # s
REMEDY = (
    "run once online with weights `imagenet`, which downloads 575 MB, or pass the path of a VGG19 "
    f"file ({', '.join(SUFFIXES)}), or pass `random` knowingly: its results are named "
    f"{PERCEPTUAL_RANDOM}"
)


@dataclass(frozen=True)
class PerceptualWeights:
    kind: str  # "imagenet", "file" or "random"
    path: Path | None  # None where random
    digest: str  # first 16 hex digits of the file's SHA-256, or "random-<seed>"
    seed: int = 0  # of random weights
    notice: str = ""  # what the user should be told, if anything

    @property
    def label(self) -> str:
        """Under which the loss is shown and ranked."""
        return PERCEPTUAL_RANDOM if self.kind == "random" else "perceptual"


def download_imagenet() -> Path:
    """Into the Hugging Face cache, with its progress bar; ConnectionError when it cannot be had."""
    try:
        # The client's own retries take 24 s to find out that there is no network.
        url = huggingface_hub.hf_hub_url(HUB_REPOSITORY, HUB_FILE)
        huggingface_hub.get_session().head(url, timeout=PROBE_TIMEOUT)
        return Path(huggingface_hub.hf_hub_download(HUB_REPOSITORY, HUB_FILE))
    except Exception as error:  # its HTTP library, and so the error's base, differs by version
        reason = f"{type(error).__name__}: {error}"
        raise ConnectionError(f"{HUB_REPOSITORY} could not be downloaded ({reason})") from error


def resolve_weights(
    choice: str, *, random_allowed: bool, download: bool, seed: int = 0
) -> PerceptualWeights:
    """Which weights ``choice`` means: ``auto``, ``imagenet``, ``random`` or the path of a file.

    ``auto`` is ImageNet from disk, else by download if ``download``, else random if
    ``random_allowed``. ValueError saying what to do where nothing can be had.
    """
    if choice == "random":
        return _random(seed)
    if choice not in ("auto", "imagenet"):
        return _from_file("file", Path(choice))
    path = find_imagenet()
    problem = f"VGG19 weights are not on this disk, sought {HUB_REPOSITORY} and {TORCHVISION_FILE}"
    if path is None and download:
        try:
            path = download_imagenet()
        except ConnectionError as error:
            problem = f"{problem}; {error}"
    if path is not None:
        return _from_file("imagenet", path)
    if choice == "auto" and random_allowed:
        return _random(seed, f"{problem}; going on with random weights")
    raise ValueError(f"perceptual weights `{choice}`: {problem}; {REMEDY}")


def _random(seed: int, notice: str = "") -> PerceptualWeights:
    return PerceptualWeights("random", None, f"random-{seed}", seed, notice)


def _from_file(kind: str, path: Path) -> PerceptualWeights:
    if path.suffix not in SUFFIXES or not path.is_file():
        raise ValueError(
            f"perceptual weights `{path}`: expected `auto`, `imagenet`, `random` or an existing "
            f"file ending in {', '.join(SUFFIXES)}"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return PerceptualWeights(kind, path, digest)


def load_features(weights: PerceptualWeights, layers: Sequence[str] = tuple(LAYERS)) -> VGGFeatures:
    """The frozen network up to the deepest of ``layers``; ValueError where the file is no VGG19."""
    plan = convolutions_for(layers)
    if weights.path is None:
        return VGGFeatures(random_state(plan, weights.seed), layers).eval()
    wanted = {f"{conv.key}.{part}" for conv in plan for part in ("weight", "bias")}
    state = read_tensors(weights.path, wanted)
    if missing := sorted(wanted - set(state)):
        raise ValueError(f"{weights.path}: not a VGG19, {', '.join(missing)} missing")
    for conv in plan:
        shape = (conv.channels_out, conv.channels_in, 3, 3)
        found = tuple(state[f"{conv.key}.weight"].shape)
        if found != shape or state[f"{conv.key}.bias"].shape != shape[:1]:
            raise ValueError(
                f"{weights.path}: not a VGG19, {conv.key}.weight is {found}, expected {shape}"
            )
    return VGGFeatures(state, layers).eval()


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
