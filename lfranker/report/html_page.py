"""A ranking as one page of HTML that needs nothing else: no network, no script."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem;
       color: #111; background: #fff; }
p, li { max-width: 60rem; }
.answer { font-size: 1.25rem; } .caveat { border-left: 4px solid #E69F00; padding-left: 0.8rem; }
table { border-collapse: collapse; font-size: 0.85rem; display: block; overflow-x: auto; }
th, td { padding: 0.15rem 0.5rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; } svg, img { max-width: 100%; height: auto; }
.standings { font-size: 0.8rem; } .standings td:not(:first-child) { white-space: nowrap; }
.facts th, .facts td { text-align: left; overflow-wrap: anywhere; }
@media print {
  body { margin: 0; max-width: none; }
  table { display: table; font-size: 0.55rem; } .standings { font-size: 0.65rem; }
  td:first-child, td:last-child { overflow-wrap: anywhere; }
  section:not(:has(table)), tr { break-inside: avoid; } h2 { break-after: avoid; }
}
"""


@dataclass(frozen=True)
class Grid:
    """A table as text: `**x**` is bold, as in Markdown."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""  # a sentence under it


@dataclass(frozen=True)
class Page:
    title: str
    answer: str  # the sentence that comes first
    caveats: Sequence[str]
    standings: Grid  # the table right under the caveats
    evidence: Sequence[str]  # sentences on how sure it is
    grids: Mapping[str, Grid]  # by caption
    plots: Mapping[str, str]  # caption -> SVG, trusted
    facts: Mapping[str, str]  # what was run
    pictures: Mapping[str, bytes] = field(default_factory=dict)  # caption -> JPEG
    missing: Sequence[str] = ()  # what the ranking does without


def to_html(page: Page) -> str:
    """The page; all texts are escaped, so that a name of a run or of a file cannot be markup."""
    parts = [f'<p class="answer">{_text(page.answer)}</p>']
    parts += [f'<p class="caveat">{_text(caveat)}</p>' for caveat in page.caveats]
    parts.append(_section("Leaderboard", _table(page.standings, "standings")))
    if page.evidence:
        parts.append(_section("How sure this is", _list(page.evidence)))
    parts += [_section(caption, plot) for caption, plot in page.plots.items()]
    parts += [_section(caption, _image(caption, jpeg)) for caption, jpeg in page.pictures.items()]
    parts += [_section(caption, _table(grid)) for caption, grid in page.grids.items()]
    facts = Grid(("Setting", "Value"), [(name, value) for name, value in page.facts.items()])
    parts.append(_section("What was run", _table(facts, "facts")))
    if page.missing:
        parts.append(_section("What is missing", _list(page.missing)))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(page.title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(page.title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _section(caption: str, content: str) -> str:
    return f"<section><h2>{escape(caption)}</h2>\n{content}</section>"


def _list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_text(sentence)}</li>' for sentence in sentences)}</ul>"


def _image(caption: str, jpeg: bytes) -> str:
    words = escape(caption, quote=True)
    return f'<img alt="{words}" src="data:image/jpeg;base64,{b64encode(jpeg).decode()}">'


def _table(grid: Grid, kind: str = "scores") -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in grid.heads)
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in grid.rows
    )
    note = f"\n<p>{_text(grid.note)}</p>" if grid.note else ""
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
