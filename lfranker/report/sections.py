"""The sections of a ranking's page: each a question, answered by sentences, plots and tables."""

from collections.abc import Iterator

import pandas as pd

from lfranker.evaluation.criteria import NOISY, VISUAL, criteria_of
from lfranker.ranking.along_training import AlongTraining, Stop
from lfranker.ranking.evidence import Evidence
from lfranker.ranking.leaderboard import Ranking
from lfranker.report.decisions import (
    learning_rate_sentence,
    regret_sentence,
    stability_sentence,
    undistinguished_sentence,
)
from lfranker.report.findings import Findings
from lfranker.report.html_page import Grid, Section
from lfranker.report.learning_curves import (
    length_sentences,
    length_table,
    scan_sentences,
    scan_table,
    stop_sentences,
)
from lfranker.report.noise import noise_section
from lfranker.report.numbers import number
from lfranker.report.plots import (
    attribution_plot,
    heat_map,
    learning_curve_plot,
    pareto_plot,
    rank_course_plot,
    rank_plot,
    share_plot,
)
from lfranker.report.sentences import (
    advantage_sentences,
    agreement_sentences,
    comparison_sentences,
    effect_sentences,
    left_out_sentence,
    sample_sentence,
    search_sentence,
    share_sentence,
)
from lfranker.report.tables import MOST_ROWS, title_of
from lfranker.statistics.concordance import pareto_front

FEW_REPEATS = 2  # too few to see that one subset's trainings scatter more


def sections(ranking: Ranking, findings: Findings) -> list[Section]:
    """Return the sections on what was found; those of which nothing is known are empty."""
    return [
        how_sure(ranking, findings),
        noise_section(findings),  # the first question where noises or networks are compared
        longer_training(findings),
        stopped_early(findings),
        which_are_best(findings),
        what_losses_add(findings),
        shares_section(findings),
        combined_or_single(findings),
        other_learning_rates(findings),
        other_weights(findings),
        own_scans(findings),
        do_criteria_agree(ranking, findings),
        by_sample(findings),
    ]


def how_sure(ranking: Ranking, findings: Findings) -> Section:
    stability, noise = findings.stability, findings.undistinguished
    sentences = []
    if stability is not None:
        sentences += [stability_sentence(stability), regret_sentence(stability)]
    if noise is not None and ranking.champion is not None:
        sentences.append(undistinguished_sentence(noise, ranking.champion))
    if findings.scope is not None and findings.scope.repeats == FEW_REPEATS:
        sentences.append(
            "With two repeats it cannot be seen whether the trainings of one subset scatter more "
            "than those of the others: intervals of such a subset would be too narrow."
        )
    return Section("How stable is the choice?", sentences)


def longer_training(findings: Findings) -> Section:
    question, along = "Would longer training choose other losses?", findings.along
    if along is None:
        return Section(question)
    plots = {"Mean ranks by the length of the training": rank_course_plot(along.mean_ranks)}
    grids = {
        f"{title_of(metric)} by the length of the training": _length_grid(along, metric)
        for metric in along.scores
    }
    return Section(question, length_sentences(along), plots, grids=grids)


def stopped_early(findings: Findings) -> Section:
    question, stops = "Which trainings were stopped early?", findings.stops
    if not stops:
        return Section(question)
    metrics = list(dict.fromkeys(metric for stop in stops.values() for metric in stop.behind))
    behind = [f"{title_of(metric)}: behind by at least" for metric in metrics]
    rows = [
        [name, f"{stop.after:,}", *(_behind(stop, metric) for metric in metrics)]
        for name, stop in stops.items()
    ]
    grid = Grid(["Losses", "after a training of so many steps", *behind], rows)
    return Section(question, stop_sentences(findings), grids={"What was stopped, and when": grid})


def _behind(stop: Stop, metric: str) -> str:
    return number(stop.behind[metric]) if metric in stop.behind else "-"


def _length_grid(along: AlongTraining, metric: str) -> Grid:
    table = length_table(along, metric).iloc[:MOST_ROWS]
    rows = [[str(name), *map(str, cells)] for name, *cells in table.itertuples()]
    return Grid(["Losses", *map(str, table.columns)], rows)


def which_are_best(findings: Findings) -> Section:
    sentences: list[str] = []
    plots = {}
    for metric, own in _measured(findings):
        sentences += comparison_sentences(metric, own, findings.margins[metric])
        if own.intervals is not None:
            title = title_of(metric, unit=False)
            plots[f"Ranks in {title} that cannot be excluded"] = rank_plot(own.intervals, title)
    return Section("Which subsets may be the best?", sentences, plots)


def what_losses_add(findings: Findings) -> Section:
    sentences = [text] if (text := left_out_sentence(findings)) else []
    plots = {}
    for metric, own in _measured(findings):
        sentences += effect_sentences(metric, own)
        if own.effects is not None:
            caption = f"Mean effect on {title_of(metric, unit=False)} of adding a loss to others"
            plots[caption] = attribution_plot(own.effects.reset_index(), title_of(metric))
    return Section("What does each loss add?", sentences, plots)


def combined_or_single(findings: Findings) -> Section:
    advantages = [(m, own.combined) for m, own in _measured(findings) if own.combined is not None]
    sentences = [text for metric, own in advantages for text in advantage_sentences(metric, own)]
    return Section("Do noisier scans want combined losses?", sentences)


def other_learning_rates(findings: Findings) -> Section:
    check = findings.learning_rate
    return Section(
        "Does the winner depend on the learning rate?",
        [learning_rate_sentence(check)] if check else [],
    )


def other_weights(findings: Findings) -> Section:
    search = findings.search
    return Section(
        "Do other weights of the losses do better?", [search_sentence(search)] if search else []
    )


def own_scans(findings: Findings) -> Section:
    question, curve = "How many slow scans do I need?", findings.own_scans
    if curve is None:
        return Section(question)
    plots = {
        f"Gain in {title_of(metric, unit=False)} by own slow scans among the training images": (
            learning_curve_plot(table, title_of(metric))
        )
        for metric, table in curve.tables.items()
    }
    grids = {
        f"Gain in {title_of(metric)} over no own slow scans": scan_table(curve, metric)
        for metric in curve.tables
    }
    return Section(question, list(scan_sentences(curve)), plots, grids=grids)


def do_criteria_agree(ranking: Ranking, findings: Findings) -> Section:
    agreement = findings.agreement
    sentences = [] if agreement is None else list(agreement_sentences(agreement))
    return Section("Do the criteria agree?", sentences, dict(_overview(ranking)))


def by_sample(findings: Findings) -> Section:
    champions = {sample: own.champion for sample, own in findings.samples.items()}
    return Section("Do sample groups differ?", [sample_sentence(champions)] if champions else [])


def _measured(findings: Findings) -> Iterator[tuple[str, Evidence]]:
    return ((metric, own) for metric, own in findings.evidence.items() if metric != VISUAL)


def _overview(ranking: Ranking) -> Iterator[tuple[str, str]]:
    """Ranks by criterion, and PSNR against SSIM."""
    board = ranking.leaderboard[~ranking.leaderboard["baseline"]]
    criteria = list(ranking.winners)
    speeds = {c.speed for c in criteria_of(board) if c.metric == "psnr" and c.speed}
    if len(speeds) == 1:  # over all speeds and at the only one are the same
        criteria = [criterion for criterion in criteria if not criterion.speed]
    ranks = board[[criterion.rank_column for criterion in criteria]].iloc[:MOST_ROWS]
    ranks.columns = pd.Index([title_of(str(c), unit=False) for c in criteria])
    if criteria:
        yield "Ranks by criterion (1 is best)", heat_map(ranks)
    if {"psnr", "ssim"} <= set(board):
        finite = _finite(board.loc[board["outcome"].eq("ok"), ["psnr", "ssim"]])
        shown = ranking.leaderboard.loc[[*finite.index, *_baselines(ranking)]]
        labels = title_of("psnr"), title_of("ssim")
        yield "PSNR against SSIM", pareto_plot(shown, "psnr", "ssim", pareto_front(finite), labels)


def _finite(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.abs().lt(float("inf")).all(axis=1)]


def _baselines(ranking: Ranking) -> list[str]:
    """Names without the noisy input, which lies so far off that all others would be one dot."""
    board = ranking.leaderboard
    shown = board.index[board["baseline"] & board["psnr"].notna()]
    return [str(name) for name in shown if name != NOISY]


ALONE = 0.9  # of the gradient: a loss with more leaves the others little to say
MOST_COMBINED = 40  # combined losses in the plot


def shares_section(findings: Findings) -> Section:
    """Say and draw which loss rules the gradient of each combined loss."""
    question = "Which loss rules the gradient of a combined loss?"
    shares = findings.shares
    if shares is None:
        return Section(question)
    first = f", the first {MOST_COMBINED} of {len(shares):,}" if len(shares) > MOST_COMBINED else ""
    caption = f"Contribution of each loss to the gradient, mean over training{first}"
    plots = {caption: share_plot(shares.iloc[:MOST_COMBINED])}
    return Section(question, [share_sentence(shares, findings.unmeasured, ALONE)], plots)
