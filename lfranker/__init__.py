"""lfranker: which loss function should a denoiser for SEM images be trained on?

An image is `float32 (h, w)` in [0, 1], a batch `float32 (b, 1, h, w)` in [0, 1]; integers exist
only in files, in stored datasets and inside keypoint detection. `data_range` is always 1.

The rooms; each imports only from rooms further down, and pyproject.toml has that as a contract:

experiment     a power set from its inputs to its ranking, callable from Python
child_runs     a child run, and the process that trains and scores in it
publishing     a ranking goes out: page, note, marks, pictures, registered models
rating         blinded rating of denoised fields by people
planning       inputs of trainings, made once; which trainings there are, and how long they take
report         words, tables and plots | tracking: all that knows MLflow
ranking        what scores say of losses | training: one network on one objective
losses         terms and objectives | datasets: stored noisy and clean patches
evaluation     scores of a field, and baselines | simulation: scenes and scans without a microscope
noise          noise models, and noise measured on scans
denoiser       the network and what denoises with it | scans: the user's fields, prepared
registration   two scans of a field put onto the same grid
image_copies   image files copied with other pixels, all else as it was
images         image files read and written, bars and levels found
microscopes    what vendors' files say of a scan, one module a vendor
launching      jobs run on this machine, or by an engine that has many
statistics     intervals over arrays | perceptual: feature networks | processes: started, ended
files, folders, text, arrays, options, redaction: modules that know nothing of the rest
"""

__version__ = "0.2.0"
