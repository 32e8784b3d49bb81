from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lfranker.arrays import Floats
from lfranker.microscopes.reading import ScanMetadata
from lfranker.scans.site_table import SITE_TABLE, read_site_table
from lfranker.scans.sites import (
    Sites,
    SiteSource,
    assume_apart,
    halves,
    join_overlapping,
    samples,
    stated_sites,
)

UNKNOWN = ScanMetadata()


def at(x: float, y: float = 0.0, width: float = 10e-6) -> ScanMetadata:
    return ScanMetadata(stage=(x * 1e-6, y * 1e-6), field_width=width)


def names(sites: Sites) -> dict[str, str]:
    return {field: site.name for field, site in sites.items()}


def sources(sites: Sites) -> dict[str, str]:
    return {field: str(site.source) for field, site in sites.items()}


def test_fields_that_overlap_are_of_one_site_also_via_others() -> None:
    """10 um wide: a and b 9 um apart, b and c 9 um, so a and c 18 um; d is 20 um from c."""
    found = stated_sites(
        {"a": at(0), "c": at(18), "b": at(9), "d": at(38), "e": at(38, 10.1)}, None
    )
    assert names(found) == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e"}
    assert set(sources(found).values()) == {"stage position"}


@pytest.mark.parametrize(("apart", "together"), [(29.0, True), (31.0, False)])
def test_the_wider_of_two_fields_tells_whether_they_overlap(apart: float, together: bool) -> None:
    """One is 10 um wide and the other 30 um."""
    found = stated_sites({"a": at(0), "b": at(apart, width=30e-6)}, None)
    assert names(found) == {"a": "a", "b": "a" if together else "b"}


def test_without_a_stage_every_field_is_assumed_a_site_of_its_own() -> None:
    found = stated_sites({"a": UNKNOWN, "b": UNKNOWN, "c": at(0)}, None)
    assert names(found) == {"a": "a", "b": "b", "c": "c"}
    assert sources(found) == {"a": "assumed", "b": "assumed", "c": "stage position"}
    assert stated_sites({}, None) == {}


def test_default_positions_are_none() -> None:
    """All equal, or 0, 0 of several; a position of two among others is where two fields are."""
    same = stated_sites({"a": at(17.5), "b": at(17.5), "c": UNKNOWN}, None)
    assert names(same) == {"a": "a", "b": "b", "c": "c"}
    assert set(sources(same).values()) == {"assumed"}
    some = stated_sites({"a": at(0), "b": at(0), "c": at(50), "d": at(50), "e": at(90)}, None)
    assert names(some) == {"a": "a", "b": "b", "c": "c", "d": "c", "e": "e"}
    assert sources(some)["b"] == "assumed"
    assert sources(stated_sites({"a": at(0), "b": at(50)}, None))["a"] == "stage position"
    assert sources(stated_sites({"a": at(5)}, None)) == {"a": "stage position"}


def test_four_sub_folders_are_sites_and_three_are_samples() -> None:
    """Where the stage tells nothing; a field beside the sub-folders is of none."""
    fields = [f"{folder}/{n}" for folder in "pqrs" for n in (1, 2)]
    found = stated_sites(dict.fromkeys([*fields, "x", "y"], UNKNOWN), None)
    assert names(found) == {f: f"{f[0]}/1" for f in fields} | {"x": "x", "y": "y"}
    assert sources(found) == dict.fromkeys(fields, "sub-folder") | {"x": "assumed", "y": "assumed"}
    few = stated_sites(dict.fromkeys(fields[:6], UNKNOWN), None)
    assert names(few) == {field: field for field in fields[:6]}
    by_stage = stated_sites({field: at(20 * n) for n, field in enumerate(fields)}, None)
    assert names(by_stage) == {field: field for field in fields}


def test_what_the_user_says_wins_over_the_stage() -> None:
    found = stated_sites({"a": at(0), "b": at(0), "c": at(50)}, {"a": "s1", "b": "s2", "c": "s1"})
    assert names(found) == {"a": "s1", "b": "s2", "c": "s1"}
    assert set(sources(found).values()) == {"sites.csv"}


def thumbnails(*starts: int) -> list[Floats]:
    """Views of one specimen, 128 x 128 px, from these columns on."""
    blurred = gaussian_filter(np.random.default_rng(0).normal(size=(128, 1200)), 2)
    return [blurred[:, start : start + 128] for start in starts]


def test_fields_whose_images_overlap_are_joined_unless_the_stage_or_user_knows_better() -> None:
    """a, b and c overlap in a row; d is elsewhere; e and f overlap, by their images, with a."""
    views = dict(zip("abcdef", thumbnails(0, 80, 160, 800, 20, 40), strict=True))
    stage = {"e": at(0), "f": at(90)}
    stated = stated_sites(dict.fromkeys("abcd", UNKNOWN) | stage, None)
    found = join_overlapping({f: stated[f] for f in "abcd"}, views)
    assert names(found) == {"a": "a", "b": "a", "c": "a", "d": "d"}
    assert sources(found) == dict.fromkeys("abc", "image overlap") | {"d": "assumed"}
    apart = {f: stated[f] for f in "ef"}
    assert join_overlapping(apart, views) == apart
    assert names(join_overlapping({f: stated[f] for f in "ae"}, views)) == {"a": "a", "e": "a"}
    assert sources(join_overlapping({f: stated[f] for f in "ae"}, views)) == {
        "a": "image overlap", "e": "stage position",
    }  # fmt: skip
    # by the stage e and f are apart, whatever is to be found out of d
    assert names(join_overlapping({f: stated[f] for f in "efd"}, views)) == {f: f for f in "efd"}
    given = stated_sites(dict.fromkeys("abc", UNKNOWN), {"a": "1", "b": "2", "c": "3"})
    assert join_overlapping(given, views) == given


def test_fields_of_an_overlap_bring_their_sites_together() -> None:
    fields = ["p/1", "p/2", "q/1", "q/2", "r/1", "s/1"]
    views = dict(zip(fields, thumbnails(0, 300, 350, 600, 850, 1050), strict=True))
    found = join_overlapping(stated_sites(dict.fromkeys(fields, UNKNOWN), None), views)
    assert names(found) == dict.fromkeys(fields[:4], "p/1") | {"r/1": "r/1", "s/1": "s/1"}
    assert set(sources(found).values()) == {"sub-folder"}


def test_simulated_fields_are_known_to_be_apart() -> None:
    found = assume_apart(stated_sites({"a": UNKNOWN, "b": at(0)}, None))
    assert sources(found) == {"a": SiteSource.SIMULATED, "b": SiteSource.STAGE}


FIELDS = ["f1", "gold/f2", "f.3"]


@pytest.mark.parametrize(
    "text",
    [
        "field,site\nf1,A\ngold/f2,A\nf.3,B\n",
        "\ufefffield;site\r\nf1;A\r\n\r\ngold\\f2;A\r\nf.3;B\r\n",
        'field,site\n f1.tif , A\n"gold/f2.TIF",A\nf.3.png,B\nleft-out,C\n',
    ],
)
def test_sites_csv_names_fields_as_their_scans_are(tmp_path: Path, text: str) -> None:
    (tmp_path / SITE_TABLE).write_bytes(text.encode())
    found = read_site_table(tmp_path, FIELDS, [*FIELDS, "left-out"])
    assert found is not None
    assert {field: found[field] for field in FIELDS} == {"f1": "A", "gold/f2": "A", "f.3": "B"}


def test_there_need_be_no_sites_csv(tmp_path: Path) -> None:
    assert read_site_table(tmp_path, FIELDS, FIELDS) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"row 1: found 'nothing'; allowed is the heading 'field,site'"),
        ("name,place\nf1,A\n", r"row 1: found 'name,place'; allowed is the heading 'field,site'"),
        ("field,site\nf1,A\nf9,B\n", r"row 3: no scan shows the field 'f9'; allowed are f1, gold"),
        ("field,site\nf1,A\n\nf1,B\n", r"row 4: 'f1' has a row already"),
        ("field,site\nf1,A,B\n", r"row 2: found 'f1,A,B'; allowed is a field and its site"),
        ("field,site\nf1,\n", r"row 2: found 'f1,'; allowed is a field and its site"),
        ("field,site\nf1,A\n", r"2 of 3 fields have no row: gold/f2, f\.3; every field needs"),
        ('field,site\n"f1,A\n', r"not a table of comma-separated text"),
        (b"field,site\n\xff\xfe,A\n", r"not a table of comma-separated text"),
    ],
)
def test_what_is_wrong_with_sites_csv_is_named(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    (tmp_path / SITE_TABLE).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=rf"sites\.csv.*{message}"):
        read_site_table(tmp_path, FIELDS, FIELDS)


def test_samples_are_sub_folders() -> None:
    assert samples({"gold/1": UNKNOWN, "gold/2": UNKNOWN, "tin/1": UNKNOWN, "3": UNKNOWN}) == {
        "gold/1": "gold", "gold/2": "gold", "tin/1": "tin", "3": "other",
    }  # fmt: skip
    assert samples({"gold/1": UNKNOWN, "gold/2": UNKNOWN}) == {"gold/1": "", "gold/2": ""}


def test_samples_without_sub_folders_are_magnifications() -> None:
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
