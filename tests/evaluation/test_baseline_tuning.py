from pathlib import Path

import numpy as np
import pytest

from lfranker.evaluation.baseline_tuning import PAIRS, tune
from lfranker.evaluation.baselines import Family
from lfranker.registration.register import Transform
from lfranker.scans.scan_set import Pair, Record, ScanSet

CLEAN = np.full((8, 8), 0.5, np.float32)
MASK = np.ones((8, 8), bool)
CLEAN[:2], MASK[:2] = 0.9, False


class Memory(ScanSet):
    """Noisy scans that are `offset` too bright; the place is the letter, offset the number."""

    def read(self, record):
        offset = np.float32(float(record.field[1:]) / 100)
        return Pair(
            record.field,
            record.speed,
            np.where(MASK, CLEAN + offset, 0.5),
            CLEAN,
            MASK,
            CLEAN,
            Transform(),
            record.place,
        )


def scans(*pairs):
    records = tuple(Record(field, speed, Transform(), "", "", field[0]) for field, speed in pairs)
    speeds = tuple(dict.fromkeys(record.speed for record in records))
    fields = tuple(dict.fromkeys(record.field for record in records))
    return Memory(Path(), "slow", speeds, fields, False, "", (), (), (), records)


tried = []


def darker(image, value):
    tried.append(float(image[-1, -1]))
    return image - np.float32(value / 100)


FAMILY = Family(darker, "by, of 100", (0, 10, 20, 30))


def test_every_half_gets_what_is_best_on_the_other_one():
    """Places a and c are 10 too bright, b and d 30: tuned on the others, each is given theirs."""
    found = tune("x", FAMILY, scans(("a10", "s"), ("b30", "s"), ("c10", "s"), ("d30", "s")))
    assert found.best == {(0, "s"): 30, (1, "s"): 10}
    assert found.parameters == {
        "by of 100 half 1 s": "30",
        "by of 100 half 2 s": "10",
    }
    set_ = scans(("a10", "s"), ("b30", "s"))
    assert np.allclose(found(set_.read(set_.records[0]))[MASK], CLEAN[MASK] + 0.1 - 0.3)


def test_speeds_are_tuned_apart_and_a_place_keeps_together():
    pairs = [("a10", "s"), ("a10", "t"), ("b10", "s"), ("b20", "t"), ("a30", "t")]
    found = tune("x", FAMILY, scans(*pairs))
    assert found.best[0, "t"] == 20
    assert found.best[1, "t"] in (10, 20, 30)
    assert found.best[0, "s"] == found.best[1, "s"] == 10
    assert found.half == {"a": 0, "b": 1}


def test_a_speed_that_the_other_half_lacks_borrows_from_its_other_speeds():
    found = tune("x", FAMILY, scans(("a10", "s"), ("b20", "t")))
    assert found.best[0, "s"] == 20


def test_one_place_cannot_be_tuned_on_another():
    with pytest.raises(ValueError, match="one site"):
        tune("x", FAMILY, scans(("a10", "s"), ("a20", "s")))


def test_only_a_few_fields_are_tried():
    tried.clear()
    tune("x", FAMILY, scans(*((f"{'ab'[i % 2]}{i}", "s") for i in range(40))))
    assert len(tried) == 2 * PAIRS * len(FAMILY.values)
    assert max(tried) - min(tried) > 0.35  # from the first to the last
