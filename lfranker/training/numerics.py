"""Versions of the code that weights depend on, as numbers to be raised by hand.

They are not the package's version: most versions train as the one before.
"""

# Raise with a change after which the same settings give other weights: everything is trained again.
#   1: as of version 0.1.0
#   2: the learning rate is constant before a linear decay, in place of a cosine
#   3: ssim, perceptual and AdamW compute with other orders of the same sums, equal but for rounding
NUMERICS = 3

# Raise with a change that only saves trainings which went wrong: those that diverged with fewer
# safeguards are trained again, all others are kept.
#   1: gradients are clipped at a multiple of the running median of their norms
#   2: a network that blows up goes back to its averaged weights
SAFEGUARDS = 2


def numerics_text(numerics: int = NUMERICS) -> str:
    """Text that keys of trainings are made from; the first is what they were made from before."""
    return "0.1.0" if numerics == 1 else f"numerics {numerics}"
