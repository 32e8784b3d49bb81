import numpy as np

from lfranker.microscopes.reading import ScanMetadata
from lfranker.scans.sites import halves, places, samples


def at(x, y=0.0, width=10e-6):
    return ScanMetadata(stage=(x * 1e-6, y * 1e-6), field_width=width)


def test_fields_that_overlap_are_of_one_place_also_via_others():
    """10 um wide: a and b 9 um apart, b and c 9 um, so a and c 18 um; d is 20 um from c."""
    found = places({"a": at(0), "c": at(18), "b": at(9), "d": at(38), "e": at(38, 10.1)})
    assert found == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e"}


def test_without_a_stage_every_field_is_a_place_of_its_own():
    unknown = ScanMetadata()
    assert places({"a": unknown, "b": unknown, "c": at(0)}) == {"a": "a", "b": "b", "c": "c"}
    assert places({}) == {}


def test_samples_are_sub_folders():
    unknown = ScanMetadata()
    assert samples({"gold/1": unknown, "gold/2": unknown, "tin/1": unknown, "3": unknown}) == {
        "gold/1": "gold", "gold/2": "gold", "tin/1": "tin", "3": "other",
    }  # fmt: skip
    assert samples({"gold/1": unknown, "gold/2": unknown}) == {"gold/1": "", "gold/2": ""}


def test_samples_without_sub_folders_are_magnifications():
    """Calibrations of 5.8 and 5.9 nm are one; what is not known of one is told of none."""
    sizes = {"a": 5.8e-9, "b": 5.9e-9, "c": 20e-9, "d": 5.8e-9}
    metadata = {name: ScanMetadata(pixel_size=size) for name, size in sizes.items()}
    assert samples(metadata) == {
        "a": "5.8 nm pixels", "b": "5.8 nm pixels", "c": "20 nm pixels", "d": "5.8 nm pixels",
    }  # fmt: skip
    assert set(samples({**metadata, "e": ScanMetadata()}).values()) == {""}
    assert set(samples({"a": metadata["a"], "b": metadata["b"]}).values()) == {""}


def test_halves_are_drawn_and_share_no_site() -> None:
    first, second = halves(7, np.random.default_rng(0))
    assert (len(first), len(second)) == (3, 4)
    assert sorted([*first, *second]) == list(range(7))
    drawn = {tuple(halves(7, np.random.default_rng(seed))[0]) for seed in range(5)}
    assert len(drawn) > 1
