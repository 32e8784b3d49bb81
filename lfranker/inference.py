"""Tiled inference under its name of version 0.1.0, by which models logged then import it."""

from lfranker.denoiser.tiling import denoise

__all__ = ["denoise"]
