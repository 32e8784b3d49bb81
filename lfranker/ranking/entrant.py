"""Names of entrants: a subset of losses, and where noises are compared the noise behind it.

`mae+ssim`, or `mae+ssim @ poisson+speckle`. Neither part has a blank in it.
"""

from collections.abc import Iterable, Sequence

from lfranker.losses.names import LOSS_ORDER

MARK = " @ "


def entrant(losses: str, noise: str = "") -> str:
    """The name of a subset of losses trained on a noise; "" where there is one for all."""
    return f"{losses}{MARK}{noise}" if noise else losses


def losses_of(name: str) -> str:
    return name.partition(MARK)[0]


def noise_of(name: str) -> str:
    """The label of the noise; "" where there is one for all."""
    return name.partition(MARK)[2]


def is_hybrid(name: str) -> bool:
    """Whether it was trained on two losses or more."""
    return "+" in losses_of(name)


def noises_in(names: Iterable[str]) -> list[str]:
    """The noises of some entrants, each once, in the order in which they come."""
    return list(dict.fromkeys(noise for name in names if (noise := noise_of(name))))


def counted(names: Iterable[object], subsets: str = "loss subsets") -> str:
    """What entrants are called when they are counted: ``subsets`` where there is one noise."""
    return "pairs of losses and noise" if noises_in(map(str, names)) else subsets


def placed(noise: str) -> str:
    """A noise among the names whose order decides ties, where no loss is called so."""
    return f"@ {noise}"


def tie_key(name: str, order: Sequence[str] = LOSS_ORDER) -> tuple[int, list[int], int, str]:
    """Sorts subsets by number of losses, then by `order`; losses it does not name come last.

    A variant counts as the loss before the hyphen: "perceptual-random" as "perceptual". The same
    losses on several noises are sorted by the place of `placed` noises in `order`.
    """
    places = {loss: place for place, loss in enumerate(order)}
    parts, last = losses_of(name).split("+"), len(places)
    found = [places.get(loss_of(part, order), last) for part in parts]
    return len(parts), found, places.get(placed(noise_of(name)), last), name


def loss_of(part: str, order: Sequence[str]) -> str:
    """The loss that a part of a name stands for: "perceptual" of "perceptual-random"."""
    return next((loss for loss in order if part == loss or part.startswith(f"{loss}-")), part)
