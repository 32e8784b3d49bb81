"""lfranker: which loss function should a denoiser for SEM images be trained on?

An image is `float32 (h, w)` in [0, 1], a batch `float32 (b, 1, h, w)` in [0, 1]; integers exist
only in files, in stored datasets and inside keypoint detection. `data_range` is always 1.

images, microscopes and data:  images, noise, scenes, dataset, scans, registration
networks and training:         scunet, losses, weights, training, checkpoints, presets
the experiment:                experiment, launchers, inference, evaluation, metrics, baselines
the answer:                    ranking, leaderboards, figures
MLflow:                        tracking (nothing else imports it, served excepted), served
"""

__version__ = "0.1.0"
