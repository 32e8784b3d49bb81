"""Budgets by name: the choices of `--preset`.

A preset is complete: network, training, data and perceptual settings.
"""

from dataclasses import dataclass

from lfranker.datasets.patch_dataset import DatasetConfig
from lfranker.losses.names import PAPER
from lfranker.noise.noise_config import NoiseConfig
from lfranker.training.config import TrainConfig

# what docs/experiments.md found: blocks at full resolution cost most and give least
HALVED = "0,1,1,1,1,1,0"
LEAST = "0,0,0,1,0,0,0"  # no block but at the lowest resolution
# beyond Eq. 1: the noise of real fast scans is correlated along the fast axis, and networks that
# never saw that keep it
BLIND = NoiseConfig(correlation=(0.0, 0.5))


@dataclass(frozen=True)
class Preset:
    name: str
    title: str
    train: TrainConfig
    dataset: DatasetConfig
    losses: tuple[str, ...] = PAPER
    random_perceptual: bool = False  # may go on with random VGG19 weights where ImageNet's are not
    scenes: int = 4  # simulated scenes of each kind, where no clean images are given
    scene_size: int = 384  # px
    fields: int = 7  # simulated fields to score on, where no scans are given
    field_size: int = 272  # px, 16 of which are lost to the border


_ALL = (
    Preset(
        name="smoke",
        title="two losses, five steps: does everything run?",
        losses=("mae", "ssim"),
        train=TrainConfig(
            steps=5,
            batch=2,
            depth=LEAST,
            dim=16,
            head_dim=8,
            warmup=1,
            log_every=2,
            perceptual_layers=2,
        ),
        dataset=DatasetConfig(patch=48, patches=48),
        random_perceptual=True,
        scenes=2,
        scene_size=160,
        fields=2,
        field_size=144,
    ),
    Preset(
        name="demo",
        title="all 15 subsets in minutes on a laptop, to see what lfranker does",
        train=TrainConfig(
            steps=200,
            batch=2,
            depth=1,
            dim=16,
            head_dim=8,
            learning_rate=2e-3,
            warmup=20,
            perceptual_layers=2,
        ),
        dataset=DatasetConfig(patch=64, patches=1000),
        random_perceptual=True,
    ),
    Preset(
        name="small",
        title="overnight on two cores",
        train=TrainConfig(
            steps=8000,
            batch=8,
            depth=HALVED,
            dim=32,
            head_dim=16,
            learning_rate=2e-3,
            warmup=200,
        ),
        dataset=DatasetConfig(patch=64, patches=20_000, noise=BLIND),
        scenes=12,
        scene_size=512,
        fields=14,
        field_size=528,
    ),
    Preset(
        name="hour",
        title="one good denoiser in an hour on two cores",
        train=TrainConfig(
            steps=15_000,
            batch=8,
            depth=HALVED,
            dim=32,
            head_dim=16,
            learning_rate=2e-3,
            warmup=500,
            threads=2,
            log_every=250,
        ),
        dataset=DatasetConfig(patch=64, patches=40_000, noise=BLIND),
        scenes=12,
        scene_size=512,
        fields=14,
        field_size=528,
    ),
    Preset(
        name="night",
        title="one better denoiser in a night on two cores",
        train=TrainConfig(
            steps=60_000,
            batch=8,
            depth=HALVED,
            dim=64,
            head_dim=32,
            learning_rate=1e-3,
            warmup=1000,
            threads=2,
            log_every=500,
        ),
        dataset=DatasetConfig(patch=64, patches=100_000, noise=BLIND),
        scenes=20,
        scene_size=512,
        fields=14,
        field_size=528,
    ),
    Preset(
        name="paper",
        title="the published network, config [4]*7 and dim 64, on a GPU",
        train=TrainConfig(
            steps=100_000,
            batch=16,
            depth=4,
            dim=64,
            head_dim=32,
            learning_rate=2e-4,
            warmup=1000,
            log_every=100,
        ),
        dataset=DatasetConfig(patch=128, patches=50_000),
        scenes=40,
        scene_size=1024,
        fields=21,
        field_size=1040,
    ),
)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
