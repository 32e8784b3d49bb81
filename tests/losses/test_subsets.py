"""Which subsets are trained: a rule against a filter over the whole power set."""

from itertools import chain, combinations

import pytest

from lfranker.losses import parse_names
from lfranker.losses.subsets import ALL, MOST_SUBSETS, SubsetRule, from_text, parse_groups

NAMES = ("mae", "mse", "ssim", "perceptual")
EVERY = list(chain.from_iterable(combinations(NAMES, size) for size in range(1, 5)))


def test_all_subsets_by_size_then_order() -> None:
    assert ALL.subsets(NAMES) == EVERY
    assert len(EVERY) == 2**4 - 1


@pytest.mark.parametrize("low", [1, 2, 3])
@pytest.mark.parametrize("high", [None, 3, 9])
@pytest.mark.parametrize("include", [(), ("ssim",), ("perceptual", "mae")])
@pytest.mark.parametrize("exclude", [(), (("mse", "perceptual"),), (("mse",), ("mae", "ssim"))])
def test_a_rule_keeps_what_a_filter_does(
    low: int, high: int | None, include: tuple[str, ...], exclude: tuple[tuple[str, ...], ...]
) -> None:
    expected = [
        s for s in EVERY
        if low <= len(s) <= (high or 4)
        and all(name in s for name in include)
        and not any(all(name in s for name in group) for group in exclude)
    ]  # fmt: skip
    rule = SubsetRule(low, high, include, exclude)
    if expected:
        assert rule.subsets(NAMES) == expected
    else:
        with pytest.raises(ValueError, match=r"no subset of .* is left"):
            rule.subsets(NAMES)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (SubsetRule(include=("huber",)), "include: huber not in the set; allowed are mae, mse"),
        (SubsetRule(exclude=(("mae", "tv"),)), "exclude: tv not in the set"),
        (SubsetRule(min_size=3, max_size=2), "max_size is 2, below min_size, 3"),
        (SubsetRule(min_size=5), "no subset"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(rule: SubsetRule, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rule.subsets(NAMES)


def test_a_large_set_is_counted_before_it_is_listed() -> None:
    many = [f"loss{n}" for n in range(60)]
    assert len(SubsetRule(max_size=2).subsets(many)) == 60 + 60 * 59 // 2
    with pytest.raises(ValueError, match=rf"60 losses have 1,152,921.* at most {MOST_SUBSETS:,}"):
        ALL.subsets(many)
    assert len(ALL.subsets(many[:10])) == 1023


def test_a_rule_is_stored_and_read_back_under_the_shown_names() -> None:
    rule = SubsetRule(1, 3, ("perceptual",), (("mae", "perceptual"), ("mse",)))
    shown = rule.shown("perceptual-random")
    assert from_text(shown.to_text()) == shown
    names = ["mae", "mse", "ssim", "perceptual-random"]
    found = from_text(shown.to_text()).subsets(names)
    assert [
        tuple(name.removesuffix("-random") for name in subset) for subset in found
    ] == rule.subsets(NAMES)
    with pytest.raises(ValueError, match="too long"):
        SubsetRule(exclude=(tuple(NAMES),) * 300).to_text()


def test_a_rule_is_said_as_the_options_say_it() -> None:
    exclude = parse_groups("perceptual+mse,mae")
    assert exclude == (("mse", "perceptual"), ("mae",))
    assert str(SubsetRule(2, None, ("ssim",), exclude)) == (
        "min_size=2 include=ssim exclude=mse+perceptual,mae"
    )
    with pytest.raises(ValueError, match="huberr"):
        parse_groups("mae+huberr")


def test_losses_that_cannot_stand_alone_are_included_and_excluded_too():
    names = ("mae", "gradient", "tv")
    assert parse_names("tv") == ("tv",)
    assert SubsetRule(include=("tv",)).subsets(names) == [
        ("mae", "tv"), ("mae", "gradient", "tv")
    ]  # fmt: skip
    kept = SubsetRule(exclude=parse_groups("gradient+tv")).subsets(names)
    assert kept == [("mae",), ("mae", "gradient"), ("mae", "tv")]
    with pytest.raises(ValueError, match="none of them can be trained on alone"):
        SubsetRule().subsets(("gradient", "tv"))
