"""The loss `perceptual`, forward and backward, against piq's ContentLoss.

    python -m benchmarks.perceptual_loss [--threads 1] [--rounds 7]

VGG19 with the same random weights (they cost what ImageNet's do), the same five layers and their
weights, L1; 8 gray images of 64 x 64 px. Value and gradient must be equal. Needs piq (extra
`bench`).
"""

from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from benchmarks.paired import compare, header, last_line, rounds_asked
from benchmarks.ssim_loss import both
from lfranker.perceptual.vgg import LAYERS, VGG19, PerceptualLoss, VGGFeatures
from lfranker.perceptual.weights import random_state

COUNT, SIDE = 8, 64


def theirs(state: dict[str, Tensor]) -> nn.Module:
    """ContentLoss of LAYERS. It sums over channels, where the own loss takes the mean."""
    from piq import ContentLoss

    convolutions = {conv.name: conv for conv in VGG19}
    channels = [convolutions[name].channels_out for name in LAYERS]
    layers = [convolutions[name].key.removeprefix("features.") for name in LAYERS]
    network = make_layers(cfgs["E"])[: int(layers[-1]) + 1]
    network.load_state_dict({key.removeprefix("features."): v for key, v in state.items()})
    for index in map(int, layers[:-1]):  # in place it would change the features before it
        network[index + 1] = nn.ReLU()
    weights = [weight / count for weight, count in zip(LAYERS.values(), channels, strict=True)]
    return ContentLoss(network, layers=layers, weights=weights, distance="mae")


def main() -> None:
    rounds = rounds_asked(__doc__, threads=1, rounds=7)
    state = dict(random_state(VGG19, 0))
    published = theirs(state)
    generator = torch.Generator().manual_seed(0)
    output, target = torch.rand(2, COUNT, 1, SIDE, SIDE, generator=generator)
    output.requires_grad_()
    own = partial(both, PerceptualLoss(VGGFeatures(state)), output, target)

    def colours(first: Tensor, second: Tensor) -> Tensor:
        return published(first.expand(-1, 3, -1, -1), second.expand(-1, 3, -1, -1))

    other = partial(both, colours, output, target)
    (value, gradient), (wanted, wanted_gradient) = own(), other()
    torch.testing.assert_close(value, wanted, rtol=1e-5, atol=0)
    # Rounding turns the sign of differences near 0: a share s of them changes it by 2 sqrt(s).
    error = (gradient - wanted_gradient).norm() / wanted_gradient.norm()
    assert error < 2e-2, float(error)
    header("perceptual, forward and backward", "piq")
    last_line("perceptual_loss", compare(f"{COUNT} x {SIDE} x {SIDE}", own, other, rounds))


if __name__ == "__main__":
    main()
