"""Measurements, each run from the top of the repository: `python -m benchmarks.NAME --help`."""
