"""Command lines, one module per entry point of MLproject: parse, validate, call, report."""

import gc
import sys

if sys.argv[:1] == ["-m"]:  # so it is while `python -m` looks for a command of this package
    # Nothing that torch and MLflow make as they are imported is garbage, and looking for some takes
    # a third of that time. `options.Command.main` has it looked for again.
    gc.disable()
