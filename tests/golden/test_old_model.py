"""A model that 0.1.0 logged loads and denoises as it did; log_old_model.py made it."""

import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest

from lfranker.tracking.models import load_network

OLD_MODEL = Path(__file__).parent / "model_of_0_1_0"
TOLERANCE = 1e-6  # of full scale; float sums of another processor or torch differ in the last bits


@pytest.fixture
def old_model(tmp_path: Path) -> Path:
    """A copy: loading leaves compiled code beside it."""
    return Path(shutil.copytree(OLD_MODEL, tmp_path / "model"))


def image_and_denoised() -> tuple[np.ndarray, np.ndarray]:
    with np.load(OLD_MODEL / "denoised.npz") as kept:
        return kept["image"], kept["denoised"]


def test_an_old_model_denoises_as_it_did_beside_the_package_of_today(old_model: Path) -> None:
    image, denoised = image_and_denoised()
    assert np.ptp(denoised) > 0.1, "an output that is all alike could not tell"
    model = mlflow.pyfunc.load_model(str(old_model))
    np.testing.assert_allclose(model.predict(image), denoised, rtol=0, atol=TOLERANCE)


def test_the_network_of_an_old_model_is_found_by_denoise_and_evaluate(old_model: Path) -> None:
    names = [name for name, _ in load_network(str(old_model)).named_parameters()]
    assert "m_head.0.weight" in names


FRESH_PROCESS = """
import sys
from pathlib import Path
import mlflow, numpy as np
folder = Path(sys.argv[1])
with np.load(folder / "denoised.npz") as kept:
    image, denoised = kept["image"], kept["denoised"]
model = mlflow.pyfunc.load_model(str(folder))
print(np.abs(model.predict(image) - denoised).max())
for name in ("inference", "scunet"):
    assert folder in Path(sys.modules["lfranker." + name].__file__).parents, name
"""


@pytest.mark.slow
def test_an_old_model_denoises_by_its_own_code_in_a_fresh_process(
    old_model: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", FRESH_PROCESS, str(old_model)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < TOLERANCE
