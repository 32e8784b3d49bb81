"""The files that a ranking is written to beside its pages: CSV, LaTeX and JSON, by name."""

import json
from collections.abc import Iterator, Mapping

import pandas as pd

from lfranker.evaluation.criteria import VISUAL
from lfranker.publishing.report_page import Results
from lfranker.ranking.along_training import AlongTraining
from lfranker.ranking.evidence import Evidence
from lfranker.report.findings import Findings
from lfranker.report.remarks import remarks
from lfranker.report.tables import formatted, tables, to_csv, to_latex


def texts_of(results: Results, versions: Mapping[str, str]) -> dict[str, str]:
    """Return text by file name; ``versions`` are those that were registered, by alias."""
    ranking, findings = results.ranking, results.findings
    evidence = evidence_tables(findings)
    title = "synthetic-" if results.scans.simulated else ""
    texts = {f"{title}{name}.csv": to_csv(table) for name, table in tables(ranking).items()}
    texts |= {f"{name}.csv": str(table.to_csv()) for name, table in evidence.items()}
    kind = "Simulated scans: " if results.scans.simulated else ""
    grids = {kind + caption: formatted(table)[0] for caption, table in results.captioned.items()}
    texts["tables.tex"] = to_latex(grids)
    summary = {
        "champion": ranking.champion,
        "champion_mean_rank": ranking.champion_mean_rank,
        "winners": {str(criterion): name for criterion, name in ranking.winners.items()},
        "missing": ranking.missing,
        "notes": remarks(ranking),
        "versions": versions,
        "simulated": results.scans.simulated,
        "scans": results.scans.digest,
        "evidence": [text for own in results.sections for text in own.sentences],
        "top": findings.top_sets,
        "tables": {name: _records(table.reset_index()) for name, table in evidence.items()},
        "leaderboard": _by_name(ranking.leaderboard),
    }
    texts["ranking.json"] = json.dumps(summary, indent=2)
    return texts


def evidence_tables(findings: Findings) -> dict[str, pd.DataFrame]:
    """Return the tables that were found, by the name of their file without its ending."""
    return {name: table for name, table in _named(findings) if table is not None}


def _named(findings: Findings) -> Iterator[tuple[str, pd.DataFrame | None]]:
    for sample, ranking in findings.samples.items():
        yield f"samples/{sample}", tables(ranking)["leaderboard"].rename_axis("losses")
    measured = {metric: own for metric, own in findings.evidence.items() if metric != VISUAL}
    for metric, own in measured.items():
        yield from _comparisons(metric, own)
    for metric, own in measured.items():
        if own.combined is not None:
            yield f"combined-{metric}", own.combined.table.rename_axis("speed")
    if findings.stability is not None:
        yield "champion-shares", findings.stability.shares.to_frame()
        yield "regret", findings.stability.regret
    if findings.along is not None:
        yield from _lengths(findings.along)
    yield "agreement", None if findings.agreement is None else findings.agreement.tau
    for metric, own in measured.items():
        yield f"noises-{metric}", own.noises
        yield f"noises-best-{metric}", own.best_by_noise
        yield f"noise-components-{metric}", own.component_effects
    yield "shares", findings.shares
    yield (
        "learning-rate",
        None if findings.learning_rate is None else findings.learning_rate.mean_ranks,
    )
    if findings.own_scans is not None:
        for metric, table in findings.own_scans.tables.items():
            yield f"own-scans-{metric}", table
    yield "visual-raters", findings.raters
    yield "visual-agreement", findings.rater_agreement
    yield from _comparisons(VISUAL, findings.of(VISUAL))
    yield "refine", None if findings.search is None else findings.search.comparison
    yield "refine-trials", findings.search_trials


def _lengths(along: AlongTraining) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "lengths", along.mean_ranks
    yield "lengths-tau", along.tau
    for metric, table in along.scores.items():
        yield f"lengths-{metric}", table
    for metric, table in along.forecasts.items():
        yield f"forecast-{metric}", table


def _comparisons(metric: str, own: Evidence) -> Iterator[tuple[str, pd.DataFrame | None]]:
    yield f"attribution-{metric}", own.effects
    yield f"intervals-{metric}", own.intervals
    yield f"beats-{metric}", own.beats


def _by_name(table: pd.DataFrame) -> object:
    return json.loads(table.to_json(orient="index", double_precision=15))


def _records(table: pd.DataFrame) -> object:
    return json.loads(table.to_json(orient="records", double_precision=15))
