"""Progress of a training: points of its curves, and its validation."""

from collections import defaultdict
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn

from lfranker.datasets.patch_dataset import Dataset
from lfranker.training.batches import Batch, to_batch, with_noisy_targets
from lfranker.training.trainer import Step

VALIDATION_PATCHES = 64  # at most, the same ones at every point of every run
BATCH = 16
SHARE = "train/share/"  # of a term in the gradient at the output, along training
MEAN_SHARE = "train/mean_share/"  # of a term in the gradient, the mean of its curve


class Curves:
    """Means of the steps since the last point."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = defaultdict(list)

    def add(self, step: Step) -> None:
        values = {"loss": step.loss, "gradient_norm": step.gradient_norm, **step.terms}
        values |= {"clipped": float(step.clipped), "seconds_per_step": step.seconds}
        for name, value in values.items():
            self._values[f"train/{name}"].append(value)
        for name, value in step.shares.items():
            self._values[f"{SHARE}{name}"].append(value)

    def point(self) -> dict[str, float]:
        """Means by metric name, `train/loss`, `train/share/mae` and so on; starts anew."""
        means = {name: fmean(values) for name, values in self._values.items()}
        self._values.clear()
        return means


def validate(network: nn.Module, data: Dataset, device: torch.device) -> dict[str, float]:
    """`val/psnr` (dB) and `val/ssim` of `network`, means over validation patches; {} without any.

    SSIM as everywhere: Gaussian window, sigma 1.5, population covariance (Wang et al. 2004).
    Where the targets are noisy, so are both numbers: they tell one point of a training from
    another, and not what is reached. Where pixels are hidden, PSNR is that of the hidden ones,
    which are the same at every point; SSIM is left out, since windows have others in them too.
    """
    indices = data.validation[:VALIDATION_PATCHES]
    if not len(indices):
        return {}
    psnr, ssim = [], []
    with torch.inference_mode():
        for start in range(0, len(indices), BATCH):
            chosen = np.sort(indices[start : start + BATCH])
            batch = _validation_batch(data, chosen)
            outputs = network(batch.noisy.to(device)).clamp(0, 1).cpu()
            if batch.hidden is not None:
                psnr += _psnr_where(batch.hidden, outputs, batch.clean)
                continue
            for output, clean in zip(outputs.numpy()[:, 0], batch.clean.numpy()[:, 0], strict=True):
                psnr.append(float(peak_signal_noise_ratio(clean, output, data_range=1)))
                ssim.append(float(_ssim(output, clean)))
    return {"val/psnr": fmean(psnr), **({"val/ssim": fmean(ssim)} if ssim else {})}


def _validation_batch(data: Dataset, chosen: NDArray[np.intp]) -> Batch:
    """Return pairs as a training sees them, with a generator of its own for each."""
    drawn = Batch(to_batch(data.noisy[chosen]), to_batch(data.clean[chosen]))
    seed = data.config.seed
    generators = [np.random.default_rng((seed, int(index))) for index in chosen]
    return with_noisy_targets(data, drawn, [int(index) for index in chosen], generators)


def _psnr_where(hidden: Tensor, outputs: Tensor, clean: Tensor) -> list[float]:
    """Return the PSNR of each patch over its hidden pixels, dB."""
    squares = torch.where(hidden, (outputs - clean).double() ** 2, 0.0)
    errors = squares.sum(dim=(1, 2, 3)) / hidden.sum(dim=(1, 2, 3))
    return [float(value) for value in -10 * torch.log10(errors)]


def _ssim(output: np.ndarray, clean: np.ndarray) -> float:
    return structural_similarity(
        output, clean, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
