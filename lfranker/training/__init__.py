"""One training: settings, steps, curves and checkpoints."""
