"""A power set from its inputs to its ranking and what follows it; callable from Python."""

from lfranker.datasets.clean_images import NO_CLEAN
from lfranker.experiment.powerset import rank, run_power_set
from lfranker.experiment.powerset_config import PowerSetConfig
from lfranker.losses.subsets import SubsetRule
from lfranker.planning.inputs import InputConfig
from lfranker.planning.noise_comparison import settings_on_each
from lfranker.planning.settings import Settings, preset_settings
from lfranker.ranking.leaderboard import RankConfig

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
