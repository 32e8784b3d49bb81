"""A tiny training on made-up patches, as the tests need it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lfranker.datasets.patch_dataset import Dataset, DatasetConfig
from lfranker.losses import build_objective
from lfranker.options import changed, flat
from lfranker.training.config import TrainConfig
from lfranker.training.trainer import Trainer, build_network

TINY = TrainConfig(steps=6, batch=2, depth=1, dim=16, head_dim=8, warmup=2)
CPU = torch.device("cpu")


def make_data(count: int = 12, patch: int = 16, **settings: Any) -> Dataset:
    manifest = {"request": {"parameters": flat(changed(DatasetConfig(), settings))}}
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 256, (count, patch, patch), dtype=np.uint8)
    noisy = 255 - clean
    train, validation = np.arange(count - 2), np.arange(count - 2, count)
    return Dataset(Path("nowhere"), manifest, noisy, clean, train, validation, "digest")


def make_trainer(config: TrainConfig = TINY, losses: tuple[str, ...] = ("mae",)) -> Trainer:
    return Trainer(build_network(config), build_objective(losses, None), make_data(), config, CPU)
