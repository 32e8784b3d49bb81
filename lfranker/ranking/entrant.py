"""Entrants of a ranking: a subset of losses, and where noises are compared its noise."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lfranker.losses.names import LOSS_ORDER

MARK = " @ "


@dataclass(frozen=True)
class Entrant:
    """A subset of losses, trained on a noise.

    Its text, `mae+ssim` or `mae+ssim @ poisson+speckle`, names rows of tables; neither part has a
    blank in it.
    """

    losses: tuple[str, ...]  # as they are shown: "perceptual-random" with random weights
    noise: str = ""  # its label; "" where there is one noise for all

    @classmethod
    def parse(cls, text: str) -> "Entrant":
        losses, _, noise = text.partition(MARK)
        return cls(tuple(losses.split("+")), noise)

    def __str__(self) -> str:
        return f"{self.subset}{MARK}{self.noise}" if self.noise else self.subset

    @property
    def subset(self) -> str:
        """The losses alone, as text."""
        return "+".join(self.losses)

    @property
    def is_hybrid(self) -> bool:
        """True where it was trained on two losses or more."""
        return len(self.losses) > 1

    def on(self, noise: str) -> "Entrant":
        """The same losses on a noise; "" where there is one for all."""
        return Entrant(self.losses, noise)


def losses_of(name: str) -> str:
    """Return the subset of losses in the text of an entrant, as text."""
    return Entrant.parse(name).subset


def noise_of(name: str) -> str:
    """Return the label of the noise in the text of an entrant; "" where there is one for all."""
    return Entrant.parse(name).noise


def is_hybrid(name: str) -> bool:
    """Return whether the text of an entrant names two losses or more."""
    return Entrant.parse(name).is_hybrid


def noises_in(names: Iterable[str]) -> list[str]:
    """The noises of some entrants, each once, in the order in which they come."""
    return list(dict.fromkeys(noise for name in names if (noise := noise_of(name))))


def counted(names: Iterable[object], subsets: str = "loss subsets") -> str:
    """Name entrants for a count of them: ``subsets`` where there is one noise."""
    return "pairs of losses and noise" if noises_in(map(str, names)) else subsets


def placed(noise: str) -> str:
    """A noise among the names whose order decides ties, where no loss is called so."""
    return f"@ {noise}"


def tie_key(name: str, order: Sequence[str] = LOSS_ORDER) -> tuple[int, list[int], int, str]:
    """Sort key of subsets: number of losses, then `order`; losses it does not name come last.

    A variant counts as the loss before the hyphen: "perceptual-random" as "perceptual". The same
    losses on several noises are sorted by the place of `placed` noises in `order`.
    """
    places, entrant = {loss: place for place, loss in enumerate(order)}, Entrant.parse(name)
    last = len(places)
    found = [places.get(loss_of(loss, order), last) for loss in entrant.losses]
    return len(found), found, places.get(placed(entrant.noise), last), name


def loss_of(shown: str, order: Sequence[str]) -> str:
    """The loss behind the name that it is shown under: "perceptual" of "perceptual-random"."""
    return next((loss for loss in order if shown == loss or shown.startswith(f"{loss}-")), shown)
