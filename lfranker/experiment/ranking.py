"""Ranking of a power set from what the tracking server holds, and how it is told."""

from lfranker.experiment.console import QUIET, Console
from lfranker.publishing.promotion import Rescore
from lfranker.publishing.ranking_run import CAPTIONS, Report, rank_power_set
from lfranker.ranking.config import RankConfig
from lfranker.report.tables import tables, to_markdown

RANK_CONFIG = RankConfig()


def rank(
    parent: str | None = None,
    model_name: str = "lfranker",
    config: RankConfig = RANK_CONFIG,
    scans: str | None = None,
    rescore: Rescore | None = None,
    console: Console = QUIET,
) -> Report:
    """Rank a power set, register the winners, write the result to its run and say it.

    `parent`: ID of its run; None: the newest. `scans`: first digits of the digest of the scans that
    count; None: its own. `rescore`: scores an older version on the scans of this power set.
    """
    result = rank_power_set(parent, model_name, scans, config, rescore)
    board = tables(result.ranking)["leaderboard"]
    console.say(to_markdown(board, CAPTIONS["leaderboard"], simulated=result.simulated))
    for line in (*result.ranking.notes, *result.notices):
        console.say(f"- {line}")
    for alias, version in sorted(result.versions.items()):
        console.say(f"models:/{model_name}@{alias} is version {version}")
    console.say(f"Tables and note are on run {result.parent}; look at them with `mlflow ui`.")
    return result
