from itertools import permutations

import numpy as np
import pytest

from lfranker.ranking.loss_effects import (
    _subsets,
    attributions,
    interactions,
    mean_effects,
    pairs,
    shapley,
)
from lfranker.statistics.score_array import Cube

LOSSES = ("mae", "mse", "ssim", "perceptual")
PAIR = frozenset({"mae", "ssim"})


def game(seed=0, losses=LOSSES, shape=()):
    rng = np.random.default_rng(seed)
    return {s: rng.normal(20, 1, shape) for s in _subsets(frozenset(losses))}


def test_shapley_is_the_mean_over_all_orders():
    values = game()
    expected = dict.fromkeys(LOSSES, 0.0)
    orders = list(permutations(LOSSES))
    for order in orders:
        for place, loss in enumerate(order):
            before = frozenset(order[:place])
            expected[loss] += (values[before | {loss}] - values[before]) / len(orders)
    found = shapley(values)
    assert {k: float(v) for k, v in found.items()} == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(values[frozenset(LOSSES)] - values[frozenset()])


def test_interaction_is_the_mean_over_orders_in_which_the_pair_is_one():
    """The reduced game's view: the pair together less each alone, pair added as one player."""
    values = game(1)
    rest = [loss for loss in LOSSES if loss not in PAIR]
    total, count = 0.0, 0
    for order in permutations([*rest, "pair"]):
        before = frozenset(order[: order.index("pair")])
        alone = sum(values[before | {loss}] for loss in PAIR)
        total += values[before | PAIR] - alone + values[before]
        count += 1
    assert interactions(values)["mae", "ssim"] == pytest.approx(total / count)


def test_additive_losses_have_their_own_worth_and_no_interaction():
    worth = {"mae": 1.0, "mse": 2.0, "ssim": -0.5, "perceptual": 0.25}
    values = {s: 20 + sum(worth[loss] for loss in s) for s in _subsets(frozenset(LOSSES))}
    for found in (shapley(values), mean_effects(values)):
        assert {k: float(v) for k, v in found.items()} == pytest.approx(worth)
    assert all(abs(float(v)) < 1e-12 for v in interactions(values).values())


def test_mean_effects_do_not_look_at_no_loss_at_all():
    """By hand for two: the effect of mae is v(both) - v(mse) only."""
    values = {frozenset(): 0.0, frozenset({"mae"}): 20.0, frozenset({"mse"}): 21.0}
    values[frozenset({"mae", "mse"})] = 21.5
    assert {k: float(v) for k, v in mean_effects(values).items()} == {"mae": 0.5, "mse": 1.5}
    assert {k: float(v) for k, v in shapley(values).items()} == {"mae": 10.25, "mse": 11.25}
    assert float(interactions(values)["mae", "mse"]) == 0.5 - 20
    del values[frozenset()]
    assert float(mean_effects(values)["mae"]) == 0.5
    with pytest.raises(ValueError, match="missing: \\['none'\\]"):
        shapley(values)


def test_draws_are_attributed_one_by_one():
    values = game(2, shape=(5,))
    together = shapley(values)
    for draw in range(5):
        single = shapley({s: v[draw] for s, v in values.items()})
        assert {k: v[draw] for k, v in together.items()} == pytest.approx(
            {k: float(v) for k, v in single.items()}
        )


def test_gaps_are_named_and_never_averaged_over():
    values = game()
    del values[PAIR]
    for function in (shapley, interactions):
        with pytest.raises(ValueError, match=r"missing: \['mae\+ssim'\]"):
            function(values)
        with pytest.raises(ValueError, match=r"not for: \['mae\+ssim'\]"):
            function({**values, PAIR: np.nan})


def test_mean_effects_are_over_the_pairs_that_there_are():
    """By hand: with mse alone gone, mae has no pair; mse has the one with mae."""
    values = {frozenset({"mae"}): 20.0, frozenset({"mae", "mse"}): 21.5}
    assert pairs(values) == {"mae": [], "mse": [frozenset({"mae"})]}
    assert mean_effects(values) == {"mse": 1.5}


def test_one_loss_alone_adds_to_no_other():
    cube = Cube(("mae",), tuple("abcd"), np.random.default_rng(0).normal(20, 1, (1, 4, 2)))
    assert attributions(cube, np.full((4, 2), 15.0), seed=0).empty


THREE = ("mae", "mse", "ssim")


@pytest.mark.parametrize("without", [None, "mae+ssim"])
def test_shapley_values_are_told_where_every_subset_and_none_are_known(without: str | None):
    """Three losses, whose scores at all places and repeats differ by a constant each."""
    values = game(5, THREE)
    names = {"+".join(sorted(subset)): value for subset, value in values.items() if subset}
    names.pop(without, None)
    cells = np.arange(8.0)[:, None] + np.random.default_rng(1).normal(0, 0.01, (8, 2))
    cube = Cube(tuple(names), tuple("abcdefgh"), np.stack([v + cells for v in names.values()]))
    table = attributions(cube, values[frozenset()] + cells, seed=3)
    told = {kind: rows.set_index("losses")["value"] for kind, rows in table.groupby("kind")}
    expected = {loss: float(value) for loss, value in shapley(values).items()}
    if without:
        assert set(told) == {"mean effect"}
        return
    assert set(told) == {"mean effect", "Shapley value", "interaction"}
    assert told["Shapley value"].to_dict() == pytest.approx(expected)
    twos = {"+".join(pair): float(value) for pair, value in interactions(values).items()}
    assert sorted(told["interaction"]) == pytest.approx(sorted(twos.values()))
    means = {loss: float(value) for loss, value in mean_effects(
        {subset: value for subset, value in values.items() if subset}).items()}  # fmt: skip
    assert told["mean effect"].to_dict() == pytest.approx(means)


def test_shapley_and_interactions_are_those_of_shapiq():
    shapiq = pytest.importorskip("shapiq", reason="shapiq is not installed")
    values = game(3)
    losses = sorted(LOSSES)

    def worth(coalitions):
        return np.array([values[frozenset(np.array(losses)[row])] for row in coalitions])

    computer = shapiq.ExactComputer(worth, n_players=4)
    single, twos = computer("SV"), computer("SII", order=2)
    for at, loss in enumerate(losses):
        assert single[(at,)] == pytest.approx(float(shapley(values)[loss]))
    for (one, other), value in interactions(values).items():
        assert twos[(losses.index(one), losses.index(other))] == pytest.approx(float(value))
