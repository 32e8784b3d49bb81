"""Simulated scores of models: fields crossed with repeats."""

from collections.abc import Sequence

import numpy as np

from lfranker.arrays import Floats


def leaderboard(
    rng: np.random.Generator,
    means: Sequence[float] | Floats,
    *,
    repeats: int = 3,
    fields: int = 12,
    of_fields: float | Floats = 1.0,
    of_repeats: float | Floats = 1.0,
    rest: float = 1.0,
) -> Floats:
    """Scores (models, fields, repeats): true means, deviations of a model's own, and shared ones.

    ``of_fields`` and ``of_repeats``: standard deviations, of all models or of each.
    """
    models = len(means)
    own_fields, own_repeats = (
        np.broadcast_to(size, models)[:, None, None] for size in (of_fields, of_repeats)
    )
    return np.asarray(
        np.asarray(means, float)[:, None, None]
        + own_fields * rng.normal(size=(models, fields, 1))
        + own_repeats * rng.normal(size=(models, 1, repeats))
        + rest * rng.normal(size=(models, fields, repeats))
        + 3 * rng.normal(size=(1, fields, 1))
        + rng.normal(size=(1, 1, repeats))
    )
