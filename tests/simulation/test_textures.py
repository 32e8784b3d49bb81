import numpy as np
import pytest

from lfranker.simulation.textures import band_noise, roughness, scattered


@pytest.mark.parametrize("scale", [1.5, 6.0, 20.0])
def test_roughness_has_unit_variance_and_its_scale(scale):
    field = roughness((500, 601), np.random.default_rng(0), scale)
    assert field.shape == (500, 601)
    assert field.std() == pytest.approx(1, rel=0.25)
    # A Gaussian of sigma s smooths white noise to the correlation exp(-d^2 / 4 s^2).
    lag = round(scale)
    measured = (field[:, lag:] * field[:, :-lag]).mean() / field.var()
    assert measured == pytest.approx(np.exp(-(lag**2) / (4 * scale**2)), abs=0.12)


def test_roughness_is_no_smoother_at_its_borders():
    """Where a blurred field is mirrored, neighbours at the border are alike."""
    fields = np.stack(
        [roughness((60, 60), np.random.default_rng(seed), 6.0) for seed in range(300)]
    )
    for turned in (fields, fields.swapaxes(1, 2)):
        steps = (np.diff(turned, axis=1) ** 2).mean(axis=(0, 2))
        assert steps[:4].mean() == pytest.approx(steps[20:40].mean(), rel=0.2)


def test_band_noise_has_no_coarse_part():
    field = band_noise((256, 256), np.random.default_rng(0), 6.0)
    assert field.std() == pytest.approx(1, rel=1e-3)
    assert abs(field.mean()) < 0.1
    assert field.reshape(4, 64, 4, 64).mean((1, 3)).std() < 0.15


def test_scattered_points_cover_the_picture_and_its_surroundings():
    points = np.array(list(scattered((200, 300), np.random.default_rng(0), 50.0)))
    rows, columns = np.mgrid[:200, :300]
    nearest = np.min([np.hypot(rows - r, columns - c) for r, c in points], axis=0)
    # No pixel is further from a point than half a cell's diagonal plus the jitter's.
    assert nearest.max() < (0.5 + 0.4) * 50 * np.sqrt(2)
    assert points.min() < 0
    assert (points > (200, 300)).any()
