"""The names of the losses in their order, for those who sort by it and need no torch."""

PAPER = ("mae", "mse", "ssim", "perceptual")  # the set that the paper compares, in its order

LOSS_ORDER = (
    *PAPER,
    "huber",
    "charbonnier",
    "mape",
    "msle",
    "psnr",
    "dssim",
    "ms_ssim",
    "fft",
    "focal_frequency",
    "wavelet",
    "wavelet_db2",
    "histogram",
    "wasserstein",
    "gradient",
    "gradient_scharr",
    "gmsd",
    "ncc",
    "tv",
    "lpips",
    "dists",
    "poisson_nll",
    "anscombe",
)
