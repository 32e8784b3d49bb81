"""The ranking as a note: what MLflow's page of the power set shows first."""

from collections.abc import Mapping, Sequence

from lfranker.evaluation.criteria import NOISY
from lfranker.ranking.leaderboard import Ranking
from lfranker.report.findings import Findings
from lfranker.report.first_screen import against, answer, split
from lfranker.report.html_page import Grid, Section
from lfranker.report.numbers import joined
from lfranker.report.sentences import scope_sentence
from lfranker.report.tables import in_words, line, tables, title_of, to_markdown, writer

NOTE_LIMIT = 7_500  # characters; MLflow cuts a tag at 8,000
FIRST, BESIDE = 5, 8  # entrants and baselines in the table
SECTION_LIMIT = 1_200  # of one question, so that it does not drive out all others
REPORT, TABLE, COMPARED = "ranking.html", "table", "compared"  # keys of links that are no run's
WORDS = {REPORT: "The whole report", TABLE: "The runs in a table", COMPARED: "The runs compared"}


def note(
    ranking: Ranking,
    findings: Findings | None = None,
    *,
    simulated: bool = False,
    caveats: Sequence[str] = (),
    sections: Sequence[Section] = (),
    notices: Sequence[str] = (),
    links: Mapping[str, str] | None = None,
) -> str:
    """The ranking on a page of Markdown, the answer first, within NOTE_LIMIT characters.

    `caveats` are sentences put under the answer, as many as the first screen has room for, the
    others under the leaderboard; `sections` are those of the page, of which only sentences are
    shown; `notices` come last; `links` are addresses of runs by name, and of pages by the keys of
    WORDS.
    The table is as narrow as the column that MLflow shows it in: without costs and whys.
    What does not fit is left out from the end, a whole section at a time, and its absence is said.
    """
    findings = findings or Findings()
    links = links or {}
    pages = "".join(f" [{words}]({links[key]})." for key, words in WORDS.items() if key in links)
    first, later = split([*(["These scans are simulated, not measured."] * simulated), *caveats])
    parts = [
        answer(ranking, findings) + pages,
        "\n>\n".join(f"> {' '.join(sentence.split())}" for sentence in first),
        _markdown(against(ranking, findings)),
        scope_sentence(findings.scope),
        narrow_leaderboard(ranking, simulated, links),
        _questioned("What else should be kept in mind?", later),
        *(_questioned(section.question, section.sentences) for section in sections[:3]),
        _winners(ranking, simulated),
        *(_questioned(section.question, section.sentences) for section in sections[3:]),
        _questioned("What else was noted?", notices),
    ]
    # names of files and runs are no markup
    return _fit([part.rstrip().replace("<", "&lt;") for part in parts if part])


def narrow_leaderboard(ranking: Ranking, simulated: bool, links: Mapping[str, str]) -> str:
    """The first entrants and the baselines, with the mean rank and the means of each metric."""
    whole = tables(ranking)["leaderboard"]
    shown = ["mean_rank", *ranking.directions, "outcome"]
    board = whole[[column for column in shown if column in whole]]
    entrants, baselines = (board[board["outcome"].eq("baseline") == side] for side in (False, True))
    beside = sorted(baselines.index, key=lambda name: name != NOISY)  # the one that must be seen
    first = (
        f"the first {FIRST} of {len(entrants):,}"
        if len(entrants) > FIRST
        else f"all {len(entrants)}"
    )
    best = f"{BESIDE} of {len(baselines)}" if len(baselines) > BESIDE else "the"
    beside_them = f", and {best} baselines" if len(baselines) else ""
    by = dict.fromkeys(in_words(criterion.metric) for criterion in ranking.judged)
    ranked = f" (mean rank over {joined(by)})" if by else ""
    caption = f"Leaderboard: {first} subsets{ranked}{beside_them}"
    return to_markdown(
        board,
        caption,
        simulated=simulated,
        directions=ranking.directions,
        rows=[*entrants.index[:FIRST], *beside[:BESIDE]],
        links=links,
    )


def _markdown(grid: Grid | None) -> str:
    if grid is None:
        return ""
    rule = f"|---|{'---:|' * (len(grid.heads) - 1)}"
    return "\n".join([line(grid.heads), rule, *map(line, grid.rows)])


def _questioned(question: str, sentences: Sequence[str]) -> str:
    """A question and as many answers as have room."""
    lines: list[str] = []
    for sentence in sentences:
        if sum(map(len, lines)) + len(sentence) > SECTION_LIMIT:
            break
        lines.append(f"- {sentence}")
    return "\n".join([f"**{question}**", "", *lines] if lines else [])


def _fit(parts: Sequence[str]) -> str:
    rest = "\n\n(More is in the tables among the artifacts.)\n"
    text = parts[0][: NOTE_LIMIT - len(rest)]
    cut = False
    for part in parts[1:]:
        if len(text) + len(part) + 2 + len(rest) <= NOTE_LIMIT:
            text += f"\n\n{part}"
        else:
            cut = True
    return text + (rest if cut else "\n")


def _winners(ranking: Ranking, simulated: bool) -> str:
    board = ranking.leaderboard
    lines = ["| Criterion | Winner | Score |", "|---|---|---:|"]
    for criterion, name in ranking.winners.items():
        column = str(criterion)
        write = writer(column, board[column])
        lines.append(line([title_of(column), name, write(board[column][name])]))
    return "\n".join([f"**{'Simulated scans: ' * simulated}Winners**", "", *lines])
