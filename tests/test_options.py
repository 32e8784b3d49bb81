"""What a field says of itself, and what is made of that."""

from dataclasses import dataclass, field

import pytest

from lfranker.options import changed, check, default_of, determining, flat, only, option, options


@dataclass(frozen=True)
class Inner:
    width: tuple[float, float] = option((1.0, 2.0), "Width, px.", minimum=0, maximum=9)
    kind: str = option("a", "Which.", choices=("a", "b"), name="sort")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Outer:
    steps: int = option(3, "Steps.", minimum=1)
    rate: float | None = option(None, "Rate.", above=0)
    decay: float = option(0.5, "Decay.", minimum=0, below=1)
    inner: Inner = field(default_factory=Inner)
    weights: dict[str, float] = option(lambda: {"a": 1.0}, "Weights.")
    free: float = option(0.0, "Any number.")
    plain: int = 0  # no option

    def __post_init__(self) -> None:
        check(self)


def test_settings_within_settings_are_flat_and_named_as_asked() -> None:
    assert list(options(Outer)) == [
        "steps", "rate", "decay", "width", "sort", "weights", "free",
    ]  # fmt: skip
    assert options(Outer)["sort"][1].help == "Which."
    assert default_of(options(Outer)["weights"][0]) == {"a": 1.0}
    found = changed(Outer(), {"sort": "b", "steps": 7, "unknown": 1, "plain": 5})
    assert found == Outer(steps=7, inner=Inner(kind="b"))
    assert flat(found) == {
        "steps": 7, "rate": None, "decay": 0.5, "width": (1.0, 2.0), "sort": "b",
        "weights": {"a": 1.0}, "free": 0.0,
    }  # fmt: skip
    assert only({"sort": "b", "steps": None, "x": 1}, Outer) == {"sort": "b"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps is 0; allowed is at least 1"),
        ({"rate": 0.0}, "rate is 0.0; allowed is above 0"),
        ({"rate": float("nan")}, "rate is nan; allowed is a finite number"),
        ({"decay": 1.0}, "decay is 1.0; allowed is 0 up to but without 1"),
        ({"width": (2.0, 1.0)}, r"width is \(2.0, 1.0\); allowed is 0 to 9, low first"),
        ({"width": (2.0, 10.0)}, "allowed is 0 to 9, low first"),
        ({"width": (-1.0, 1.0)}, "allowed is 0 to 9, low first"),
        ({"sort": "c"}, "sort is c; allowed are a, b"),
        ({"width": 2.0}, r"width is 2.0; allowed are two numbers, low first: \(1.0, 2.0\)"),
        ({"width": (1.0, "2")}, r"allowed are two numbers, low first: \(1.0, 2.0\)"),
        ({"width": (1.0,)}, r"allowed are two numbers, low first: \(1.0, 2.0\)"),
        ({"steps": "7"}, "steps is '7'; allowed is a whole number, such as 3"),
        ({"decay": True}, "decay is True; allowed is a number, such as 0.5"),
        ({"steps": 7.0}, "steps is 7.0; allowed is a whole number, such as 3"),
        ({"rate": float("inf")}, "rate is inf; allowed is a finite number"),
        ({"free": float("inf")}, "free is inf; allowed is a finite number"),
        ({"free": float("nan")}, "free is nan; allowed is a finite number"),
    ],
)
def test_what_is_out_of_bounds_is_named_with_what_is_allowed(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=f"{message}$"):
        changed(Outer(), values)


def test_the_ends_of_the_bounds_are_allowed_but_for_those_left_out() -> None:
    found = changed(Outer(), {"steps": 1, "rate": 1e-9, "decay": 0.0, "width": (0.0, 9.0)})
    assert (found.steps, found.rate, found.decay, found.inner.width) == (1, 1e-9, 0.0, (0.0, 9.0))


@dataclass(frozen=True)
class Later:
    steps: int = option(5, "How many.")
    rhythm: int = option(25, "How often it is shown.", affects_weights=False)
    new: float = option(0.5, "Added after results had been stored.", added=True)


def test_what_was_added_or_only_shows_does_not_hide_the_results_of_before() -> None:
    assert determining(Later()) == {"steps": 5}
    assert determining(Later(rhythm=1, new=0.5)) == {"steps": 5}
    assert determining(Later(new=0.4)) == {"steps": 5, "new": 0.4}
