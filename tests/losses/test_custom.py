"""Losses of the user's own, and the trial before any training."""

from pathlib import Path

import pytest
import torch

from lfranker.losses import build_objective, files_digest, spec_of, try_losses

SOURCE = """
import torch

def good(output, target, sharpness=2.0):
    return (output - target).abs().pow(sharpness).mean()

class Module(torch.nn.Module):
    def forward(self, output, target):
        return (output - target).abs().mean()

module = Module()
number = 3

def one_argument(output):
    return output.mean()

def three_arguments(output, target, extra):
    return output.mean()

def image(output, target):
    return output - target

def python_float(output, target):
    return float((output - target).abs().mean())

def infinite(output, target):
    return (output - target).abs().mean() / 0

def without_gradient(output, target):
    return (output.detach() - target).abs().mean()

def of_the_target(output, target):
    return target.requires_grad_().mean()

def infinite_gradient(output, target):
    return (0 * (output - target)).abs().sqrt().mean()

def raising(output, target):
    raise KeyError("oh")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.mark.parametrize(("function", "value"), [("good", 0.25), ("module", 0.5)])
def test_function_on_the_path_is_a_loss(module: str, function: str, value: float) -> None:
    name = f"{module}:{function}"
    try_losses([name, "mae"], None, 16)
    output, target = torch.full((1, 1, 4, 4), 0.5), torch.zeros(1, 1, 4, 4)
    total, terms = build_objective(("mae", name))(output, target)
    assert {key: term.item() for key, term in terms.items()} == {"mae": 0.5, name: value}
    assert total.item() == 0.5 + value
    assert spec_of(name).alone
    assert not spec_of(name).needs_weights


def test_one_of_torchs_own_will_do() -> None:
    name = "torch.nn.functional:mse_loss"
    try_losses([name], None, 8)
    total, _ = build_objective((name,))(torch.full((1, 1, 8, 8), 0.5), torch.zeros(1, 1, 8, 8))
    assert total.item() == 0.25


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("absent", r"cannot be imported \(AttributeError"),
        ("number", r"must be callable as number\(output, target\)"),
        ("one_argument", r"must be callable as one_argument\(output, target\) \(too many"),
        ("three_arguments", r"\(output, target\) \(missing a required argument: 'extra'\)"),
        ("image", r"must return a scalar tensor, found \(2, 1, 16, 16\)"),
        ("python_float", r"must return a scalar tensor, found float"),
        ("infinite", r"must be finite, is inf"),
        ("without_gradient", r"must have a finite gradient"),
        ("of_the_target", r"must have a finite gradient"),
        ("infinite_gradient", r"must have a finite gradient"),
        ("raising", r"fails on a batch of \(2, 1, 16, 16\) in \[0, 1\] \(KeyError: 'oh'\)"),
    ],
)
def test_what_is_no_loss_is_refused_by_name(module: str, function: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"loss '{module}:{function}': .*{message}"):
        try_losses([f"{module}:{function}"], None, 16)


def test_module_that_is_not_on_the_path_is_named_with_where_it_must_be() -> None:
    with pytest.raises(ValueError, match=r"'no_such_module:loss': cannot be imported .*PYTHONPATH"):
        try_losses(["no_such_module:loss"], None, 16)
    with pytest.raises(ValueError, match=r"loss 'l1': expected one of mae, mse"):
        spec_of("l1")


def test_patch_that_a_loss_is_too_large_for_is_refused_before_training() -> None:
    try_losses(["mae", "ms_ssim"], None, 22)
    with pytest.raises(ValueError, match="ms_ssim: image of 21x21 px, it needs 22 a side"):
        try_losses(["mae", "ms_ssim"], None, 21)


def test_digest_changes_with_the_source_and_only_where_there_is_one(
    module: str, tmp_path: Path
) -> None:
    assert files_digest(["mae", "ssim"]) == ""
    before = files_digest(["mae", f"{module}:good"])
    assert before == files_digest([f"{module}:module"])
    (tmp_path / f"{module}.py").write_text(SOURCE.replace("2.0", "3.0"))
    assert files_digest([f"{module}:good"]) != before
