import gc
import os
from pathlib import PurePath

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch: the workers share the processors
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from lfranker.processes.jobs import available_cores

gc.disable()  # until all tests are imported, which makes no garbage
# files whose tests look at one power set: another worker would have to make it again
OF_ONE_PROJECT = {"test_browser", "test_end_to_end"}
MOST_WORKERS = 4


def pytest_configure(config: pytest.Config) -> None:
    """Import the fixtures where tests are run: torch and MLflow take those seconds that wait."""
    if "PYTEST_XDIST_WORKER" in os.environ or config.option.dist == "no":
        config.pluginmanager.import_plugin("common_fixtures")


class Scheduling(LoadFileScheduling):
    """Gives the tests of a file to one worker, as `--dist loadfile`; the slow files first."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "project" if PurePath(file).stem in OF_ONE_PROJECT else file


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Workers take seconds to start and a gigabyte each: none for files or tests that are named."""
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    return min(available_cores() + 1, MOST_WORKERS) if whole else 0  # one may be waiting


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
