"""The settings of a power set, and which of them do not go together."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lfranker.experiment.scan_curve import check_sources_of_curve
from lfranker.launching.config import LaunchConfig
from lfranker.losses import parse_losses
from lfranker.losses.subsets import SubsetRule
from lfranker.options import check, option
from lfranker.planning.inputs import InputConfig
from lfranker.planning.published_drunet import published_drunet
from lfranker.planning.settings import Settings
from lfranker.ranking.leaderboard import RankConfig
from lfranker.ranking.learning_rate_check import FACTORS
from lfranker.ranking.own_scans import MOST_SCANS, checked_counts, parse_counts
from lfranker.statistics.learning_curve import LEAST_DRAWS
from lfranker.tracking.registry import USUAL_NAME, checked_model_name


@dataclass(frozen=True)
class PowerSetConfig:
    """A power set: the settings of its trainings, which losses, on what, and what follows."""

    settings: Settings
    losses: tuple[str, ...] | None = option(
        None,
        "Set of losses, e.g. mae,mse,ssim,perceptual. Left out: the preset's.",
        parse=parse_losses,
    )
    inputs: InputConfig = field(default_factory=InputConfig)
    repeats: int = option(1, "Paired repeats of each subset.", minimum=1, maximum=1000)
    vary_data: bool = option(
        False, "Train each repeat on another random draw of the training images."
    )
    search: str = option(
        "exhaustive",
        "exhaustive: train every subset to the end. staged: at a quarter and at half of the steps, "
        "stop those that cannot come up to the best in any criterion, as far as their curves tell.",
        choices=("exhaustive", "staged"),
    )
    jobs: int | None = option(
        None,
        "Trainings at once. Left out: as many as processors and memory carry, one on a GPU.",
        minimum=1,
        maximum=256,
    )
    rule: SubsetRule = field(default_factory=SubsetRule)
    noises: Mapping[str, Settings] = field(default_factory=dict)  # that are compared, by label
    check_learning_rate: bool = option(
        False,
        "Train the top set and the worst single loss at half and double the rate too: who wins "
        "then?",
    )
    refine: int | None = option(
        None, "Search among so many weights of the losses that win.", minimum=1, maximum=10_000
    )
    curve: tuple[int, ...] | None = option(
        None,
        "Train the champion with so many slow scans of --scans among the training images too, e.g. "
        "1,2,4, each time drawn at least twice, and forecast what --curve-to of them would bring.",
        parse=parse_counts,
    )
    curve_to: int = option(
        12,
        "Number of slow scans that --curve forecasts the gain of.",
        minimum=2,
        maximum=MOST_SCANS,
    )
    drunet: Path | None = option(
        None,
        "Weights of a published DRUNet for gray images (drunet_gray.pth), to compare with: it is "
        "scored behind a transform that stabilises the noise. Needs the extra networks, and is "
        "slow without a GPU.",
    )
    take_over: bool = option(False, "Go on with trainings whose process another machine left open.")
    keep_checkpoints: bool = option(False, "Keep checkpoints of finished trainings.")
    stall_minutes: float = option(
        30.0,
        "A training that gets no further for so long is ended and tried again, once. More than a "
        "step takes, and than the server may be away; 0: never.",
        minimum=0,
        maximum=10_080,
    )
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    model_name: str = option(USUAL_NAME, "Name in the Model Registry.", parse=checked_model_name)
    ranking: RankConfig = field(default_factory=RankConfig)

    def __post_init__(self) -> None:
        check(self)
        checked_model_name(self.model_name)
        subsets = self.rule.subsets(self.chosen_losses)  # what is wrong with it is said right away
        if self.refine and all(len(subset) == 1 for subset in subsets):
            raise ValueError("--refine weighs the losses of a subset: none here has two or more")
        if self.check_learning_rate:
            for own in self.on_each.values():
                for factor in FACTORS:  # out of bounds it would be refused after all trainings
                    replace(own.train, learning_rate=own.train.learning_rate * factor)
        self._check_curve()
        alone = {
            "data": self.inputs.data,
            "curve": self.curve,
            "refine": self.refine,
            "check_learning_rate": self.check_learning_rate,
        }
        for name, value in alone.items():
            if self.noises and value:
                raise ValueError(one_noise(name))
        self._check_networks()
        published_drunet(self.drunet)  # what is wrong with the file is said right away
        if self.search == "staged" and not all(own.train.branches for own in self.on_each.values()):
            raise ValueError(
                "--search staged judges trainings by shorter ones: it needs --shorter true, and "
                "--steps of 4 or more"
            )
        self._check_draws()
        self._check_launch()

    def _check_networks(self) -> None:
        """Raise ValueError where networks are compared, and something goes with one only."""
        if len({own.train.network for own in self.on_each.values()}) < 2:
            return
        alone = {
            "init": (self.inputs.init, "weights are of one of them"),
            "launcher": (self.launch.engine, "steps are timed on this machine"),
            "search": (self.search == "staged", "stages have the same steps for all trainings"),
        }
        for name, (value, why) in alone.items():
            if value:
                raise ValueError(f"--{name} does not go with --networks: {why}")

    def _check_launch(self) -> None:
        """Raise ValueError where an engine is asked for what this machine alone can do."""
        if not self.launch.engine:
            return
        if self.jobs:
            raise ValueError(
                "--jobs is how many trainings this machine runs at once; an engine is asked by "
                "--max-jobs"
            )
        if self.launch.detach and self.search == "staged":
            raise ValueError(
                "--search staged judges trainings on their way, by this very command: it cannot "
                "be detached"
            )

    def _check_curve(self) -> None:
        """Raise ValueError where slow scans cannot be drawn as training images."""
        if self.curve is None:
            return
        checked_counts(self.curve)
        if self.curve_to <= self.curve[-1]:
            raise ValueError(
                f"--curve-to {self.curve_to}: what is trained with --curve needs no forecast; give "
                f"more than {self.curve[-1]}"
            )
        if self.vary_data:
            raise ValueError(
                "--curve compares trainings on the same clean images, and --vary-data draws them "
                "again for each repeat: leave one of them out"
            )
        check_sources_of_curve(self.settings, self.inputs)

    def _check_draws(self) -> None:
        """Raise ValueError where training images cannot be drawn for each repeat."""
        if not self.vary_data:
            return
        if self.repeats < 2:
            raise ValueError(
                "--vary-data draws the training images again for each repeat: with one there is "
                "nothing to vary, add --repeats of 2 or more"
            )
        if self.inputs.data is not None:
            raise ValueError(
                "--vary-data makes a dataset for each repeat, and --data is one: leave one of them "
                "out"
            )
        if any(own.dataset.image_draw for own in self.on_each.values()):
            raise ValueError(
                "--vary-data chooses the draw of each repeat itself: leave --image-draw out"
            )

    @property
    def chosen_losses(self) -> tuple[str, ...]:
        """The losses asked for, or those of the preset."""
        return self.losses or self.settings.preset.losses

    @property
    def draws(self) -> int:
        """How many times training images are drawn: for each repeat, or not at all."""
        return self.repeats if self.vary_data else 0

    @property
    def scan_draws(self) -> int:
        """How many times slow scans are drawn for the curve: in each repeat, at least twice."""
        return max(self.repeats, LEAST_DRAWS) if self.curve else 0

    @property
    def on_each(self) -> Mapping[str, Settings]:
        """The settings on each noise; of a noise that is alone under the label ""."""
        return self.noises or {"": self.settings}


def one_noise(name: str) -> str:
    """Return the message on an option that goes with one noise and network only."""
    return (
        f"--{name.replace('_', '-')} is of one noise and network, --noises, --noise-components and "
        f"--networks train all losses on each of several: leave one of them out"
    )
