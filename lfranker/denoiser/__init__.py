"""The network, and what denoises with it: arrays, served models, files."""
