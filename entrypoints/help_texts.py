"""What the settings mean, for those who type them: a sentence for each field."""

from collections.abc import Mapping

from lfranker.noise.noise_config import ALLOWED

HELP: Mapping[str, str] = {
    "steps": "Optimiser steps of each training.",
    "batch": "Patches a step.",
    "learning_rate": "AdamW's learning rate after warm-up, before cosine decay.",
    "weight_decay": "AdamW's decoupled weight decay.",
    "warmup": "Steps of linear warm-up.",
    "clip_factor": "Clip gradients above this multiple of the run's own median norm.",
    "ema_decay": "Decay of the averaged weights, which are the ones scored.",
    "depth": "Blocks per stage, or of all seven: 0,1,1,1,1,1,0; the published SCUNet has 4 each.",
    "dim": "Channels of the first stage; the published SCUNet has 64.",
    "head_dim": "Channels per attention head; dim / 2 must be a multiple of it.",
    "perceptual_layers": "How many of the network's levels, shallow first; VGG has five.",
    "threads": "Threads of each training process (part of what determines the weights).",
    "log_every": "Steps between points of the training curves.",
    "checkpoint_seconds": "Seconds between checkpoints.",
    "patch": "Side of the square patches, px.",
    "patches": "Patches in all, training and validation.",
    "validation": "Share of the images kept for validation.",
    "max_noise": "Leave out 'clean' images noisier than this (sigma, of full scale 1).",
    "minimum_contrast": "Discard patches with less structure than this (of full scale 1).",
    "alpha": "Weight of the Poisson noise (Eq. 1); a value or LOW:HIGH.",
    "beta": "Weight of the speckle noise (Eq. 1); a value or LOW:HIGH.",
    "peak": "Detected electrons per fully bright pixel; a value or LOW:HIGH.",
    "speckle_variance": "Variance of the speckle; a value or LOW:HIGH.",
    "correlation": "Lag-1 correlation of the noise along the fast axis; a value or LOW:HIGH.",
    "noise": f"Noise of the patches: {ALLOWED}; a profile that noise-fit wrote; or "
    "microscope@DWELL or PROFILE@DWELL, carried to a dwell time such as 280ns.",
    "sigma": "Read-out noise (microscope, poisson-gaussian, gaussian), of full scale; a value or "
    "LOW:HIGH.",
    "black": "Brightness without signal (microscope), of full scale; a value or LOW:HIGH.",
    "line_offset": "Line-to-line offset (microscope, lines), of full scale; a value or LOW:HIGH.",
    "saturation": "Where the detector ends (microscope), of full scale; a value or LOW:HIGH.",
    "gain": "Noisy scans' brightness by clean ones'; a value or LOW:HIGH (a profile measures it).",
    "offset": "Added to noisy scans' brightness, of full scale; a value or LOW:HIGH.",
    "zoom": "Pixels of a clean image averaged into one, along each axis; a value or LOW:HIGH.",
    "blur": "Blur of clean patches, standard deviation in px; a value or LOW:HIGH.",
    "contrast": "Factor on the contrast of clean patches; a value or LOW:HIGH.",
    "brightness": "Added to clean patches, of full scale; a value or LOW:HIGH.",
    "kernel": "Shape of the correlation (microscope): side taps by the first, e.g. 1,0.1,0.05.",
}
