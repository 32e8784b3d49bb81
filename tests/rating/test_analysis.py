import numpy as np
import pandas as pd
import pytest

from lfranker.rating.analysis import alphas, find_ratings, raters, ratings_section
from lfranker.rating.ratings import UNBLINDED, visual_scores
from lfranker.report.findings import Findings


def rated(
    ratings: dict[str, dict[str, list[int]]], again: dict[str, dict[str, int]] | None = None
) -> pd.DataFrame:
    """Rater -> name -> rating at each place, or again at the first. CAPITALS are baselines."""
    rows = [
        (name, name, name.isupper(), f"f{at}", "spd2", f"f{at}", second, "id", rater, float(value))
        for second, given in ((False, ratings), (True, again or {}))
        for rater, names in given.items()
        for name, values in names.items()
        for at, value in enumerate(values if isinstance(values, list) else [values])
    ]
    return pd.DataFrame(rows, columns=list(UNBLINDED))


def said(rows: pd.DataFrame, equivalence: float = 0.0) -> tuple[Findings, str]:
    rated = find_ratings(rows, equivalence, seed=0)
    return rated.added_to(Findings()), "\n".join(ratings_section(rated).sentences)


def test_consistency_is_of_panels_that_were_shown_twice():
    rows = rated(
        {"anna": {"mae": [5, 3], "mse": [2, 1]}, "ben": {"mae": [4, 4], "mse": [4, 4]}},
        again={"anna": {"mae": 5, "mse": 3}},
    )
    table = raters(rows)
    assert table.loc["anna", ["panels", "twice", "same", "apart"]].tolist() == [6, 2, 1, 0.5]
    assert table.loc["ben", ["panels", "twice"]].tolist() == [4, 0]
    assert table.loc["anna", "mean"] == pytest.approx(19 / 6, abs=1e-12)
    text = said(rows)[1]
    assert "anna 1 of 2 (0.5 apart on average)" in text
    assert "ben 0 of" not in text


def test_agreement_of_subsets_alone_is_told_apart_from_that_with_baselines():
    rows = rated(
        {
            "anna": {"mae": [4, 5, 4], "mse": [5, 4, 5], "NOISY": [1, 1, 1]},
            "ben": {"mae": [5, 4, 5], "mse": [4, 5, 4], "NOISY": [1, 1, 1]},
        }
    )
    found = alphas(rows)
    # all six pairs differ; by chance 2 * 6 * 6 of 12 * 11 do: 1 - 1 / (72 / 132)
    assert found["subsets"] == pytest.approx(1 - 132 / 72, abs=1e-12)
    assert found["all, with baselines"] > 0
    assert "is -0.83 among the subsets, by custom too little to rely on" in said(rows)[1]


def test_a_second_showing_does_not_enter_the_agreement():
    given = {rater: {"mae": [4, 5, 4], "mse": [3, 1, 2]} for rater in ("anna", "ben")}
    rows = rated(given, again={"anna": {"mae": 1, "mse": 5}, "ben": {"mae": 5, "mse": 1}})
    assert alphas(rows)["subsets"] == 1
    assert "by custom reliable" in said(rows)[1]


def test_one_rater_is_said_to_be_one():
    found, text = said(rated({"anna": {"mae": [5, 4, 5], "mse": [1, 2, 1]}}))
    assert "One rater" in text
    assert "Intervals are over sites, and hold of these trained models" in text
    assert "Krippendorff" not in text
    assert found.of("visual").top_set == ("mae",)


@pytest.mark.slow
def test_places_are_crossed_with_raters_and_the_top_set_is_that_of_the_interval():
    rng = np.random.default_rng(0)
    spread = {"mae": (4, 6), "mse": (4, 6), "ssim": (1, 3)}
    rows = rated(
        {
            rater: {name: list(rng.integers(*ends, 8)) for name, ends in spread.items()}
            for rater in ("anna", "ben", "carl")
        }
    )
    found, text = said(rows)
    assert set(found.of("visual").top_set) == {"mae", "mse"}
    table = found.intervals["visual"]
    means = rows.groupby("name")["visual"].mean()
    np.testing.assert_allclose(table["mean"], means[table.index], rtol=1e-12)
    assert "3 raters on 8 sheets of 8 sites" in text
    assert "Intervals are over sites and raters, and" in text
    first, other = table.index[:2]
    assert (
        f"{first} is rated highest, {means.max():.2f}; cannot be shown to be worse: {other}. "
        in text
    )
    assert list(ratings_section(find_ratings(rows, 0.0, seed=0)).plots) == ["Ratings"]
    found, text = said(rows, equivalence=4)
    assert len(found.of("visual").top_set) == 3
    assert "by more than 4" in text


def test_fields_of_one_site_are_one_site():
    rows = rated({"anna": {"mae": [5, 4, 5], "mse": [1, 2, 1]}})
    found = find_ratings(rows.assign(place=rows["place"].replace("f2", "f1")), 0.0, seed=0)
    assert (found.sheets, found.sites) == (3, 2)


def test_baselines_are_not_among_those_compared():
    found, _ = said(rated({"anna": {"mae": [4, 4, 4], "mse": [1, 2, 1], "NOISY": [5, 5, 5]}}))
    assert list(found.intervals["visual"].index) == ["mae", "mse"]


def test_too_few_places_and_equal_ratings_are_said():
    _, text = said(rated({"anna": {"mae": [3, 3], "mse": [3, 3]}, "ben": {"mae": [3, 3]}}))
    assert "how sure it is cannot be said" in text
    assert "all ratings are the same" in text
    assert ratings_section(find_ratings(rated({}), 0.0, seed=0)).is_empty


def test_a_panel_shown_twice_counts_once():
    """By hand: 5 and 3 of the first panel are one 4, and with the second one's 1 2.5, not 3."""
    rows = rated({"anna": {"mae": [5, 1]}}, again={"anna": {"mae": 3}})
    assert visual_scores(rows) == {"mae": {"visual/spd2": 2.5, "visual": 2.5}}


def test_a_field_on_sheets_of_two_sets_is_on_two_sheets():
    """By hand: 5 and 3 of the first set are 4, with the 1 of the second 2.5; of all three 3."""
    rows = rated({"anna": {"mae": [5]}}, again={"anna": {"mae": 3}})
    both = pd.concat([rows, rated({"anna": {"mae": [1]}}).assign(set="other")])
    assert visual_scores(both) == {"mae": {"visual/spd2": 2.5, "visual": 2.5}}
    found = find_ratings(both, 0.0, seed=0)
    assert (found.sheets, found.sites) == (2, 1)


def test_a_rater_who_saw_a_panel_twice_counts_like_the_others():
    """By hand: 5 and 4 of one rater are 4.5, with the other one's 1 2.75; of all three 3.33."""
    rows = rated({"anna": {"mae": [5]}, "ben": {"mae": [1]}}, again={"anna": {"mae": 4}})
    assert visual_scores(rows) == {"mae": {"visual/spd2": 2.75, "visual": 2.75}}
