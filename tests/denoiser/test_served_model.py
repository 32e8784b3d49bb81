"""What the served model takes: gray values as floats in [0, 1], and nothing else."""

from types import SimpleNamespace

import numpy as np
import pytest
from trained import TINY

from lfranker.denoiser.served_model import ServedModel
from lfranker.training.trainer import build_network

SCAN = np.random.default_rng(0).random((2, 1, 24, 30), np.float32)


@pytest.fixture(scope="module")
def served() -> ServedModel:
    model = ServedModel()
    model.network = build_network(TINY).eval()
    return model


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (np.zeros((1, 1, 24, 30), np.uint8), "got uint8; send gray values as floats in"),
        ((SCAN * 65535).astype(np.uint16), "got uint16.*4095 where 12 bits are used"),
        (SCAN > 0.5, "got bool"),
        (255 * SCAN, r"got values up to 25[0-9.]+; .* divide by"),
        (np.where(SCAN > 0.5, np.nan, SCAN), "got values up to nan"),
        (SCAN[0], "expected an array"),
    ],
)
def test_other_units_are_refused_with_what_to_send(
    served: ServedModel, sent: np.ndarray, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        served.predict(SimpleNamespace(), sent)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floats_up_to_1_are_denoised(served: ServedModel, kind: type) -> None:
    sent = SCAN.astype(kind)
    sent[0, 0, 0, 0] = 1
    denoised = served.predict(SimpleNamespace(), sent)
    assert denoised.shape == SCAN.shape
    assert denoised.dtype == np.float32
