from lfranker.report.html_page import Grid
from lfranker.report.tables import to_latex


def test_a_table_has_its_cells_in_order_the_best_in_bold_and_signs_escaped():
    text = to_latex({"Scores & 5 %": Grid(("Losses", "PSNR (dB)"), [("mae_x", "**18.46**")])})
    lines = [line.strip() for line in text.splitlines()]
    assert lines == [
        r"\begin{table}",
        r"\caption{Scores \& 5 \%}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"Losses & PSNR (dB) \\",
        r"\midrule",
        r"mae\_x & \textbf{18.46} \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
