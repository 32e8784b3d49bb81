"""DRUNet behind the stabilising transform, on small networks with weights drawn at random."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from drunet_weights import drunet_weights
from torch import Tensor, nn

from lfranker.evaluation.criteria import is_filter
from lfranker.evaluation.drunet import drunet_of, stabilised_drunet
from lfranker.evaluation.stabilised import noise_line, stabilise, unstabilise
from lfranker.planning.published_drunet import published_drunet


@pytest.fixture
def scan() -> np.ndarray:
    rng = np.random.default_rng(0)
    levels = np.kron(np.linspace(0.2, 0.8, 16).reshape(4, 4), np.ones((16, 20)))
    return (rng.poisson(levels * 80) / 80).astype(np.float32)


def test_the_network_gets_the_stabilised_image_and_its_noise(scan: np.ndarray) -> None:
    """64 x 80 px: no border is added; sigma of stabilised noise is 1 before it is scaled."""
    network = drunet_of(drunet_weights())
    a, b = noise_line(scan)
    stable = stabilise(scan, a, b)
    low, span = stable.min(), np.ptp(stable)
    image = torch.from_numpy((stable - low) / span).float()[None, None]
    with torch.no_grad():
        output = network(torch.cat([image, torch.full_like(image, 1.5 / span)], 1))[0, 0]
    expected = unstabilise(output.clamp(0, 1).double().numpy() * span + low, a, b)
    found = stabilised_drunet(scan, 1.5, network)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - stabilised_drunet(scan, 3.0, network)).max() > 1e-4, "sigma is not used"


class Taking(nn.Module):
    """The image less the map of sigma, with weights named as those of DRUNet."""

    def __init__(self) -> None:
        super().__init__()
        self.m_head = nn.Conv2d(2, 8, 1, bias=False)

    def forward(self, both: Tensor) -> Tensor:
        assert both.shape[-2:] == (72, 88), "multiples of 8"
        return both[:, :1] - both[:, 1:]


def test_sigma_is_in_units_of_the_noise_that_was_found(scan: np.ndarray) -> None:
    """Stabilised values have noise of 1: what is less by sigma is less by the strength."""
    image = np.pad(scan, ((0, 3), (0, 5)), mode="edge")
    a, b = noise_line(image)
    found = stabilised_drunet(image, 0.25, Taking())
    bright = stabilise(image, a, b) - stabilise(image, a, b).min() > 0.25
    less = unstabilise(stabilise(image, a, b) - 0.25, a, b)
    np.testing.assert_allclose(found[bright], less[bright], atol=1e-5)


def test_a_file_of_weights_is_a_baseline_of_its_name(tmp_path: Path, scan: np.ndarray) -> None:
    torch.save(drunet_weights(), tmp_path / "drunet_gray.pth")
    assert published_drunet(None) == {}
    file = tmp_path / "drunet_gray.pth"
    ((name, family),) = published_drunet(file).items()
    assert name == f"drunet gray-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"
    assert not is_filter(name), "it is made elsewhere"
    np.testing.assert_array_equal(
        family.function(scan, 1.5), stabilised_drunet(scan, 1.5, drunet_of(drunet_weights()))
    )


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (drunet_weights(4), "drunet: .*given.pth: holds a DRUNet of 4 channels"),
        ({"m_head.weight": torch.zeros(8, 2, 3, 3)}, "drunet: .*given.pth: .* than DRUNet"),
        (
            {k: v for k, v in drunet_weights().items() if k != "m_body.1.res.0.weight"},
            "drunet: .*given.pth: holds weights that do not fit DRUNet",
        ),
        ({"a": 1}, "drunet: .*given.pth: no weights of a network found"),
        (None, "drunet: no such file: .*given.pth"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, stored: object, message: str) -> None:
    if stored is not None:
        torch.save(stored, tmp_path / "given.pth")
    with pytest.raises(ValueError, match=message):
        published_drunet(tmp_path / "given.pth")


def test_without_its_package_the_remedy_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lfranker.planning.published_drunet.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"drunet: needs the package spandrel: .*\[networks\]"):
        published_drunet(tmp_path / "drunet_gray.pth")
