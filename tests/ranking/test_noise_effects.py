"""Noises and losses together: effects that are known by hand, as arrays and as a tracking store."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lfranker.losses.names import LOSS_ORDER
from lfranker.noise.components import same_noise
from lfranker.ranking.entrants import (
    Entrant,
    PairScores,
    counted,
    is_combined,
    losses_of,
    noise_of,
    noises_in,
    placed,
    tie_key,
)
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.leaderboard import rank
from lfranker.ranking.loss_effects import attributions
from lfranker.ranking.noise_effects import (
    balanced,
    best_by_noise,
    lead,
    noise_means,
    over_noises,
)
from lfranker.report.findings import Findings, find
from lfranker.report.noise import find_noises, interaction_sentence, noise_section, noise_sentences
from lfranker.report.sections import sections
from lfranker.statistics.score_array import Cube, cube_of

LOSSES = {"mae": 0.0, "mse": 0.4, "mae+mse": 0.9}
NOISES = {"eq1": 0.0, "gamma": 1.0}
Worth = Mapping[str, float]


def entrant(losses: str, noise: str) -> str:
    return str(Entrant.parse(losses).on(noise))


def worth(gamma_mae: float = 0.0) -> dict[str, float]:
    """Loss and noise add up, but for mae on gamma."""
    return {
        entrant(loss, noise): 20 + a + b + gamma_mae * ((loss, noise) == ("mae", "gamma"))
        for loss, a in LOSSES.items()
        for noise, b in NOISES.items()
    }


def rows(worth: Worth, noisy: float = 15.0, repeats: int = 3, luck: float = 0.02) -> pd.DataFrame:
    """Psnr of ten places, each of its own difficulty, in repeats of their own luck."""
    rng = np.random.default_rng(0)
    made = []
    for name, value in {**worth, "noisy": noisy}.items():
        for place in range(10):
            for repeat in range(1 if name == "noisy" else repeats):
                psnr = value + place + 0.1 * repeat * (name != "noisy")
                psnr += luck * rng.normal() * (name != "noisy")
                made.append((name, repeat, name == "noisy", f"f{place}", f"p{place}", psnr))
    columns = ["name", "repeat", "baseline", "field", "place", "psnr"]
    return pd.DataFrame(made, columns=columns).assign(speed="s", sample="")


def entrants(worth: Worth, **settings: float) -> pd.DataFrame:
    table = rows(worth, **settings)
    return table[~table["baseline"]]


def test_names_come_apart_again() -> None:
    name = "mae+ssim @ poisson+speckle"
    both = Entrant(("mae", "ssim"), "poisson+speckle")
    assert (str(both), Entrant.parse(name)) == (name, both)
    assert (str(both.on("")), Entrant.parse("mae+ssim")) == ("mae+ssim", both.on(""))
    assert (losses_of(name), noise_of(name)) == ("mae+ssim", "poisson+speckle")
    assert (losses_of("mae"), noise_of("mae")) == ("mae", "")
    assert Entrant.parse("mae @ fit@2us") == Entrant(("mae",), "fit@2us")
    assert is_combined(name)
    assert not is_combined("mae @ poisson+speckle")
    assert noises_in(["mae @ b", "mse", "mae @ a", "mse @ b"]) == ["b", "a"]
    assert (counted(["mae"]), counted([name])) == ("loss subsets", "pairs of losses and noise")


def test_ties_go_to_fewer_losses_then_to_their_order_then_to_that_of_noises() -> None:
    order = (*LOSS_ORDER, placed("gamma"), placed("eq1"))
    names = ["mae+mse @ gamma", "mse @ gamma", "mae @ eq1", "mae @ gamma", "mae"]
    assert sorted(names, key=lambda name: tie_key(name, order)) == [
        "mae @ gamma", "mae @ eq1", "mae", "mse @ gamma", "mae+mse @ gamma",
    ]  # fmt: skip
    board = pd.DataFrame({"psnr": 20.0, "ssim": 0.5}, index=names[:4])
    assert rank(board, order=order).champion == "mae @ gamma"
    assert rank(board, order=(*LOSS_ORDER, placed("eq1"))).champion == "mae @ eq1"


def test_the_effect_of_a_noise_is_the_mean_over_the_losses() -> None:
    cube = balanced(cube_of(entrants(worth()), "psnr"))
    table = noise_means(cube, equivalence=0.1, seed=0)
    assert list(table.index) == ["gamma", "eq1"]
    # places average 4.5 and repeats 0.1; the losses 1.3 / 3
    truth = 20 + 4.5 + 0.1 + 1.3 / 3
    for row, (mean, effect, below) in zip(
        table.itertuples(), ((truth + 1, 0.5, 0.0), (truth, -0.5, 1.0)), strict=True
    ):
        assert row.mean == pytest.approx(mean, abs=0.02)
        assert row.low < mean < row.high
        assert row.effect_low < effect < row.effect_high
        assert row.below_low <= below <= row.below_high
        assert row.effect_high - row.effect_low < 0.1, "paired: places do not count"
        assert row.high - row.low > 1, "unpaired: they do"
    assert table["standing"].tolist() == ["equivalent", "worse"]
    own = Evidence(noises=table, noise_losses=tuple(LOSSES))
    counts, ahead = noise_sentences("psnr", own, 0.1)
    assert counts == (
        "In PSNR by noise (mean over 3 loss subsets), gamma is shown to be the best: the other one "
        "is worse by more than 0.1 dB."
    )
    assert ahead.startswith("The best noise in PSNR, gamma, is ahead of eq1 by 1.001 dB (")
    for losses, words in {("mae", "mse"): "mean over 2 loss subsets", ("mse",): "of mse"}.items():
        counts, _ = noise_sentences("psnr", Evidence(noises=table, noise_losses=losses), 0.1)
        assert counts.startswith(f"In PSNR by noise ({words}), gamma")


def test_a_difference_that_does_not_matter_leaves_both_equivalent() -> None:
    cube = balanced(cube_of(entrants(worth()), "psnr"))
    assert noise_means(cube, equivalence=1.5, seed=0)["standing"].eq("equivalent").all()


def test_losses_without_all_noises_do_not_flatter_any() -> None:
    """Without mae+mse on gamma: mae and mse are left, and the effect stays 1."""
    values = worth()
    del values["mae+mse @ gamma"]
    whole = cube_of(entrants(values), "psnr")
    cube = balanced(whole)
    assert set(map(losses_of, cube.names)) == {"mae", "mse"}
    table = noise_means(cube, 0.1, seed=0)
    assert table["below"].iloc[1] == pytest.approx(1, abs=0.05)
    assert balanced(cube_of(entrants({"mae @ a": 1.0, "mse @ b": 1.0}), "psnr")) is None
    plain = cube_of(entrants(LOSSES), "psnr")
    assert balanced(plain).names == plain.names


def test_the_same_best_losses_everywhere_are_called_so() -> None:
    cube = balanced(cube_of(entrants(worth()), "psnr"))
    table = best_by_noise(cube, seed=0)
    assert table[["best", "other_best"]].to_numpy().tolist() == [["mae+mse", "mae+mse"]]
    assert table["value"].item() == 0
    own = Evidence(noise_lead=lead(cube, "mae+mse", seed=0))
    said = interaction_sentence("psnr", own, table)
    assert said.startswith("In PSNR, mae+mse has the highest mean on every noise; over all of them")
    assert "it is ahead of the next, mse, by 0.50 dB (0.47 to 0.52)" in said


def test_best_losses_that_depend_on_the_noise_are_told_by_their_interaction() -> None:
    """On eq1 mae+mse is 0.9 ahead of mae, on gamma 1.1 behind: 2 in all."""
    cube = balanced(cube_of(entrants(worth(gamma_mae=2.0)), "psnr"))
    table = best_by_noise(cube, seed=0)
    (row,) = table.itertuples()
    assert (row.noise, row.other, row.best, row.other_best) == ("eq1", "gamma", "mae+mse", "mae")
    assert row.value == pytest.approx(2, abs=0.05)
    assert row.low < 2 < row.high
    said = interaction_sentence("psnr", Evidence(), table)
    assert "highest mean are, by noise: eq1 mae+mse, gamma mae." in said
    assert "mae+mse is further ahead of mae on eq1 than on gamma, by 2.0" in said
    assert said.endswith("at once: the best losses depend on the noise.")


def test_of_several_pairs_of_noises_the_surest_is_said() -> None:
    columns = ["noise", "other", "best", "other_best", "value", "low", "high"]
    rows = [
        ("a", "b", "mae", "mse", 0.4, -0.2, 1.0),
        ("a", "c", "mae", "ssim", 0.5, 0.3, 0.7),
        ("b", "c", "mse", "ssim", 2.0, 0.1, 3.9),
    ]
    said = interaction_sentence("psnr", Evidence(), pd.DataFrame(rows, columns=columns))
    assert "mae is further ahead of ssim on a than on c, by 0.5 dB (0.3 to 0.7)" in said
    assert said.endswith("at once: the best losses depend on the noise.")


def test_luck_is_not_taken_for_an_interaction() -> None:
    """Trainings that differ by luck alone: 5 % of 60 draws may say so, and two deviations more.

    Intervals of the best two alone, picked from 90 pairs on 4 noises, say so in half of them.
    """
    names = tuple(entrant(f"l{loss}", f"n{noise}") for loss in range(6) for noise in range(4))
    told = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        luck = rng.normal(size=(len(names), 1, 3)) + 0.3 * rng.normal(size=(len(names), 10, 3))
        cube = Cube(names, tuple(f"p{n}" for n in range(10)), 20 + luck)
        told += bool((best_by_noise(cube, seed=0)["low"] > 0).any())
    assert told <= 3 + 2 * 1.7


def test_rows_over_noises_are_means_and_gaps_stay_gaps() -> None:
    table = entrants({"mae @ a": 20.0, "mae @ b": 22.0, "mse @ a": 30.0}, luck=0.0)
    found = over_noises(table)
    assert set(found["name"]) == {"mae"}, "mse lacks noise b"
    assert len(found) == 30
    first = found[(found["place"] == "p3") & (found["repeat"] == 2)]
    assert first["psnr"].tolist() == [pytest.approx(21 + 3 + 0.2)]
    hole = (table["name"] == "mae @ b") & (table["place"] == "p3") & (table["repeat"] == 2)
    gap = over_noises(table.assign(psnr=table["psnr"].mask(hole)))
    assert gap["psnr"].isna().sum() == 1
    plain = entrants(LOSSES)
    assert over_noises(plain) is plain


def test_what_a_loss_adds_is_the_mean_over_noises() -> None:
    """By hand: v(mae) 20.5 + 1 with the bonus on gamma, v(mse) 20.9, v(both) 21.4; none 15."""
    cube = cube_of(entrants(worth(gamma_mae=2.0), luck=0.0), "psnr")
    noisy = np.full((10, 1), 15.0) + np.arange(10)[:, None] + 0.1
    table = attributions(balanced(cube), noisy, seed=0).set_index(["kind", "losses"])["value"]
    mae, mse, both = 20 + 0.5 + 1.0, 20 + 0.5 + 0.4, 20 + 0.5 + 0.9
    assert table["mean effect", "mae"] == pytest.approx(both - mse)
    assert table["mean effect", "mse"] == pytest.approx(both - mae)
    assert table["Shapley value", "mae"] == pytest.approx((mae - 15 + both - mse) / 2)
    assert table["interaction", "mae and mse"] == pytest.approx(both - mae - mse + 15)


def test_components_of_the_noise_are_attributed_and_a_filter_of_nothing_is_no_noise() -> None:
    """By hand: v(none) = v(correlation) = 15, v(poisson) = 20, v(both) = 23."""
    values = {
        "mae @ poisson": 19.5, "mse @ poisson": 20.5, "mae @ poisson+correlation": 22.0,
        "mse @ poisson+correlation": 24.0,
    }  # fmt: skip
    cube = cube_of(entrants(values, luck=0.0), "psnr")
    noisy = np.full((10, 1), 15.0) + np.arange(10)[:, None] + 0.1
    table = attributions(
        cube, noisy, 0, parts=lambda entrant: entrant.noise.split("+"), same=same_noise
    )
    found = {(row.kind, row.losses): row.value for row in table.itertuples()}
    assert found == pytest.approx(
        {
            ("mean effect", "correlation"): 3.0,
            ("Shapley value", "poisson"): (5 + 8) / 2,
            ("Shapley value", "correlation"): (0 + 3) / 2,
            ("interaction", "correlation and poisson"): 23 - 20 - 15 + 15,
        }
    )


def findings_of(table: pd.DataFrame, names: list[str]) -> Findings:
    pairs = PairScores(table)
    found = find(pairs, rank(pairs.means()), {}, {"psnr": 0.1}, names, 0)
    return find_noises(found, pairs, names, 0)


def said_of(table: pd.DataFrame, found: Findings) -> str:
    ranking = rank(PairScores(table).means())
    return "\n".join(text for own in sections(ranking, found) for text in own.sentences)


@pytest.mark.slow
def test_a_report_has_noises_components_and_losses_over_noises() -> None:
    noises = {"poisson": 0.0, "gaussian": -1.0, "poisson+gaussian": 0.5, "eq1": 0.2}
    values = {
        entrant(loss, noise): 20 + a + b
        for loss, a in LOSSES.items()
        for noise, b in noises.items()
    }
    table = rows(values)
    found = findings_of(table, list(values))
    said = said_of(table, found)
    assert "left out on purpose" not in said
    assert (
        "In PSNR by noise (mean over 3 loss subsets), poisson+gaussian is shown to be the best: "
        "the other 3 are worse by more than 0.1 dB." in said
    )
    assert "mae+mse has the highest mean on every noise" in said
    assert "Adding a component to the noise of the training changes PSNR" in said
    own = found.of("psnr")
    assert own.component_effects is not None
    assert own.effects is not None
    assert own.combined is not None
    effects = own.component_effects["value"]
    # eq1 is no subset of components and does not enter; noisy is 15, the losses add 1.3 / 3
    assert effects["mean effect", "gaussian"] == pytest.approx(0.5, abs=0.02)
    assert effects["mean effect", "poisson"] == pytest.approx(1.5, abs=0.02)
    base = 20 + 1.3 / 3 + 0.1 - 15
    assert effects["Shapley value", "poisson"] == pytest.approx((base + 1.5) / 2, abs=0.02)
    # combined: 20.9 against the mean of 20 and 20.4
    assert own.combined.table["value"].item() == pytest.approx(0.7, abs=0.02)
    attribution = own.effects["value"]
    assert attribution["mean effect", "mse"] == pytest.approx(0.9, abs=0.02)


def test_what_a_component_adds_is_told_of_noises_that_are_made_of_some() -> None:
    """By hand: 1 for gaussian beside poisson, 2 for poisson beside it; eq1 is made of none."""
    noises = {"poisson": 0.0, "gaussian": -1.0, "poisson+gaussian": 1.0, "eq1": 5.0}
    values = {
        entrant(loss, noise): 20 + a + b
        for loss, a in LOSSES.items()
        for noise, b in noises.items()
    }
    pairs, empty = PairScores(rows(values)), Findings(evidence={"psnr": Evidence()})
    found = find_noises(replace(empty, margins={"psnr": 0.1}), pairs, list(values), 0).of("psnr")
    assert found.component_effects is not None
    effects = found.component_effects["value"]
    assert effects["mean effect", "gaussian"] == pytest.approx(1, abs=0.02)
    assert effects["mean effect", "poisson"] == pytest.approx(2, abs=0.02)
    # with no component the noisy input, 15, which has no luck of 0.1 on average
    assert effects["Shapley value", "poisson"] == pytest.approx(
        (20 + 1.3 / 3 + 0.1 - 15 + 2) / 2, abs=0.02
    )
    *_, said = noise_sentences("psnr", found, 0.1)
    assert said.startswith(
        "Adding a component to the noise of the training changes PSNR, mean over the losses, by: "
    )
    assert "poisson +2.0" in said
    unscored = PairScores(entrants(values))  # without the noisy input; eq1 does not stand in for it
    own = find_noises(replace(empty, margins={"psnr": 0.1}), unscored, list(values), 0).of("psnr")
    assert own.component_effects is not None
    assert set(own.component_effects.index.get_level_values("kind")) == {"mean effect"}
    alone = {entrant("mae", noise): 20 + b for noise, b in (("poisson", 0.0), ("eq1", 5.0))}
    none = find_noises(
        replace(empty, margins={"psnr": 0.1}), PairScores(rows(alone)), list(alone), 0
    )
    assert none.of("psnr").component_effects is None
    assert none.of("psnr").noises is not None


def test_one_noise_for_all_adds_nothing() -> None:
    table = rows(LOSSES)
    found = findings_of(table, list(LOSSES))
    assert noise_section(found).is_empty
    assert found.of("psnr").noises is None


def test_a_noise_on_which_all_failed_is_named() -> None:
    values = {name: value for name, value in worth().items() if noise_of(name) != "gamma"}
    values |= {entrant(loss, "mix"): 21.0 + a for loss, a in LOSSES.items()}
    found = findings_of(rows(values), [*worth(), "mae @ mix"])
    said = "\n".join(noise_section(found).sentences)
    assert "noises are compared without gamma, where no loss subset has all scores" in said
    assert "mae+mse has the highest mean on every noise; over all of them it is ahead of" in said
    noises = found.of("psnr").noises
    assert noises is not None
    assert "eq1" in noises.index
