"""Settings of one training, and the course of its learning rate."""

from dataclasses import asdict, dataclass, field, fields
from math import cos, pi
from typing import Any

_FREE = {"affects_weights": False}
STAGES = 7  # of the network: three down, the body, three up


def parse_depth(text: str) -> int | str:
    """Of "4", 4; of "0,1,1,1,1,1,0", that without spaces. Raises ValueError."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (1, STAGES) or not all(part.isdecimal() for part in parts):
        raise ValueError(
            f"depth is {text!r}; allowed are blocks per stage, such as 1, or those of all "
            f"{STAGES} stages, such as 0,1,1,1,1,1,0"
        )
    return int(parts[0]) if len(parts) == 1 else ",".join(str(int(part)) for part in parts)


@dataclass(frozen=True)
class TrainConfig:
    steps: int = 2000  # optimiser steps
    batch: int = 8  # patches a step
    learning_rate: float = 1e-3  # AdamW, after warm-up, before cosine decay
    weight_decay: float = 1e-4  # decoupled, as in AdamW
    warmup: int = 100  # steps of linear warm-up
    clip_factor: float = 3.0  # clip gradients above this multiple of the run's own median norm
    ema_decay: float = 0.999  # of the averaged weights that are scored
    depth: int | str = 1  # blocks per stage, or "0,1,1,1,1,1,0": those of each of the seven
    dim: int = 32  # channels of the first stage
    head_dim: int = 16  # channels per attention head; dim / 2 is a multiple of it
    perceptual_layers: int = 5  # how many of the network's levels, shallow first; VGG has five
    threads: int = 1  # of each training process; they change float sums, so they are fixed
    seed: int = 0
    repeat: int = 0  # paired repeats: the same for all subsets
    log_every: int = field(default=25, metadata=_FREE)  # steps between curve points
    checkpoint_seconds: float = field(default=120.0, metadata=_FREE)  # between two checkpoints

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "dim", "head_dim", "threads", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if max(self.blocks) < 1:
            raise ValueError(f"depth is {self.depth}; at least one stage needs a block")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}; it must be positive")
        if not self.clip_factor > 0:
            raise ValueError(f"clip_factor is {self.clip_factor}; it must be positive")
        for name in ("weight_decay", "warmup", "checkpoint_seconds", "seed", "repeat"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay is {self.ema_decay}; allowed: 0 up to but without 1")
        if not 1 <= self.perceptual_layers <= 5:
            raise ValueError(f"perceptual_layers is {self.perceptual_layers}; allowed: 1 to 5")

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks of each stage: what SCUNet calls its config."""
        depth = parse_depth(str(self.depth))
        return (depth,) * STAGES if isinstance(depth, int) else tuple(map(int, depth.split(",")))

    def logs(self, step: int) -> bool:
        """Whether the curves have a point at this step, which counts from 1."""
        return step % self.log_every == 0 or step == self.steps

    def determining(self) -> dict[str, Any]:
        """The settings that determine the weights: all but the rhythm of logging."""
        free = {f.name for f in fields(self) if not f.metadata.get("affects_weights", True)}
        return {name: value for name, value in asdict(self).items() if name not in free}


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then cosine decay to zero; `step` counts from 0.

    The warm-up is at most half of the steps, so that a training made short still is one.
    """
    warmup = min(config.warmup, config.steps // 2)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, config.steps - warmup)
    return 0.5 * (1 + cos(pi * min(1.0, done)))
