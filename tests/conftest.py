import gc
import os

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch: the workers share the processors
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from lfranker.processes.jobs import available_cores

gc.disable()  # until all tests are imported, which makes no garbage
# files for one worker: another would have to make again their power set, or the process they copy
TOGETHER = {
    "tests/entrypoints/test_browser.py": "one power set",
    "tests/entrypoints/test_end_to_end.py": "one power set",
    "tests/tracking/test_experiments.py": "one power set",
    "tests/tracking/test_names_over_http.py": "one power set",
    "tests/entrypoints/test_faults.py": "one process",
    "tests/entrypoints/test_stopping.py": "one process",
    "tests/experiment/test_python_page.py": "one process",
    "tests/tracking/test_claims.py": "one process",
    "tests/training/test_devices.py": "one process",
}
MOST_WORKERS = 4


def pytest_configure(config: pytest.Config) -> None:
    """Import the fixtures where tests are run: torch and MLflow take those seconds that wait."""
    if "PYTEST_XDIST_WORKER" in os.environ or config.option.dist == "no":
        config.pluginmanager.import_plugin("common_fixtures")


class Scheduling(LoadFileScheduling):
    """Gives the tests of a file to one worker, as `--dist loadfile`; the slow files first."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return TOGETHER.get(file, file)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Workers take seconds to start and a gigabyte each: none for files or tests that are named."""
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    return min(available_cores(), MOST_WORKERS) if whole else 0


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    config.option.loadscopereorder = False  # keep the order of the collection
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """Look for garbage in what tests make, and not in all that is imported: that takes longer."""
    gc.freeze()
    gc.enable()
