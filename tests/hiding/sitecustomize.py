"""Hides packages from the processes of tests: those that HIDDEN_PACKAGES names, with commas."""

import os
import sys

for package in os.environ["HIDDEN_PACKAGES"].split(","):
    sys.modules[package] = None  # type: ignore[assignment]  # it cannot be found any more
