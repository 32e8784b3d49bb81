"""Options: a field of a settings dataclass says once all that there is to know about it.

    steps: int = option(2000, "Optimiser steps of each training.", minimum=1)

Command lines, the check of bounds and the fingerprints are made from that. Settings that hold
other settings are flat for those who name them: `DatasetConfig.noise.peak` is the option `peak`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from math import inf, isfinite
from numbers import Integral, Real
from typing import Any, TypeVar

OPTION = "option"  # in a field's metadata
Config = TypeVar("Config")


@dataclass(frozen=True)
class Option:
    """Facts about an option beside its type and its default, which the field has."""

    help: str
    minimum: float = -inf
    maximum: float = inf
    above: float = -inf  # the value is larger than this
    below: float = inf  # the value is smaller than this
    choices: tuple[str, ...] = ()
    affects_weights: bool = True  # of a training
    added: bool = False  # after settings had been stored, in whose names it must not appear
    name: str = ""  # that it is asked for by; the field's own where there is none
    parse: Callable[[str], Any] | None = None  # reads its text, where its type does not tell how

    def check(self, name: str, value: Any) -> None:
        """Raise ValueError where a value, or an end of a range, is out of bounds; None never is."""
        _check_finite(name, value)
        if value is None or not self.allowed or self._allows(value):
            return
        order = ", low first" if isinstance(value, tuple) else ""
        verb = "are" if self.choices else "is"
        raise ValueError(f"{name} is {value}; allowed {verb} {self.allowed}{order}")

    def _allows(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if isinstance(value, tuple):
            low, high = value
            return bool(low <= high) and self._allows(low) and self._allows(high)
        return bool(self.minimum <= value <= self.maximum and self.above < value < self.below)

    @property
    def allowed(self) -> str:
        """The bounds in words: "at least 1", "0 up to but without 1"; "" where there are none."""
        if self.choices:
            return ", ".join(self.choices)
        lowest = f"above {self.above:g}" if self.above > -inf else f"{self.minimum:g}"
        if self.below < inf:
            return f"{lowest} up to but without {self.below:g}"
        if self.maximum < inf:
            return f"{lowest} to {self.maximum:g}"
        if self.above > -inf:
            return lowest
        return f"at least {lowest}" if self.minimum > -inf else ""


def option(default: Any, help: str, **known: Any) -> Any:
    """A field with what `Option` knows of it; a function as default makes a new one each time."""
    metadata = {OPTION: Option(help, **known)}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def options(kind: type) -> dict[str, tuple[Field[Any], Option]]:
    """The options of a settings dataclass and of the settings in it, by the name asked for."""
    return {known.name or item.name: (item, known) for item, known in _leaves(kind)}


def default_of(item: Field[Any]) -> Any:
    """The value where nothing is said."""
    return item.default if item.default_factory is MISSING else item.default_factory()


def check(config: Any) -> None:
    """Raise ValueError naming the first option whose value is out of its bounds."""
    for item in fields(config):
        if OPTION in item.metadata:
            known: Option = item.metadata[OPTION]
            name, value = known.name or item.name, getattr(config, item.name)
            _check_kind(name, value, default_of(item), read=known.parse is not None)
            known.check(name, value)


def _check_kind(name: str, value: Any, default: Any, *, read: bool) -> None:
    """Raise ValueError where a range is given as something else, or a number as text.

    A single number that is ``read`` from its text may be one of several kinds.
    """
    if _is_range(default) and not _is_range(value):
        raise ValueError(f"{name} is {value!r}; allowed are two numbers, low first: {default}")
    whole = isinstance(default, int)
    known = isinstance(value, Integral) and _is_number(value) if whole else _is_number(value)
    if not read and _is_number(default) and value is not None and not known:
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{name} is {value!r}; allowed is {kind}, such as {default}")


def _check_finite(name: str, value: Any) -> None:
    """Raise ValueError where a number, or an end of a range, is none to compute with."""
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(isfinite(number) for number in numbers if isinstance(number, float)):
        raise ValueError(f"{name} is {value}; allowed is a finite number")


def _is_range(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def flat(config: Any) -> dict[str, Any]:
    """The values of all options by the names asked for, those of settings within settings too."""
    values: dict[str, Any] = {}
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            values |= flat(value)
        elif OPTION in item.metadata:
            values[item.metadata[OPTION].name or item.name] = value
    return values


def determining(config: Any) -> dict[str, Any]:
    """The values that make results what they are, by which results are found again.

    Without those that only change how a run is watched, and without options that were added later
    where they have their default: results of before are still found.
    """
    known = options(type(config))
    return {
        name: value
        for name, value in flat(config).items()
        if known[name][1].affects_weights
        and not (known[name][1].added and value == default_of(known[name][0]))
    }


def changed(config: Config, values: Mapping[str, Any]) -> Config:
    """The settings with other values by the names asked for; names that it lacks are passed by."""
    changes: dict[str, Any] = {}
    for item in fields(config):  # type: ignore[arg-type]
        value = getattr(config, item.name)
        if is_dataclass(value):
            changes[item.name] = changed(value, values)
        elif OPTION in item.metadata:
            name = item.metadata[OPTION].name or item.name
            if name in values:
                changes[item.name] = values[name]
    return replace(config, **changes)  # type: ignore[type-var]


def only(values: Mapping[str, Any], *kinds: type) -> dict[str, Any]:
    """The values that are options of some settings and are not None, which is: left out."""
    names = {name for kind in kinds for name in options(kind)}
    return {k: value for k, value in values.items() if k in names and value is not None}


def _leaves(kind: type) -> Iterator[tuple[Field[Any], Option]]:
    for item in fields(kind):
        if isinstance(item.type, type) and is_dataclass(item.type):
            yield from _leaves(item.type)
        elif OPTION in item.metadata:
            yield item, item.metadata[OPTION]
