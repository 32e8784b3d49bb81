from copy import deepcopy
from typing import Any

import pytest
from golden.golden_compare import MISSING, differences

RECORD: dict[str, Any] = {
    "runs": {
        "powerset / mae": {
            "metrics": {"psnr": "0: 21.503923416137695", "ssim": "0: 0.5"},
            "tags": {"lfranker.losses": ["mae"], "lfranker.outcome": ["ok"]},
            "artifacts": {"scores/table.csv": ["speed,psnr", "1us,21.5", "300ns,20.1"]},
        }
    },
    "logged models": {"<model of mae>": {"artifacts": {"weights": "0f3a"}}},
}
RUN = "runs > powerset / mae > "


def test_a_record_does_not_differ_from_itself() -> None:
    assert list(differences(RECORD, deepcopy(RECORD))) == []


def changed(*path: str, to: Any) -> dict[str, Any]:
    """Return the record with one value set, or removed where it is MISSING."""
    record = deepcopy(RECORD)
    place = record
    for name in path[:-1]:
        place = place[name]
    if to == MISSING:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return record


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (
            changed("runs", "powerset / mae", "metrics", "psnr", to="0: 21.503923416137697"),
            (RUN + "metrics > psnr", "0: 21.503923416137695", "0: 21.503923416137697"),
        ),
        (
            changed("runs", "powerset / mae", "tags", "lfranker.outcome", to=MISSING),
            (RUN + "tags > lfranker.outcome", ["ok"], MISSING),
        ),
        (
            changed("runs", "powerset / mae", "metrics", "mse", to="0: 0.1"),
            (RUN + "metrics > mse", MISSING, "0: 0.1"),
        ),
        (
            changed("logged models", "<model of mae>", "artifacts", "weights", to="0f3b"),
            ("logged models > <model of mae> > artifacts > weights", "0f3a", "0f3b"),
        ),
        (
            changed(
                "runs", "powerset / mae", "artifacts", "scores/table.csv",
                to=["speed,psnr", "new,22.0", "1us,21.5", "300ns,20.1"],
            ),
            (RUN + "artifacts > scores/table.csv > line 2", "", "new,22.0"),
        ),
    ],
    ids=["a metric", "a tag that is missing", "a new metric", "weights", "one line more"],
)  # fmt: skip
def test_what_differs_is_named_and_nothing_else(after: Any, expected: tuple[Any, ...]) -> None:
    assert list(differences(RECORD, after)) == [expected]
