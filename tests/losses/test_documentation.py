import json
from pathlib import Path

from lfranker.losses import LOSSES
from lfranker.losses.documentation import NOTES, page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_declarations_say() -> None:
    costs = json.loads((DOCS / "loss_costs.json").read_text(encoding="utf-8"))
    assert (DOCS / "losses.md").read_text(encoding="utf-8") == page(**costs)


def test_every_loss_is_described_and_has_a_cost() -> None:
    assert list(NOTES) == list(LOSSES)
    for name, note in NOTES.items():
        assert all(text.strip() for text in note), name
    costs = json.loads((DOCS / "loss_costs.json").read_text(encoding="utf-8"))["costs"]
    assert list(costs) == list(LOSSES)
    assert costs["mae"] == 1
