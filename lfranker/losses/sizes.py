"""The one check that losses of more than single pixels share."""

from torch import Tensor


def require_side(loss: str, image: Tensor, smallest: int) -> None:
    """ValueError naming the loss where a side of (b, 1, h, w) is below ``smallest`` px."""
    if min(image.shape[-2:]) < smallest:
        size = "x".join(map(str, image.shape[-2:]))
        raise ValueError(f"{loss}: image of {size} px, it needs {smallest} a side")
