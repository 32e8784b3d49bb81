"""A power set from inputs to ranking: plan, child processes, what follows; callable from Python."""

from lfranker.datasets.clean_images import NO_CLEAN
from lfranker.experiment.inputs import InputConfig
from lfranker.experiment.noise_comparison import settings_on_each
from lfranker.experiment.powerset import rank, run_power_set
from lfranker.experiment.powerset_config import PowerSetConfig
from lfranker.experiment.settings import Settings, preset_settings
from lfranker.losses.subsets import SubsetRule
from lfranker.ranking.config import RankConfig

__all__ = [
    "NO_CLEAN",
    "InputConfig",
    "PowerSetConfig",
    "RankConfig",
    "Settings",
    "SubsetRule",
    "preset_settings",
    "rank",
    "run_power_set",
    "settings_on_each",
]
