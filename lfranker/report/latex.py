"""Tables for a paper: LaTeX that needs the package booktabs."""

import re
from collections.abc import Mapping, Sequence

from lfranker.report.html_page import Grid

SPECIAL: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
}


def to_latex(grids: Mapping[str, Grid]) -> str:
    r"""A floating table for each caption; `**bold**` cells are `\textbf`."""
    return "\n\n".join(_table(caption, grid) for caption, grid in grids.items()) + "\n"


def _table(caption: str, grid: Grid) -> str:
    columns = "l" + "r" * (len(grid.heads) - 1)
    return "\n".join(
        (
            r"\begin{table}",
            rf"  \caption{{{_text(caption)}}}",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            _row(grid.heads),
            r"    \midrule",
            *map(_row, grid.rows),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
        )
    )


def _row(cells: Sequence[str]) -> str:
    return "    " + " & ".join(map(_text, cells)) + r" \\"


def _text(words: str) -> str:
    bold = re.fullmatch(r"\*\*(.+)\*\*", words)
    if bold:
        return rf"\textbf{{{_text(bold[1])}}}"
    return "".join(SPECIAL.get(sign, sign) for sign in words)
