"""Clean images turned into stored pairs of noisy and clean patches."""
