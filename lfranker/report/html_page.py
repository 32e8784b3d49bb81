"""A ranking as one page of HTML that needs nothing else: no network, no script.

What a reader came for is on the first screen and in the leaderboard below it. All else is folded
away under the questions that it answers; paper has no folds, so that in print all of it is there.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 73rem; margin: 0.8rem auto;
       padding: 0 1rem; color: #111; background: #fff; }
h1 { font-size: 1.05rem; font-weight: 600; color: #555; margin: 0; }
h2 { font-size: 1.15rem; margin: 1.2rem 0 0.3rem; } h3 { font-size: 1rem; margin: 1rem 0 0.2rem; }
p { margin: 0.25rem 0; } li { max-width: 68rem; } ul { margin: 0.3rem 0; padding-left: 1.3rem; }
.answer { font-size: 1.15rem; line-height: 1.3; }
.caveat { border-left: 4px solid #E69F00; padding-left: 0.6rem; font-size: 0.85rem; }
.scope, .note, figcaption { font-size: 0.85rem; color: #444; }
table { border-collapse: collapse; font-size: 0.85rem; display: block; overflow-x: auto; }
th, td { padding: 0.12rem 0.5rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; } svg, img { max-width: 100%; height: auto; }
figure { margin: 0.3rem 0; } figure img, figure svg { display: block; }
.strip img { max-height: 14.5rem; }
.standings { font-size: 0.8rem; } .standings td:not(:first-child) { white-space: nowrap; }
.facts th, .facts td { text-align: left; overflow-wrap: anywhere; }
details { border-top: 1px solid #ddd; } summary { cursor: pointer; padding: 0.45rem 0; }
summary h2 { display: inline; margin: 0; font-size: 1.05rem; }
@media print {
  body { margin: 0; max-width: none; font-size: 12px; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  summary { list-style: none; }
  table { display: table; font-size: 0.55rem; } .standings { font-size: 0.65rem; }
  td:first-child, td:last-child { overflow-wrap: anywhere; } td:first-child { min-width: 9em; }
  figure, tr { break-inside: avoid; } h2, h3, summary { break-after: avoid; }
}
"""


@dataclass(frozen=True)
class Grid:
    """A table as text: `**x**` is bold, as in Markdown."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""  # a sentence under it
    words: bool = False  # cells are words, rather than numbers


@dataclass(frozen=True)
class Section:
    """A question, and what there is to say, draw and tabulate on it."""

    question: str
    sentences: Sequence[str] = ()
    plots: Mapping[str, str] = field(default_factory=dict)  # caption -> SVG, trusted
    pictures: Mapping[str, bytes] = field(default_factory=dict)  # caption -> JPEG
    grids: Mapping[str, Grid] = field(default_factory=dict)  # by caption

    @property
    def is_empty(self) -> bool:
        return not (self.sentences or self.plots or self.pictures or self.grids)


@dataclass(frozen=True)
class Page:
    """The texts of a page; `strip` and `plot` are a caption with the picture, where there is one.

    answer: the sentences that come first.
    scope: what the intervals are about, said once for all of them.
    caveats: what must not be missed; those that can wait are in a section.
    against: where the champion stands against doing without it.
    """

    title: str
    answer: str
    scope: str
    caveats: Sequence[str]
    standings: Grid  # the leaderboard
    sections: Sequence[Section]
    against: Grid | None = None
    strip: tuple[str, bytes] | None = None  # JPEG
    plot: tuple[str, str] | None = None  # SVG, trusted


def to_html(page: Page) -> str:
    """The page; all texts are escaped, so that a name of a run or of a file cannot be markup."""
    parts = [f'<p class="answer">{_text(page.answer)}</p>']
    if page.against is not None:
        parts.append(_table(page.against, "against"))
    parts += [f'<p class="caveat">{_text(caveat)}</p>' for caveat in page.caveats]
    if page.scope:
        parts.append(f'<p class="scope">{_text(page.scope)}</p>')
    if page.strip is not None:
        parts.append(_image(*page.strip, kind="strip"))
    if page.plot is not None:
        parts.append(_plot(*page.plot))
    leaderboard = f"<section><h2>Leaderboard</h2>\n{_table(page.standings, 'standings')}</section>"
    folded = [_section(section) for section in page.sections if not section.is_empty]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(page.title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(page.title)}</h1>\n"
        + "\n".join([*parts, leaderboard, *folded])
        + "\n</body></html>\n"
    )


def _section(section: Section) -> str:
    items = "".join(f"<li>{_text(sentence)}</li>" for sentence in section.sentences)
    parts = [f"<ul>{items}</ul>"] if items else []
    parts += [_plot(caption, svg) for caption, svg in section.plots.items()]
    parts += [_image(caption, jpeg) for caption, jpeg in section.pictures.items()]
    for caption, grid in section.grids.items():
        parts.append(f"<h3>{escape(caption)}</h3>" * bool(caption) + _table(grid))
    summary = f"<summary><h2>{escape(section.question)}</h2></summary>"
    return f"<details>{summary}\n" + "\n".join(parts) + "\n</details>"


def _plot(caption: str, svg: str) -> str:
    return f"<figure><figcaption>{_text(caption)}</figcaption>{svg}</figure>"


def _image(caption: str, jpeg: bytes, kind: str = "picture") -> str:
    address = f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"
    image = f'<img alt="{escape(caption, quote=True)}" src="{address}">'
    return f'<figure class="{kind}"><figcaption>{_text(caption)}</figcaption>{image}</figure>'


def _table(grid: Grid, kind: str = "scores") -> str:
    kind = "facts" if grid.words else kind
    head = "".join(f"<th>{escape(cell)}</th>" for cell in grid.heads)
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in grid.rows
    )
    note = f'\n<p class="note">{_text(grid.note)}</p>' if grid.note else ""
    body = f"<thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody>"
    return f'<table class="{kind}">{body}</table>{note}'


def _text(words: str) -> str:
    """Escape, with what stands between pairs of ** in bold, and of ` as code."""
    return _between(_between(escape(words), "**", "b"), "`", "code")


def _between(words: str, mark: str, tag: str) -> str:
    parts = words.split(mark)
    if len(parts) % 2 == 0:  # a pair is missing
        return words
    return "".join(f"<{tag}>{part}</{tag}>" if at % 2 else part for at, part in enumerate(parts))
