"""Ranks a power set from what the tracking server knows of it, and writes the answer there."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from lfranker.evaluation.criteria import VISUAL
from lfranker.publishing.artifacts import texts_of
from lfranker.publishing.note_and_marks import mark_children, write_note
from lfranker.publishing.promotion import Gate, Rescore
from lfranker.publishing.report_page import Results, page_of
from lfranker.publishing.winners import register_winners
from lfranker.ranking.along_training import along_training
from lfranker.ranking.entrants import PairScores
from lfranker.ranking.leaderboard import RankConfig, Ranking, rank
from lfranker.rating.analysis import find_ratings, ratings_section
from lfranker.rating.workflow import ratings_of
from lfranker.report.findings import Findings, find
from lfranker.report.first_screen import filter_caveats, speed_caveats
from lfranker.report.noise import find_noises
from lfranker.report.numbers import joined
from lfranker.report.remarks import (
    better_filters,
    caveats,
    is_estimated,
    reference_caveats,
    remarks,
    seen_caveats,
    shortcomings,
    site_caveats,
)
from lfranker.report.sections import sections
from lfranker.report.tables import in_words, tables, to_markdown
from lfranker.scans.scan_set import ScanSetId
from lfranker.tracking.follow_ups import checked, curve_of, refined
from lfranker.tracking.power_set import PowerSet, load_power_set
from lfranker.tracking.runs import log_texts
from lfranker.tracking.scores import (
    by_sample,
    combined_gradient_shares,
    field_scores,
    field_scores_at,
    noisy_scans_and_images,
    read_scan_table,
    scores,
)

CAPTIONS = {  # of the tables beside the leaderboard
    "table2": "Mean scores over the scan speeds (the paper's Table II)",
    "table3": "PSNR and SSIM at each scan speed (Table III)",
    "table4": "Matched keypoints at each scan speed (Table IV)",
    "table5": "Subsets that win a column (Table V)",
}


@dataclass(frozen=True)
class Report:
    """A ranking and what was done about it."""

    parent: str
    ranking: Ranking
    simulated: bool
    versions: Mapping[str, str]  # alias -> version of the registered model
    notices: tuple[str, ...]  # all that was found, in sentences, and the notices of registration
    findings: Findings = field(default_factory=Findings)
    to_mind: tuple[str, ...] = ()  # before the ranking is believed
    registration: tuple[str, ...] = ()  # what became of the winners, and runs that are left out


def rank_power_set(
    parent_id: str | None,
    model: str,
    scans: str | None = None,
    config: RankConfig | None = None,
    rescore: Rescore | None = None,
) -> Report:
    """Rank, log tables, page and note on the parent, tag and register the winners.

    `scans`: first digits of the digest of the scan set to rank on; None: the power set's own.
    `rescore`: see `promotion.Gate`. Raises ValueError where there is no such power set or nothing
    to rank.
    """
    config = config or RankConfig()
    power_set = load_power_set(parent_id)
    which = power_set.scan_set(scans)
    board, ranking = ranked(power_set, which.digest, config)
    pairs = field_scores(power_set, which)
    samples = by_sample(pairs, config.weights, power_set.order)
    findings = _find(power_set, ranking, pairs, samples, which, config.equivalence)
    ratings = ratings_of(power_set, which, board["run_id"])
    rated = find_ratings(ratings, config.equivalence.get(VISUAL, 0.0), power_set.seed)
    findings = rated.added_to(findings)
    answers = [*sections(ranking, findings), ratings_section(rated)]
    gate = Gate(power_set, pairs, which, config.promote, rescore)
    versions, notices = register_winners(board, ranking, model, gate)
    notices = [*power_set.unreadable, *notices]
    captioned = _captioned(ranking, samples)
    markdown = "\n\n".join(
        to_markdown(table, caption, simulated=which.simulated)
        for caption, table in captioned.items()
    )
    to_mind = _caveats(power_set, ranking, findings, which)
    results = Results(
        power_set, board, ranking, pairs, findings, answers, captioned, to_mind, notices, which
    )
    texts = texts_of(results, versions) | {"ranking.md": markdown, "ranking.html": page_of(results)}
    own = which == power_set.scan_set()
    folder = "ranking" if own else f"ranking-{which.short}"
    log_texts(power_set.run_id, {f"{folder}/{name}": text for name, text in texts.items()})
    if own:
        write_note(power_set, ranking, which.simulated, findings, to_mind, answers, notices)
        mark_children(power_set, ranking)
    sentences = (*(text for section in answers for text in section.sentences), *notices)
    return Report(
        parent=power_set.run_id,
        ranking=ranking,
        simulated=which.simulated,
        versions=versions,
        notices=sentences,
        findings=findings,
        to_mind=tuple(to_mind),
        registration=tuple(notices),
    )


def _find(
    power_set: PowerSet,
    ranking: Ranking,
    pairs: PairScores,
    samples: Mapping[str, Ranking],
    scans: ScanSetId,
    equivalence: Mapping[str, float],
) -> Findings:
    """Return what the scores of fields say, at the end of the trainings and along them."""
    names, order, seed = power_set.expected, power_set.order, power_set.seed
    findings = find(pairs, ranking, samples, equivalence, names, seed, order)
    findings = find_noises(findings, pairs, names, seed)
    findings = add_findings(findings, power_set, ranking, pairs, scans, equivalence)
    by_length = field_scores_at(power_set, scans, pairs)
    return replace(findings, along=along_training(by_length, equivalence, seed, order))


def _caveats(
    power_set: PowerSet, ranking: Ranking, findings: Findings, scans: ScanSetId
) -> list[str]:
    """Return what is to be minded before the ranking is believed."""
    seen = noisy_scans_and_images(power_set, scans)
    return [
        *reference_caveats(ranking),
        *speed_caveats(ranking),
        *(filter_caveats(findings) if findings.leads else better_filters(ranking)),
        *seen_caveats(*seen, estimated=is_estimated(ranking)),
        *caveats(power_set.settings, ",".join(power_set.loss_set)),
        *site_caveats(read_scan_table(power_set, scans)),
        *remarks(ranking),
    ]


def ranked(
    power_set: PowerSet, digest: str, config: RankConfig | None = None
) -> tuple[pd.DataFrame, Ranking]:
    """The scores on these scans, and their ranking. Raises ValueError where there are none."""
    board = scores(power_set, digest)
    _check_one_perceptual_network(board)
    weights = (config or RankConfig()).weights
    return board, rank(board, power_set.expected, order=power_set.order, weights=weights)


def leaderboard_caption(ranking: Ranking) -> str:
    """Say what the mean rank of a leaderboard is the mean of."""
    if not ranking.judged:
        return "Leaderboard: no subset has a score"
    titles = joined(dict.fromkeys(in_words(criterion.metric) for criterion in ranking.judged))
    return f"Leaderboard: mean rank over {titles} at every scan speed"


def _captioned(ranking: Ranking, samples: Mapping[str, Ranking]) -> dict[str, pd.DataFrame]:
    captions = {"leaderboard": leaderboard_caption(ranking), **CAPTIONS}
    captioned = {captions[name]: table for name, table in tables(ranking).items()}
    return captioned | {
        f"Sample group {sample}": tables(own)["leaderboard"] for sample, own in samples.items()
    }


def _check_one_perceptual_network(board: pd.DataFrame) -> None:
    digests = sorted(d for d in set(board["perceptual"]) if d not in ("", "none"))
    if len(digests) > 1:
        raise ValueError(
            f"these runs used different perceptual networks ({', '.join(digests)}); their "
            f"perceptual losses are not the same loss and cannot be ranked together"
        )


def add_findings(
    findings: Findings,
    power_set: PowerSet,
    ranking: Ranking,
    pairs: PairScores,
    scans: ScanSetId,
    equivalence: Mapping[str, float],
) -> Findings:
    """Return the findings with what the server knows beside the scores of fields.

    Gradient contributions, the check of the learning rate, the curve over own slow scans, and the
    newest search for weights.
    """
    shares = combined_gradient_shares(power_set, list(map(str, ranking.leaderboard.index)))
    known = shares.dropna(how="all").dropna(axis="columns", how="all").rename_axis("losses")
    varied = power_set.settings.get("vary_data", "").lower() == "true"
    scope = None if findings.scope is None else replace(findings.scope, vary_data=varied)
    search = refined(power_set, pairs, scans)
    outcome, trials = (None, None) if search is None else search.result(power_set.seed)
    return replace(
        findings,
        scope=scope,
        shares=None if known.empty else known,
        unmeasured=len(shares) - len(known),
        learning_rate=checked(power_set, scans, equivalence),
        too_short=bool(shortcomings(power_set.settings)),
        stops=power_set.stops,
        saved=power_set.saved,
        own_scans=curve_of(power_set, scans, equivalence),
        search=outcome,
        search_trials=trials,
    )
