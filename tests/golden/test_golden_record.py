import pytest
from golden.golden_record import without_timed_columns


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("losses,seconds_per_step,psnr", "mae,0.58,28.6", "mae,<time>28.6"),
        ("| Losses | Cost (s) | PSNR |", "| mae | **0.58** | 28.6 |", "| mae |<time> 28.6 |"),
        (r"Losses & PSNR & Cost (s) \\", r"mae & 28.6 & 0.58 \\", "mae & 28.6 &<time>"),
        (
            "<tr><th>Losses</th><th>Cost (s)</th><th>PSNR</th></tr>",
            "<tr><td>mae</td><td>0.58</td><td>28.6</td></tr>",
            "<tr><td>mae</td><time><td>28.6</td></tr>",
        ),
    ],
)
def test_durations_in_tables_are_hidden_and_nothing_else(
    header: str, row: str, expected: str
) -> None:
    assert without_timed_columns([header, row, "", row]) == [header, expected, "", row]


def test_a_table_without_durations_stays() -> None:
    lines = ["losses,psnr,ssim", "mae,28.6,0.82"]
    assert without_timed_columns(lines) == lines
