"""The ranking as a note: what MLflow's page of the power set shows first."""

from collections.abc import Mapping, Sequence

from lfranker.evaluation.criteria import NOISY
from lfranker.ranking.entrant import counted
from lfranker.ranking.leaderboard import Ranking
from lfranker.report.tables import line, tables, title_of, to_markdown, writer
from lfranker.text import listed

NOTE_LIMIT = 7_500  # characters; MLflow cuts a tag at 8,000
NOISES_LIMIT = 1_200  # of them on noises
REPORT, TABLE, COMPARED = "ranking.html", "table", "compared"  # keys of links that are no run's
WORDS = {REPORT: "The whole report", TABLE: "The runs in a table", COMPARED: "The runs compared"}


def note(
    ranking: Ranking,
    *,
    simulated: bool = False,
    caveats: Sequence[str] = (),
    founded: Sequence[str] = (),
    noises: Sequence[str] = (),
    links: Mapping[str, str] | None = None,
) -> str:
    """The ranking on a page of Markdown, the answer first, within NOTE_LIMIT characters.

    `caveats` are sentences put right under the answer, `founded` those that say how sure it is,
    under the leaderboard; `noises` those that compare noises, of which the first are shown; `links`
    are addresses of runs by name, and of pages by the keys of WORDS.
    The table is as narrow as the column that MLflow shows it in: without costs and whys.
    What does not fit is left out from the end, a whole section at a time, and its absence is said.
    """
    whole = tables(ranking)["leaderboard"]
    shown = ["mean_rank", *ranking.directions, "outcome"]
    board = whole[[column for column in shown if column in whole]]
    entrants, baselines = (board[board["outcome"].eq("baseline") == side] for side in (False, True))
    beside = sorted(baselines.index, key=lambda name: name != NOISY)  # the one that must be seen
    top = [*entrants.index[:5], *beside[:8]]
    caption = f"The first {min(5, len(entrants))} of {len(entrants):,}, and the baselines"
    said = [*caveats, *(["These scans are synthetic: simulated, not measured."] * simulated)]
    links = links or {}
    pages = "".join(f" [{words}]({links[key]})." for key, words in WORDS.items() if key in links)
    sections = [
        answer(ranking, len(entrants)) + pages,
        "\n>\n".join(f"> {' '.join(sentence.split())}" for sentence in said),
        "\n".join(f"- {sentence}" for sentence in ranking.notes),
        to_markdown(
            board,
            caption,
            simulated=simulated,
            directions=ranking.directions,
            rows=top,
            links=links,
        ),
        _which_noise(noises),
        "\n".join(["**How sure this is**", "", *(f"- {text}" for text in founded)] * bool(founded)),
        _winners(ranking, simulated),
    ]
    return _fit([section.rstrip() for section in sections if section])


def _which_noise(said: Sequence[str]) -> str:
    """Join as many sentences as have room, so that they do not drive out all else."""
    lines: list[str] = []
    for sentence in said:
        if sum(map(len, lines)) + len(sentence) > NOISES_LIMIT:
            break
        lines.append(f"- {sentence}")
    return "\n".join(["**Which noise**", "", *lines] if lines else [])


def _fit(sections: Sequence[str]) -> str:
    rest = "\n\n(More is in the tables among the artifacts.)\n"
    text = sections[0][: NOTE_LIMIT - len(rest)]
    cut = False
    for section in sections[1:]:
        if len(text) + len(section) + 2 + len(rest) <= NOTE_LIMIT:
            text += f"\n\n{section}"
        else:
            cut = True
    return text + (rest if cut else "\n")


def answer(ranking: Ranking, entrants: int) -> str:
    """The sentence for which all was done."""
    if ranking.champion is None:
        return "**No answer**: no entrant has a finite score in every criterion that decides it."
    titles = dict.fromkeys(title_of(c.metric, unit=False) for c in ranking.judged)
    speeds = dict.fromkeys(c.speed for c in ranking.judged if c.speed)
    board = ranking.leaderboard
    kind = counted(board.index[~board["baseline"]])
    where = f" at {listed(speeds)}" if speeds else ""
    return (
        f"Train on **{ranking.champion}**: of {entrants:,} {kind} it has the best mean rank, "
        f"{ranking.champion_mean_rank:.2f}, over {_and(list(titles))}{where}."
    )


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _winners(ranking: Ranking, simulated: bool) -> str:
    board = ranking.leaderboard
    lines = ["| Criterion | Winner | Score |", "|---|---|---:|"]
    for criterion, name in ranking.winners.items():
        column = str(criterion)
        write = writer(column, board[column])
        lines.append(line([title_of(column), name, write(board[column][name])]))
    return "\n".join([f"**{'Synthetic scans: ' * simulated}Winners**", "", *lines])
