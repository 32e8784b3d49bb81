"""Facts to know about each loss before choosing it; docs/losses.md is made from them."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from lfranker.losses.registry import LOSSES, LossSpec


class Note(NamedTuple):
    formula: str  # x is the output, y the target, d = x - y; mean is over pixels and images
    source: str  # with DOI or arXiv number where there is one
    range: str  # of the value
    caveats: str


NOTES: dict[str, Note] = {
    "mae": Note(
        "mean |d|",
        "the paper's L1",
        "0 up, of full scale",
        "Leads to the median of what a pixel may be.",
    ),
    "mse": Note(
        "mean d²",
        "the paper's L2",
        "0 up, of full scale squared",
        "Leads to the mean. Its gradient fades with the error: with weight 1 it counts little "
        "beside the others late in training.",
    ),
    "ssim": Note(
        "1 - SSIM, Gaussian window of 11 px, sigma 1.5, data range 1",
        "Wang et al. 2004, 10.1109/TIP.2003.819861",
        "0 to 2",
        "With weight 1 its gradient is many times that of mae. Weak about brightness.",
    ),
    "perceptual": Note(
        "Σ w mean |φ(x) - φ(y)|, φ VGG19 conv1_2, 2_2, 3_4, 4_4, 5_4 before ReLU, w .1 .1 1 1 1",
        "Johnson et al. 2016, 10.1007/978-3-319-46475-6_43; layers of arXiv:2107.10833",
        "0 up",
        "Means what the literature means by it with ImageNet weights only. Falls towards the "
        "target from nearby; from another picture it may rise first. "
        "VGG16 in its place: `-P perceptual=vgg16:auto`; a network of timm by name: "
        "`-P perceptual=timm/resnet50.a1_in1k:auto`, φ then all its levels, w 1 each. Slow.",
    ),
    "huber": Note(
        "mean of d²/2 where |d| ≤ δ, else δ(|d| - δ/2); δ = 0.05",
        "Huber 1964, 10.1214/aoms/1177703732",
        "0 up",
        "δ is 0.05 of full scale (torch's 1 would be mse / 2 on [0, 1]). Its gradient is at most "
        "0.05 of mae's: give it a weight of about 20 beside others.",
    ),
    "charbonnier": Note(
        "mean √(d² + ε²) - ε; ε = 0.001",
        "Charbonnier et al. 1994, 10.1109/ICIP.1994.413553; ε of Lai et al. 2017, "
        "10.1109/CVPR.2017.618",
        "0 up, of full scale",
        "mae with a rounded tip: the two differ below 0.001 of full scale only. The -ε is ours.",
    ),
    "mape": Note(
        "mean |d| / max(y, 0.05)",
        "de Myttenaere et al. 2016, 10.1016/j.neucom.2015.12.114",
        "0 up, a ratio",
        "Dark pixels count up to 20 times as much as white ones. The floor is ours.",
    ),
    "msle": Note(
        "mean (log(1 + x) - log(1 + y))²",
        "scikit-learn's mean_squared_log_error; no paper",
        "0 up",
        "On [0, 1] it is mse with bright pixels at down to a quarter. Below 0 the logarithm goes "
        "on as its tangent, which is ours.",
    ),
    "psnr": Note(
        "mean over images of 10 log₁₀(mean d² + 10⁻⁸)",
        "as a loss: Chen et al. 2021, 10.1109/CVPRW53098.2021.00027",
        "-80 up, dB",
        "mse whose gradient grows as the error falls: some hundred times mae's, so with weight 1 "
        "nothing else counts. Negative at its best. Each image counts alike, however noisy.",
    ),
    "dssim": Note(
        "(1 - SSIM) / 2",
        "Wang et al. 2004, 10.1109/TIP.2003.819861",
        "0 to 1",
        "ssim with half its weight: alone it trains the same network but for rounding.",
    ),
    "ms_ssim": Note(
        "1 - luminance · Π structure^w over scales",
        "Wang, Simoncelli & Bovik 2003, 10.1109/ACSSC.2003.1292216",
        "0 to 1",
        "As many of the five scales as the patch has room for: 3 at 48 and 64 px, 4 at 128, 5 "
        "from 176, their published weights divided by their sum; values of patches of other sizes "
        "do not compare. Below 0.1 of structure its logarithm goes on as its tangent: ours.",
    ),
    "fft": Note(
        "mean |F(d)|, F the orthonormal Fourier transform",
        "Cho et al. 2021, arXiv:2108.05054",
        "0 up, of full scale",
        "They take |real| + |imaginary|, which depends on the origin. No window: the jump at the "
        "patch's border counts.",
    ),
    "focal_frequency": Note(
        "mean of w |F(d)|², w = |F(d)| / its largest in the image",
        "Jiang et al. 2021, arXiv:2012.12821, alpha 1",
        "0 up",
        "w carries no gradient, as published, so the gradient is not that of the value. Only the "
        "strongest frequencies count.",
    ),
    "wavelet": Note(
        "Σ |Haar coefficients of d| over 3 levels / pixels",
        "Haar 1910, 10.1007/BF01456326",
        "0 up, of full scale",
        "Orthonormal, all coefficients alike, the coarse remainder too. Blocks of 2, 4 and 8 px "
        "have places of their own: a shift by a pixel changes the value.",
    ),
    "wavelet_db2": Note(
        "as wavelet, with Daubechies' filters of 4 taps",
        "Daubechies 1988, 10.1002/cpa.3160410705",
        "0 up, of full scale",
        "Periodic at the border, whose jump counts. Not the same for the mirrored patch.",
    ),
    "histogram": Note(
        "Σ |h(x) - h(y)|, h the shares of pixels in 64 bins, each value shared by two",
        "linear binning; no paper as a loss",
        "0 to 2",
        "Not alone: pixels may change places. With weight 1 its gradient is some 40 times that of "
        "mae, and follows single bins. None for values outside [0, 1].",
    ),
    "wasserstein": Note(
        "mean |sorted x - sorted y|, for each image",
        "Bonneel et al. 2015, 10.1007/s10851-014-0506-3",
        "0 up, of full scale",
        "Not alone: pixels may change places. Corrects brightness and contrast.",
    ),
    "gradient": Note(
        "mean |Sₓ(d)| + mean |S_y(d)|, S Sobel / 8",
        "Mathieu et al. 2016, arXiv:1511.05440, who take plain differences of moduli",
        "0 up, of full scale per px",
        "Not alone: brightness is free.",
    ),
    "gradient_scharr": Note(
        "as gradient, S Scharr / 32",
        "filter: Scharr 2000, 10.11588/heidok.00000962",
        "0 up, of full scale per px",
        "Not alone: brightness is free. Little different from gradient.",
    ),
    "gmsd": Note(
        "standard deviation over an image of (2 mₓ m_y + c) / (mₓ² + m_y² + c), m the Prewitt "
        "magnitude at half size, c = 170 / 255²",
        "Xue et al. 2014, 10.1109/TIP.2013.2293423",
        "0 up to 0.5",
        "Not alone: an image that is equally wrong everywhere costs nothing. Without the padded "
        "border.",
    ),
    "ncc": Note(
        "1 - correlation of the pixels, mean over images",
        "Pearson; ε of 10⁻⁸ in covariance and variances is ours",
        "0 to 2",
        "Not alone: brightness and contrast are free.",
    ),
    "tv": Note(
        "mean |x differences| + mean |y differences| of x",
        "Rudin, Osher & Fatemi 1992, 10.1016/0167-2789(92)90242-F, anisotropic",
        "0 up, of full scale per px",
        "Not alone: the target does not enter, the least is a constant image. With weight 1 "
        "beside mae it flattens; give it 0.1 or less.",
    ),
    "lpips": Note(
        "sum over VGG16's blocks of mean w (u(x) - u(y))², u the features after ReLU, divided by "
        "their length at each pixel",
        "Zhang et al. 2018, 10.1109/CVPR.2018.00068, version 0.1",
        "0 up",
        "Needs VGG16's ImageNet weights in the cache, which it does not download: "
        "`hf download timm/vgg16.tv_in1k model.safetensors` does. Fitted to what people see in "
        "colour photographs of 64 px. Slow.",
    ),
    "dists": Note(
        "1 - sum over VGG16's channels, and the image, of a texture + b structure: similarity of "
        "means, and of variations about them, over the whole patch",
        "Ding et al. 2020, 10.1109/TPAMI.2020.3045810",
        "0 to about 1",
        "Needs VGG16's ImageNet weights in the cache, which it does not download: "
        "`hf download timm/vgg16.tv_in1k model.safetensors` does. Forgives textures that are "
        "resampled. Slow.",
    ),
    "poisson_nll": Note(
        "mean of u - v - v log(u / v), u = x + 0.02, v = y + 0.02",
        "Csiszár 1991, 10.1214/aos/1176348385",
        "0 up",
        "The likelihood of counts, less its minimum. The 0.02 of background, and the tangent "
        "below -0.01, keep logarithms finite and are ours. Errors in the dark count more.",
    ),
    "anscombe": Note(
        "mean (a(x) - a(y))², a = √(100 x + 3/8), stretched so that a(0) = 0, a(1) = 1",
        "Anscombe 1948, 10.1093/biomet/35.3-4.246",
        "0 up",
        "For a peak of 100 counts, whatever the data's. Errors in the dark count more, up to 270 "
        "times. Stretching, and the tangent below 0, are ours.",
    ),
}


HEAD = """\
# The losses

For those who choose losses: what each one measures, what it costs, and what to beware of. How much
each weighs, and which subsets are trained, is in [Training](training.md).

Any of these may be named wherever a set of losses is: `-P losses=mae,ssim,fft`, or
`python -m entrypoints.train --losses fft+charbonnier`. A loss of your own is `module:function`, a
function `(output, target)` of two `(b, 1, h, w)` tensors, the target in [0, 1], that returns a
scalar to be minimised; its module must be in the working directory or on `PYTHONPATH`.

x is the output, y the target, d = x - y; brightness is 0 to 1. A subset without any loss that may
stand alone is not trained. The laws are: the declared minimum is reached at the target; the loss
falls all the way along the straight line from any other image to the target; value and gradient are
finite for constant patches and values outside [0, 1]; the gradient is the derivative. A test holds
every loss to those that it does not declare broken, and to its invariances.

`python -m benchmarks.losses --docs` makes this page. Cost: a forward and backward pass for 8
patches of 64 x 64 px, processor time, without the network, relative to mae's; {measured}.

| loss | cost | smallest patch, px | alone | weights | unchanged by | breaks |
|---|---:|---:|---|---|---|---|
"""


def page(measured: str, costs: Mapping[str, float]) -> str:
    """``costs`` relative to mae, by name; ``measured`` says when and on what."""
    rows = [_row(name, spec, costs[name]) for name, spec in LOSSES.items()]
    sections = [line for name in LOSSES for line in _section(name, NOTES[name])]
    return "\n".join([HEAD.format(measured=measured) + "\n".join(rows), *sections]) + "\n"


def _row(name: str, spec: LossSpec, cost: float) -> str:
    cells = (
        f"[{name}](#{name})",
        f"{cost:.1f}" if cost < 10 else f"{cost:.0f}",
        str(spec.smallest_patch),
        "yes" if spec.alone else "no",
        "yes" if spec.needs_weights else "",
        ", ".join(sorted(spec.invariances)),
        ", ".join(sorted(spec.breaks)),
    )
    return f"| {' | '.join(cells)} |"


def _section(name: str, note: Note) -> Iterator[str]:
    yield f"\n## {name}\n"
    yield f"- formula: {note.formula}"
    yield f"- source: {note.source}"
    yield f"- range: {note.range}"
    yield f"- {note.caveats}"
