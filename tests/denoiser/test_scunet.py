import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lfranker.denoiser import scunet
from lfranker.denoiser.scunet import SCUNet, WindowAttention

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "scunet.json").read_text())

# Of one block in the published checkpoints (cszn/SCUNet, model_zoo).
BLOCK = {
    "trans_block.ln1.weight",
    "trans_block.ln1.bias",
    "trans_block.msa.relative_position_params",
    "trans_block.msa.embedding_layer.weight",
    "trans_block.msa.embedding_layer.bias",
    "trans_block.msa.linear.weight",
    "trans_block.msa.linear.bias",
    "trans_block.ln2.weight",
    "trans_block.ln2.bias",
    "trans_block.mlp.0.weight",
    "trans_block.mlp.0.bias",
    "trans_block.mlp.2.weight",
    "trans_block.mlp.2.bias",
    "conv1_1.weight",
    "conv1_1.bias",
    "conv1_2.weight",
    "conv1_2.bias",
    "conv_block.0.weight",
    "conv_block.2.weight",
}


def sine_weights(network: SCUNet) -> SCUNet:
    with torch.no_grad():
        for i, (_, parameter) in enumerate(sorted(network.named_parameters())):
            ramp = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_((0.05 * torch.sin(0.37 * ramp + i)).reshape(parameter.shape))
    return network.eval()


def golden_error(network: SCUNet) -> float:
    ramp = torch.arange(7000, dtype=torch.float64)
    with torch.no_grad():
        image = network((0.5 * torch.sin(0.013 * ramp) + 0.5).reshape(1, 1, 70, 100))[0, 0]
    found = [image[y, x].item() for y, x in GOLDEN["points"]]
    found += [image.mean().item(), image.std().item()]
    expected = [*GOLDEN["values"], GOLDEN["mean"], GOLDEN["std"]]
    return max(abs(a - b) for a, b in zip(found, expected, strict=True))


@pytest.fixture
def small() -> SCUNet:
    torch.manual_seed(0)
    return SCUNet(config=[2] + [0] * 6, dim=8, head_dim=4)


@pytest.mark.slow
def test_golden_output_and_that_it_needs_the_shift_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    network = sine_weights(SCUNet(config=[2] * 7).double())
    assert sum(p.numel() for p in network.parameters()) == GOLDEN["n_params"]
    assert golden_error(network) < 1e-10

    mask = scunet.seam_mask
    monkeypatch.setattr(scunet, "seam_mask", lambda *of: torch.zeros_like(mask(*of)))
    assert golden_error(network) > 1e-8


def test_parameter_count_of_the_published_network() -> None:
    assert round(sum(p.numel() for p in SCUNet().parameters()) / 1e6, 3) == 17.944


def test_names_and_shapes_are_those_of_the_published_checkpoints() -> None:
    state = SCUNet(config=[2, 1, 1, 1, 1, 1, 1]).state_dict()
    names = {"m_head.0.weight", "m_tail.0.weight"}
    for level, blocks in (("m_down1", (0, 1)), ("m_down2", (0,)), ("m_down3", (0,))):
        names |= {f"{level}.{i}.{name}" for i in blocks for name in BLOCK}
        names.add(f"{level}.{len(blocks)}.weight")
    names |= {f"m_body.0.{name}" for name in BLOCK}
    for level in ("m_up3", "m_up2", "m_up1"):
        names |= {f"{level}.0.weight"} | {f"{level}.1.{name}" for name in BLOCK}
    assert set(state) == names
    assert state["m_down1.0.trans_block.msa.relative_position_params"].shape == (1, 15, 15)
    assert state["m_body.0.trans_block.msa.relative_position_params"].shape == (8, 15, 15)
    assert state["m_down1.2.weight"].shape == (128, 64, 2, 2)
    assert state["m_up3.0.weight"].shape == (512, 256, 2, 2)


def reach(attention: WindowAttention, row: int, column: int) -> set[tuple[int, int]]:
    """The tokens of a 16 x 16 image whose output depends on the token at (row, column)."""
    image = torch.randn(1, 16, 16, 4, dtype=torch.float64)
    changed = image.clone()
    changed[0, row, column] += 1
    with torch.no_grad():
        difference = (attention(image) - attention(changed))[0].abs().amax(-1)
    return {(int(y), int(x)) for y, x in difference.gt(1e-12).nonzero()}


def box(top: int, bottom: int, left: int, right: int) -> set[tuple[int, int]]:
    return {(y, x) for y in range(top, bottom) for x in range(left, right)}


def test_attention_reaches_its_window_and_no_opposite_edge() -> None:
    torch.manual_seed(0)
    plain, shifted = (WindowAttention(4, 2, shifted=s).double() for s in (False, True))
    assert reach(plain, 5, 9) == box(0, 8, 8, 16)
    assert reach(shifted, 5, 9) == box(4, 12, 4, 12)
    assert reach(shifted, 0, 0) == box(0, 4, 0, 4)
    assert reach(shifted, 5, 15) == box(4, 12, 12, 16)
    assert reach(shifted, 15, 1) == box(12, 16, 0, 4)


def test_every_second_block_is_shifted() -> None:
    network = SCUNet(config=[3] * 7, dim=4, head_dim=2)
    found = [m.shifted for m in network.modules() if isinstance(m, WindowAttention)]
    assert found == [False, True, False] * 7


@pytest.mark.parametrize(("h", "w"), [(1, 1), (65, 130), (64, 64)])
def test_any_size_is_padded_right_and_below_by_replication(small: SCUNet, h: int, w: int) -> None:
    image = np.random.default_rng(0).random((1, 1, h, w), dtype=np.float32)
    whole = [(0, 0), (0, 0), (0, -h % 64), (0, -w % 64)]
    with torch.no_grad():
        found = small(torch.from_numpy(image))
        padded = small(torch.from_numpy(np.pad(image, whole, mode="edge")))
    assert found.shape == image.shape
    torch.testing.assert_close(found, padded[..., :h, :w], rtol=0, atol=0)


@pytest.mark.parametrize(  # strips of 8 rows and more
    "values",
    [1, *(pytest.param(values, marks=pytest.mark.slow) for values in (5000, 16_000))],
)
def test_in_strips_a_large_image_gets_what_it_gets_whole(
    monkeypatch: pytest.MonkeyPatch, values: int
) -> None:
    torch.manual_seed(0)
    network = SCUNet(config=[2, 1, 0, 3, 0, 1, 2], dim=8, head_dim=4).double().eval()
    network.load_state_dict(
        {k: v + 0.05 * torch.randn_like(v) for k, v in network.state_dict().items()}
    )
    image = torch.rand(1, 1, 300, 130, dtype=torch.float64)
    with torch.no_grad():
        whole = network(image)
    strips = []
    exact = scunet.in_strips
    monkeypatch.setattr(scunet, "STRIP", values)
    monkeypatch.setattr(scunet, "in_strips", lambda *args: strips.append(args[2]) or exact(*args))
    kept = image.clone()
    with torch.inference_mode():
        assert (network(image) - whole).abs().max() < 1e-12 * whole.std()
    assert len(strips) >= 4
    assert min(strips) == max(8, values // (8 * 192) // 8 * 8)
    assert torch.equal(image, kept)
    strips.clear()
    with torch.no_grad():
        assert torch.equal(network(image), whole)
    assert not strips, "in training nothing may be written over"


def test_images_of_a_batch_do_not_mix(small: SCUNet) -> None:
    batch = torch.rand(3, 1, 64, 72)
    with torch.no_grad():
        alone = torch.cat([small(image[None]) for image in batch])
        torch.testing.assert_close(small(batch), alone, rtol=0, atol=1e-5)


def gradients(network: SCUNet, image: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(network(image).square().sum(), list(network.parameters())[:9]))


def test_masks_first_made_in_inference_mode_serve_training(small: SCUNet) -> None:
    scunet.seam_mask.cache_clear()
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        small(image)
    assert all(g.isfinite().all() for g in gradients(small, image))


def test_copies_in_other_precisions_agree(small: SCUNet) -> None:
    image = torch.rand(1, 1, 64, 64)
    double = copy.deepcopy(small).double()
    assert double.m_head[0].weight.dtype == torch.float64
    assert small.m_head[0].weight.dtype == torch.float32
    with torch.no_grad():
        error = (double(image.double()) - small(image)).abs().max()
    assert 0 < error < 1e-5  # some hundreds of float32 roundings


def test_trains_under_autocast_close_to_float32(small: SCUNet) -> None:
    image = torch.rand(1, 1, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        rough = small(image)
        assert all(g.isfinite().all() for g in gradients(small, image))
    assert rough.dtype == torch.bfloat16
    exact = small(image)
    # bfloat16 rounds by 2^-9; some tens of layers.
    assert 0 < (rough - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 32}, r"dim=32, head_dim=32: .* multiple of head_dim"),
        ({"dim": 80, "head_dim": 16}, "dim=80, head_dim=16"),
        ({"config": [1, 1, 1]}, r"config=\[1, 1, 1\]: expected 7"),
        ({"config": [1] * 6 + [-1]}, "each >= 0"),
        ({"in_nc": 0}, "in_nc=0"),
    ],
)
def test_refuses_impossible_shapes(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SCUNet(**options)  # type: ignore[arg-type]
