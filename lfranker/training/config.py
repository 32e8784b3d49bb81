"""Settings of one training, the course of its learning rate, and the branches that leave it."""

from dataclasses import dataclass
from typing import Any

from lfranker.denoiser.networks import NETWORKS, SCUNET
from lfranker.options import check, determining, flat, option

SHORTER = (4, 2)  # a branch has so many times fewer steps than its training
DECAY = 0.2  # share of the steps, the last, in which the learning rate falls to zero
STAGES = 7  # of the network: three down, the body, three up
MOST_BLOCKS = 64  # of a stage; the published network has 4


def parse_depth(text: str) -> int | str:
    """Read "4" as 4, "0,1,1,1,1,1,0" as that without spaces. Raises ValueError."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (1, STAGES) or not all(part.isdecimal() for part in parts):
        raise ValueError(
            f"depth is {text!r}; allowed are blocks per stage, such as 1, or those of all "
            f"{STAGES} stages, such as 0,1,1,1,1,1,0"
        )
    return int(parts[0]) if len(parts) == 1 else ",".join(str(int(part)) for part in parts)


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training, its network included."""

    steps: int = option(2000, "Optimiser steps of each training.", minimum=1, maximum=1e9)
    batch: int = option(8, "Patches a step.", minimum=1, maximum=65536)
    learning_rate: float = option(
        1e-3, "AdamW's learning rate between warm-up and decay.", above=0, maximum=10
    )
    weight_decay: float = option(1e-4, "AdamW's decoupled weight decay.", minimum=0, maximum=10)
    warmup: int = option(100, "Steps of linear warm-up.", minimum=0, maximum=1e9)
    clip_factor: float = option(
        3.0, "Clip gradients above this multiple of the run's own median norm.", above=0
    )
    ema_decay: float = option(
        0.999, "Decay of the averaged weights, which are the ones scored.", minimum=0, below=1
    )
    network: str = option(
        SCUNET,
        "The network; all but scunet are built by the package spandrel, of the extra `networks`.",
        choices=NETWORKS,
        added=True,
    )
    width: int = option(
        32,
        "Channels of the first stage of a network other than scunet, which has dim and head_dim.",
        minimum=2,
        maximum=1024,
        added=True,
    )
    depth: int | str = option(
        1,
        "Blocks per stage, or of all seven: 0,1,1,1,1,1,0; the published SCUNet has 4 each. In "
        "drunet all stages have the largest of these numbers.",
        parse=parse_depth,
    )
    dim: int = option(
        32, "Channels of the first stage; the published SCUNet has 64.", minimum=2, maximum=1024
    )
    head_dim: int = option(
        16, "Channels per attention head; dim / 2 must be a multiple of it.", minimum=1, maximum=512
    )
    perceptual_layers: int = option(
        5,
        "How many of the network's levels, shallow first; VGG has five.",
        minimum=1,
        maximum=5,
    )
    threads: int = option(
        1,  # they change float sums, so they are fixed
        "Threads of each training process (part of what determines the weights).",
        minimum=1,
        maximum=256,
    )
    precision: str = option(
        "auto",
        "Numbers of the network in training; auto: bfloat16 on a GPU, float32 elsewhere. bfloat16 "
        "pays on processors with instructions for it (avx512_bf16, amx_bf16).",
        choices=("auto", "float32", "bfloat16"),
        added=True,
    )
    compile: str = option(
        "none",
        "torch.compile's mode for the network in training: default; reduce-overhead, with CUDA "
        "graphs; max-autotune. It takes a minute or more to begin.",
        choices=("none", "default", "reduce-overhead", "max-autotune"),
        added=True,
    )
    seed: int = option(0, "Base of every random draw.", minimum=0)
    repeat: int = option(0, "Which of the paired repeats, the same for all subsets.", minimum=0)
    shorter: bool = option(
        True,
        "Score each training also as if it had been planned for a quarter and for half of its "
        "steps.",
        affects_weights=False,
    )
    log_every: int = option(
        25, "Steps between points of the training curves.", minimum=1, affects_weights=False
    )
    checkpoint_seconds: float = option(
        120.0, "Seconds between checkpoints.", minimum=0, affects_weights=False
    )

    def __post_init__(self) -> None:
        check(self)
        if max(self.blocks) < 1:
            raise ValueError(f"depth is {self.depth}; at least one stage needs a block")
        if max(self.blocks) > MOST_BLOCKS:
            raise ValueError(f"depth is {self.depth}; allowed are {MOST_BLOCKS} blocks per stage")
        if self.dim % (2 * self.head_dim):
            raise ValueError(
                f"dim is {self.dim}, head_dim is {self.head_dim}; dim / 2 must be a multiple of "
                f"head_dim"
            )

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks of each stage: what SCUNet calls its config."""
        depth = parse_depth(str(self.depth))
        return (depth,) * STAGES if isinstance(depth, int) else tuple(map(int, depth.split(",")))

    @property
    def network_settings(self) -> dict[str, Any]:
        """Return the settings that `denoiser.networks.build` makes the network of."""
        if self.network == SCUNET:
            return {"config": list(self.blocks), "dim": self.dim, "head_dim": self.head_dim}
        return {"network": self.network, "width": self.width, "config": list(self.blocks)}

    @property
    def used(self) -> dict[str, Any]:
        """Return all settings by name, as logged: without those of other networks' shapes."""
        unused = unused_by(self.network)
        return {name: value for name, value in flat(self).items() if name not in unused}

    @property
    def branches(self) -> tuple[int, ...]:
        """Steps of the shorter trainings that leave this one to decay early, fewest first."""
        if not self.shorter:
            return ()
        return tuple(sorted({self.steps // part for part in SHORTER} - {0, self.steps}))

    @property
    def total_steps(self) -> int:
        """Steps that are made, those of the branches included."""
        return self.steps + sum(map(decay_steps, self.branches))

    def steps_until(self, length: int) -> int:
        """Return the steps that are made once the branch of this length is trained."""
        before = [steps for steps in self.branches if steps <= length]
        return leaves_at(length) + sum(map(decay_steps, before))

    def steps_made(self, done: int) -> int:
        """Return the steps that are made once the training itself has done so many."""
        left = [steps for steps in self.branches if leaves_at(steps) < done]
        return done + sum(map(decay_steps, left))

    def logs(self, step: int) -> bool:
        """Return whether the curves have a point at this step, which counts from 1."""
        return step % self.log_every == 0 or step == self.steps

    def determining(self) -> dict[str, Any]:
        """The settings that determine the weights: all but the rhythm of logging."""
        return determining(self)


def parse_networks(text: str) -> tuple[str, ...]:
    """Read "nafnet,scunet" as networks to compare, SCUNet first. Raises ValueError."""
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in NETWORKS]
    if unknown or len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(
            f"networks are {text!r}; allowed are two or more of {', '.join(NETWORKS)}, each once"
        )
    return tuple(sorted(names, key=lambda name: name != SCUNET))


SHAPES = {"scunet": {"depth", "dim", "head_dim"}, "dncnn": {"width"}}
OTHER_SHAPES = {"depth", "width"}


def unused_by(network: str) -> list[str]:
    """Return the settings that the shape of some network has, but not that of this one."""
    shapes = {name: SHAPES.get(name, OTHER_SHAPES) for name in NETWORKS}
    return sorted(set().union(*shapes.values()) - shapes[network])


def decay_steps(steps: int) -> int:
    """Return in how many of its last steps a training of so many steps decays; at least one."""
    return max(1, round(DECAY * steps))


def leaves_at(steps: int) -> int:
    """Return after how many steps a branch of so many leaves the training: when it decays."""
    return steps - decay_steps(steps)


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """Linear warm-up, a constant rate, then linear decay to zero; `step` counts from 0.

    The number of steps decides only when the decay begins: a short training and a long one are the
    same until the short one decays. One that decays before its warm-up is over never reaches the
    full rate.
    """
    rise = (step + 1) / config.warmup if config.warmup else 1.0
    fall = (config.steps - step) / decay_steps(config.steps)
    return min(rise, 1.0, fall)
