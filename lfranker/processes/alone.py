"""A job in a process of its own, which nobody has prepared: imports take most of its start.

python -m lfranker.processes.alone MODULE WORDS
"""

import gc
import sys
from collections.abc import Sequence
from importlib import import_module

from lfranker.processes.template import keep_imports


def main(words: Sequence[str]) -> None:
    """Import the module, and no garbage is looked for meanwhile; then call its `main`."""
    module, *own = words
    gc.disable()
    imported = import_module(module)
    keep_imports()
    gc.enable()
    imported.main(own)


if __name__ == "__main__":
    main(sys.argv[1:])
