"""Blinded rating of denoised fields by people."""
