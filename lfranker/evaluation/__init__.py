"""Scores of a denoised field, and the filters that a network has to beat."""
