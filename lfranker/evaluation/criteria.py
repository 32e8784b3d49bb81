"""What entrants are ranked by: the metrics, over all speeds and at each of them."""

from collections.abc import Mapping

import pandas as pd

from lfranker.evaluation.metrics import METRICS
from lfranker.microscopes.scan_speed import speed_key

VISUAL = "visual"  # what people see: the mean rating of blinded pictures, 1 to 5


DIRECTIONS: Mapping[str, bool] = {  # True: higher is better
    **{name: bool(metric.higher_is_better) for name, metric in METRICS.items() if metric.ranked},
    VISUAL: True,
}


# Raw keypoint counts are left out: leftover noise raises them as well as detail does.
CHAMPION_METRICS = ("psnr", "ssim", "repeatability")


NOISY = "noisy"  # the baseline that does nothing


def criteria_of(board: pd.DataFrame, directions: Mapping[str, bool] = DIRECTIONS) -> list[str]:
    """The columns that are criteria, by metric: over all speeds, then the fastest speed first."""
    columns = [str(column) for column in board if str(column).partition("/")[0] in directions]
    metrics = list(directions)

    def place(column: str) -> tuple[int, str, float, str]:
        metric, _, speed = column.partition("/")
        return metrics.index(metric), *speed_key(speed)

    return sorted(columns, key=place)
