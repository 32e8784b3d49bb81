"""The network under its name of version 0.1.0, by which models logged then import it."""

from lfranker.denoiser.scunet import SCUNet

__all__ = ["SCUNet"]
