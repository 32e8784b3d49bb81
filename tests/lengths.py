"""What was found of trainings of three lengths, made up."""

import pandas as pd

from lfranker.ranking.along_training import AlongTraining, Verdict

NAMES = pd.Index(["mae", "ssim"], name="losses")


def along(
    champions: tuple[str, ...] = ("ssim", "ssim", "mae"), verdict: Verdict = Verdict.CHANGING
) -> AlongTraining:
    lengths = (500, 1000, 2000)
    columns = pd.Index(lengths, name="steps")
    scores = pd.DataFrame([[28.0, 29.0, 30.0], [29.0, 29.25, 29.5]], NAMES, columns)
    tau = pd.DataFrame(
        {"value": [0.9, -0.05], "low": [0.5, -0.3], "high": [1.0, 0.2]},
        pd.MultiIndex.from_tuples([(500, "psnr"), (1000, "psnr")], names=["steps", "metric"]),
    )
    forecast = pd.DataFrame(
        {"value": [31.5, 29.9], "low": [31.0, 29.7], "high": [32.0, 30.1], "exponent": 0.5}, NAMES
    )
    return AlongTraining(
        lengths,
        champions,
        verdict,
        pd.DataFrame([[2.0, 2.0, 1.0], [1.0, 1.0, 2.0]], NAMES, columns),
        tau,
        {"psnr": scores},
        {"psnr": forecast},
        pd.Series({"mae": 0.8, "ssim": 0.2}),
        2,
    )
