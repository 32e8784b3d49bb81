"""Noise models, and the noise of a microscope measured on its scans."""
