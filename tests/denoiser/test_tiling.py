import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lfranker.denoiser.scunet import SCUNet
from lfranker.denoiser.tiling import _spans, denoise, largest_tile


class Recorder(nn.Module):
    """Convolutions that look ``3 x depth`` px far, with a note of each tile's size."""

    def __init__(self, depth=3):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 1, 7, padding=3, padding_mode="replicate") for _ in range(depth))
        )
        for layer in self.layers:
            layer.weight.data = torch.rand_like(layer.weight) / 24.5  # means 1: values stay
            layer.bias.data.zero_()
        self.sizes = []

    def forward(self, batch):
        self.sizes.append(tuple(batch.shape))
        return self.layers(batch)


class Positions(nn.Module):
    """Each pixel's place in its tile's 64 px period: seams show if a tile starts elsewhere."""

    def forward(self, batch):
        y = torch.arange(batch.shape[2])[:, None] % 64
        return ((y + torch.arange(batch.shape[3]) % 64) / 128)[None, None] + 0 * batch


def picture(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width), np.float32)


def whole(network, image):
    with torch.inference_mode():
        return network(torch.from_numpy(image)[None, None])[0, 0].clamp(0, 1).numpy()


@pytest.mark.parametrize(
    ("free", "side"),
    [(None, 512), (5 * 1000 * 640**2, 640), (5 * 1000 * 640**2 - 5000, 576), (1, 256),
     (10**13, 2048)],
)  # fmt: skip
def test_tiles_are_as_large_as_a_share_of_the_free_memory(monkeypatch, free, side):
    network = Recorder()
    monkeypatch.setattr("lfranker.denoiser.tiling.free_memory", lambda: free)
    assert largest_tile(network) == 512  # it does not say what it needs
    network.pixel_bytes = 1000
    assert largest_tile(network) == side
    denoise(network, picture(300, 700))
    assert (len(network.sizes) == 1) == (side >= 512)


def test_tiles_on_a_gpu_are_as_large_as_its_free_memory_allows(monkeypatch):
    class OnGPU:
        pixel_bytes = 1000

        def parameters(self):
            return iter([SimpleNamespace(device=torch.device("cuda", 1))])

    memory = {torch.device("cuda", 1): (5 * 1000 * 640**2, 10**13)}  # free, in all
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory.__getitem__)
    assert largest_tile(OnGPU()) == 640


def test_an_image_that_fits_one_tile_goes_whole():
    network, image = Recorder(), picture(300, 700)
    output = denoise(network, image)
    assert network.sizes == [(1, 1, 300, 700)]
    assert output.dtype == np.float32
    assert np.array_equal(output, whole(network, image))


@pytest.mark.parametrize(
    "size",
    [
        (600, 500),
        (257, 1111),
        (1024, 321),
        pytest.param((1, 300_000), marks=pytest.mark.slow),
        (64, 5000),
    ],
)
def test_tiles_equal_the_whole_where_the_network_sees_less_than_the_margin(size):
    network, image = Recorder(), picture(*size)
    output = denoise(network, image, tile=256, margin=32)  # 9 px < 32 px
    tiles = network.sizes[:]
    assert len(tiles) > 1
    assert max(max(shape) for shape in tiles) <= 256
    assert np.abs(output - whole(network, image)).max() < 1e-6


def test_a_margin_too_small_for_the_network_would_show():
    network, image = Recorder(depth=12), picture(300, 400)
    assert np.abs(denoise(network, image, tile=128, margin=0) - whole(network, image)).max() > 1e-3
    assert np.abs(denoise(network, image, tile=256, margin=36) - whole(network, image)).max() < 1e-6


def test_tiles_start_on_multiples_of_64():
    image = picture(700, 901)
    output = denoise(Positions(), image, tile=320, margin=48)
    assert np.abs(output - whole(Positions(), image)).max() < 1e-6


@pytest.mark.parametrize("length", [1, 511, 512, 513, 900, 16_384, 20_001])
def test_weights_sum_to_one_and_inner_edges_are_never_used(length):
    total = np.zeros(length)
    for part, fade in _spans(length, 512, 64):
        assert part.start % 64 == 0
        assert 0 < part.stop - part.start <= 512
        assert part.start == 0 or not fade[:64].any()
        assert part.stop == length or not fade[-64:].any()
        total[part] += fade
    assert np.abs(total - 1).max() < 1e-6


def test_a_memory_mapped_output_is_filled_band_by_band(tmp_path):
    image, told = picture(900, 500), []
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float32, image.shape)
    filled = []  # rows that are written when a tile is done: never the band under way

    def on_tile(done, total):
        told.append((done, total))
        filled.append(int(np.count_nonzero(np.any(out != 0, axis=1))))

    output = denoise(Recorder(), image, tile=256, margin=32, out=out, on_tile=on_tile)
    assert output is out
    assert np.abs(out - whole(Recorder(), image)).max() < 1e-6
    assert told == [(n, len(told)) for n in range(1, len(told) + 1)]
    columns = len(_spans(500, 256, 32))
    starts = [part.start for part, _ in _spans(900, 256, 32)]
    assert filled[::columns] == starts
    with pytest.raises(ValueError, match="float64"):
        denoise(Recorder(), image, out=np.zeros(image.shape))


@pytest.mark.slow
def test_scunet_in_tiles_is_scunet_whole_away_from_the_seams():
    torch.manual_seed(1)
    network = SCUNet(config=(1,) * 7, dim=16, head_dim=8).eval()
    image = picture(200, 500)
    at_once = whole(network, image)
    assert at_once.std() > 1e-3
    assert np.abs(denoise(network, image, tile=256, margin=64) - at_once).max() < 1e-3


def test_modes_are_restored_part_by_part_and_after_an_error():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Dropout(1.0), nn.BatchNorm2d(1))
    network[0].weight.data.fill_(1)
    network.train()
    network[2].eval()
    output = denoise(network, picture(8, 8))
    assert output.std() > 0  # dropout of everything, had it been on
    assert [part.training for part in network.modules()] == [True, True, True, False]
    with pytest.raises(RuntimeError):
        denoise(nn.Sequential(network, nn.Conv2d(3, 1, 1)), picture(8, 8))
    assert network.training


@pytest.mark.parametrize("side", [64, 600])
def test_output_is_clipped_but_nan_is_not_hidden(side):
    class Loud(nn.Module):
        def forward(self, batch):
            return torch.where(batch > 0.9, torch.nan, (batch - 0.5) * 10)

    image = picture(side, side)
    output = denoise(Loud(), image, tile=256, margin=16)
    assert np.array_equal(np.isnan(output), image > 0.9)
    assert np.nanmin(output) == 0
    assert np.nanmax(output) == 1


def test_read_only_images_and_other_precisions_are_taken():
    image = picture(20, 30)
    image.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        output = denoise(Recorder().double(), image)
    assert output.dtype == np.float32
    assert np.abs(output - whole(Recorder(), np.array(image))).max() < 1e-6


def test_impossible_requests_name_the_values():
    with pytest.raises(ValueError, match="tile=100, margin=64"):
        denoise(Recorder(), picture(8, 8), tile=100)
    with pytest.raises(ValueError, match=r"\(1, 8, 8\)"):
        denoise(Recorder(), picture(8, 8)[None])


@pytest.mark.slow
def test_it_needs_torch_numpy_and_the_names_of_arrays_alone():
    """It is shipped with every model, without the rest of the package."""
    script = (
        "import sys; import torch, numpy.typing; before = set(sys.modules);"
        "import lfranker.denoiser.tiling;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    names = ["arrays", "denoiser", "denoiser.tiling", "processes", "processes.free_memory"]
    shipped = ["lfranker", *(f"lfranker.{name}" for name in names)]
    assert done.stdout.split() == shipped
