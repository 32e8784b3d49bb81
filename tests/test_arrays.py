"""What several rooms compute with images."""

import numpy as np
import pytest
from scipy.signal.windows import hann

from lfranker.arrays import correlation, hann_window


def test_correlation_is_pearsons_and_0_for_a_constant() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.random((20, 30), dtype=np.float32) for _ in range(2))
    assert correlation(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-9)
    assert correlation(a, 1 - a) == pytest.approx(-1, abs=1e-9)
    assert correlation(a, np.ones_like(a)) == 0


def test_a_window_is_hanns_without_the_zeros_at_its_ends() -> None:
    window = hann_window((5, 8))
    assert window.shape == (5, 8)
    assert window.min() > 0
    np.testing.assert_allclose(window, np.outer(hann(7)[1:-1], hann(10)[1:-1]), rtol=1e-12)
