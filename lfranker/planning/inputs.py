"""Inputs that the commands need before they start: dataset, scans, perceptual weights.

Everything made is kept in the cache folder under a name derived from what determines it, and
found there the next time.
"""

import hashlib
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lfranker.arrays import Image
from lfranker.datasets.clean_images import (
    NO_CLEAN,
    CleanImage,
    NoClean,
    load_clean,
    simulated_clean,
    split,
)
from lfranker.datasets.noisy_scans import noisy_digests
from lfranker.datasets.patch_dataset import DamagedDatasetError, Dataset, read_dataset
from lfranker.datasets.synthesis import remade, request_of, synthesise
from lfranker.denoiser.tiling import denoise
from lfranker.evaluation.criteria import INITIAL
from lfranker.evaluation.reference_free import noise_by_speed
from lfranker.files import looked_for
from lfranker.losses import (
    Features,
    Objective,
    build_objective,
    files_digest,
    tells_enough,
    try_losses,
)
from lfranker.noise.noise_config import OF_SCANS
from lfranker.options import check, option
from lfranker.perceptual.weights import PerceptualWeights, load_levels, resolve_weights
from lfranker.planning.noisy_scans import check_sources, training_scans
from lfranker.planning.plan import VARY_DATA, fingerprint
from lfranker.planning.settings import Settings
from lfranker.report.remarks import seen_caveats, site_caveats
from lfranker.scans.folder_layout import NO_TARGET, scan_plan
from lfranker.scans.frames import frame_files
from lfranker.scans.preparation import ScanSet, prepare_scans, read_scans
from lfranker.scans.scan_set import noting
from lfranker.simulation.scans import (
    TARGET_SPEED,
    damaged_scan,
    simulate_scans,
    simulated_fields,
)
from lfranker.tracking.models import is_model, weights_of
from lfranker.training.devices import device_of, read_device
from lfranker.training.initial_weights import load_initial
from lfranker.training.loss_balancing import (
    UNIT,
    Choice,
    check_named,
    described,
    loss_weights,
    parse_loss_weights,
)
from lfranker.training.trainer import build_network

PREPARED = "scans.json"


@dataclass(frozen=True)
class InputConfig:
    """Sources of the data, scans and weights of trainings."""

    clean: Path | NoClean | None = option(
        None,
        "Folder of clean images; its sub-folders are sample groups. none: there are none, networks "
        "learn from noisy scans. Left out: simulated scenes.",
    )
    noisy: Path | None = option(
        None,
        "Folder of noisy scans to learn from (noise frames, blind, recorrupted). Left out: those "
        "of --scans, all speeds but the target.",
    )
    scans: Path | None = option(
        None,
        "Folder of scans to score on: a sub-folder per scan speed, same file name = same field. "
        "Left out: simulated scans.",
    )
    target: str | None = option(
        None,
        "Sub-folder of --scans that holds the clean scans. Left out: the slowest. none: no scan is "
        "clean, and losses are ranked by how much of the noise they remove.",
    )
    white: int | None = option(
        None,
        "Gray value of full brightness in files of 16 bits, clean images and scans alike: 4095 "
        "where 12 bits are used. Left out: what the files say, or show all together.",
        minimum=255,
        maximum=65535,
    )
    data: Path | None = option(None, "Dataset made by synth. Left out: one is made.")
    perceptual: str = option(
        "auto",
        "VGG19 weights of the perceptual loss: auto, imagenet, random, or a file; after `vgg16:` "
        "or `timm/NAME:`, those of VGG16 or of a network of timm.",
    )
    init: Path | None = option(
        None,
        "Start from these weights: a file (.pth, .safetensors), e.g. published ones; "
        "models:/NAME@ALIAS; runs:/ID of a training; or bundled, those that come with lfranker.",
    )
    device: str = option(
        "auto",
        "Where to train: cpu, cuda, or one GPU of several, such as cuda:1; auto: all GPUs if there "
        "are any.",
        parse=read_device,
    )
    loss_weights: Choice = option(
        UNIT,
        "Weights of the terms of an objective: unit (1 each, the paper's); value or gradnorm, "
        "equal values or gradients at a light blur of noisy patches; or e.g. mae=1,ssim=0.1.",
        parse=parse_loss_weights,
    )
    cache: Path = option(
        Path(".lfranker"), "Folder for datasets and registered scans, kept for the next time."
    )

    def __post_init__(self) -> None:
        """Raise ValueError naming an option that is out of bounds, or whose file is missing."""
        check(self)
        for name in ("clean", "noisy", "scans", "data", "init"):
            path: Path | NoClean | None = getattr(self, name)
            if isinstance(path, Path) and not path.exists() and not _is_model(name, path):
                raise ValueError(f"{name}: no such file or folder: {path}{looked_for(path)}")
        if self.clean is NO_CLEAN:
            self._check_noisy()
        given = self.scans or (None if self.target == NO_TARGET else self.noisy)
        if self.target is not None and given is None:
            raise ValueError(f"--target {self.target} is of your scans: give --scans")

    def _check_noisy(self) -> None:
        """Raise ValueError where there are no clean images, and not what there is instead."""
        if self.data is not None:
            raise ValueError(
                "--clean none makes a dataset of noisy scans, and --data is one: leave one of them "
                "out"
            )
        if self.scans is None and self.noisy is None:
            raise ValueError(
                "--clean none: without clean images networks learn from noisy scans: give --scans, "
                "or --noisy"
            )


def _is_model(option: str, path: Path) -> bool:
    return option == "init" and is_model(str(path))


def initial_weights(init: Path | None, cache: Path) -> Path | None:
    """Return the file of the weights to start from; those of a model are kept in the cache."""
    if init is None or not _is_model("init", init):
        return init
    try:
        return weights_of(str(init), cache / "init")
    except ValueError as error:
        raise ValueError(f"init: {error}") from error


def training_images(
    chosen: Settings, config: InputConfig
) -> tuple[Sequence[CleanImage], list[str]]:
    """The images that pairs are made of on the noise chosen; and what the user should know."""
    check_images(chosen, config)
    mode, folder = chosen.dataset.noise.mode, config.noisy or config.scans
    if mode in OF_SCANS and folder is not None:
        all_noisy = config.noisy is not None
        return training_scans(mode, folder, config.target, config.white, all_noisy=all_noisy)
    return clean_images(chosen, _folder(config.clean), config.white)


def _folder(clean: Path | NoClean | None) -> Path | None:
    return clean if isinstance(clean, Path) else None


def check_images(chosen: Settings, config: InputConfig) -> None:
    """Raise ValueError where pairs on the noise chosen cannot be made, before any work."""
    mode = chosen.dataset.noise.mode
    check_sources(mode, config.clean, config.noisy, config.scans, config.data)


def clean_images(
    chosen: Settings, clean: Path | None, white: int | None = None
) -> tuple[list[CleanImage], list[str]]:
    """The clean images of a folder, or simulated scenes; and what the user should know."""
    if clean is not None:
        return load_clean(clean, chosen.dataset.max_noise, white)
    preset, seed = chosen.preset, chosen.dataset.seed
    return simulated_clean(preset.scenes, preset.scene_size, seed), []


def dataset(
    chosen: Settings, clean: Path | None, data: Path | None, cache: Path, white: int | None = None
) -> tuple[Dataset, list[str]]:
    """The dataset in `data`, or one made from `clean` (or simulated) and kept in the cache."""
    if data is not None:
        try:
            return read_dataset(data, verify=True), []
        except DamagedDatasetError as error:
            raise ValueError(
                f"--data: {error}; restore it from a copy, or make it anew with synth"
            ) from error
    images, notices = clean_images(chosen, clean, white)
    made = dataset_of(images, chosen, cache)
    return made, [*notices, *made.notices]


def dataset_of(images: Sequence[CleanImage], chosen: Settings, cache: Path) -> Dataset:
    """The dataset made from these images, kept in the cache, and made again where it is damaged."""
    folder = cache / "datasets" / fingerprint(request_of(images, chosen.dataset))
    try:
        return synthesise(images, folder, chosen.dataset)
    except DamagedDatasetError as error:
        return remade(images, folder, chosen.dataset, error)


def drawn_datasets(
    images: Sequence[CleanImage], chosen: Settings, cache: Path, repeats: int
) -> tuple[Dataset, ...]:
    """A dataset for each repeat, of another draw of the training images, kept in the cache."""
    configs = (replace(chosen.dataset, image_draw=repeat + 1) for repeat in range(repeats))
    return tuple(dataset_of(images, replace(chosen, dataset=own), cache) for own in configs)


def scans(
    chosen: Settings,
    folder: Path | None,
    target: str | None,
    cache: Path,
    clean: Path | None = None,
    seen: Collection[str] = (),
    white: int | None = None,
) -> ScanSet:
    """Registered pairs of the user's scans, or of simulated scans of held-out scenes.

    `seen`: sha256 of the clean images that trainings saw.
    """
    if folder is not None and (folder / PREPARED).exists():
        return _given_scans(folder, target)
    if folder is None:
        fields_of_view = _held_out(chosen, clean, seen, white)
        name = fingerprint(
            {k: hashlib.sha256(v.tobytes()).hexdigest() for k, v in fields_of_view.items()}
            | {"seed": chosen.dataset.seed}
        )
        folder, target = cache / "simulated" / name, TARGET_SPEED
        damaged = damaged_scan(folder) if folder.exists() else ""
        if damaged:
            shutil.rmtree(folder)
        if not folder.exists():
            simulate_scans(fields_of_view, folder, chosen.dataset.seed)
        white = None  # which is the user's files'
        if damaged:
            made = prepare_scans(folder, target, cache / "scans", white)
            return noting(made, f"scans were simulated again: {damaged} was damaged")
    return prepare_scans(folder, target, cache / "scans", white)


def count_fields(chosen: Settings, folder: Path | None, target: str | None = None) -> int:
    """Return of how many fields a folder has scans, or are simulated, without preparing them."""
    if folder is None:
        return chosen.preset.fields
    if (folder / PREPARED).exists():
        return len(read_scans(folder).fields)
    files = frame_files(folder) if target == NO_TARGET else scan_plan(folder).files
    return max(map(len, files.values()), default=0)


def _given_scans(folder: Path, target: str | None) -> ScanSet:
    """Scans that were prepared before, every file of them checked; ``target`` as they have it."""
    given = read_scans(folder)
    if target not in (None, given.target or NO_TARGET):
        made = f"with {given.target} as its clean scans" if given.target else "without clean scans"
        allowed = given.target or NO_TARGET
        raise ValueError(
            f"--target {target}: {folder} was prepared {made}: allowed is {allowed}, or nothing "
            f"at all; or give the folder of the scans themselves"
        )
    if not given.sha256:
        return noting(given, f"{folder} has no checksums: it is of an earlier version")
    try:
        given.verify()
    except ValueError as error:
        raise ValueError(
            f"--scans: {error}: restore it, or give the folder of the scans themselves"
        ) from error
    return given


def _held_out(
    chosen: Settings, clean: Path | None, seen: Collection[str], white: int | None
) -> dict[str, Image]:
    """Fields that no training sees: fresh scenes, or the centres of other clean images."""
    preset = chosen.preset
    if clean is None:
        return simulated_fields(preset.fields, preset.field_size, chosen.dataset.seed)
    images, _ = clean_images(chosen, clean, white)
    if len(images) > 1:
        images = [image for image in images if image.sha256 not in seen]
    else:  # one image is cut in two: its second part is unseen
        images = split(images, chosen.dataset.validation, chosen.dataset.seed)[1]
    if not images:
        raise ValueError(
            "no clean image is left to simulate scans of, all were trained on: give --scans, or a "
            "--validation share above 0"
        )
    return {
        image.name.replace("/", "-"): _centre(image.image, preset.field_size)
        for image in images[: preset.fields]
    }


def _centre(image: Image, size: int) -> Image:
    top, left = (max(0, (length - size) // 2) for length in image.shape)
    return np.ascontiguousarray(image[top : top + size, left : left + size])


def perceptual(
    chosen: Settings, losses: tuple[str, ...], choice: str
) -> tuple[PerceptualWeights | None, Features | None]:
    """Weights and network of the perceptual loss; None where no loss needs them."""
    if "perceptual" not in losses:
        return None, None
    weights = resolve_weights(choice, random_allowed=chosen.preset.random_perceptual, download=True)
    return weights, load_levels(weights, chosen.train.perceptual_layers)


@dataclass(frozen=True)
class Inputs:
    """All that a training needs; `facts` are logged and make the fingerprint."""

    settings: Settings
    data: Dataset
    scans: ScanSet
    device: torch.device
    init: Path | None
    perceptual: Features | None
    perceptual_choice: str  # that gives the same weights without another download
    label: str  # that the perceptual loss is shown under
    loss_weights: dict[str, float]  # of every term, by the name of its loss
    facts: dict[str, str]
    notices: list[str]
    noise: str = ""  # label of noise, network or both among several that are compared
    pace: float = 1.0  # seconds a step of the network, over those of the first that is compared
    drawn: tuple[Dataset, ...] = ()  # the dataset of each repeat, where these differ
    perceptual_file: Path | None = None  # of the weights; None where random, or not needed

    def data_of(self, repeat: int) -> Dataset:
        """The dataset that this repeat trains on."""
        return self.drawn[repeat] if self.drawn else self.data

    def said(self) -> list[str]:
        """Say what is to be trained and scored on, for who looks at a plan."""
        scans, patches = self.scans, len(self.data.train)
        kind = "simulated scans" if scans.simulated else "scans"
        which = f"{self.noise}: " if self.noise else ""
        speeds = {speed: sum(r.speed == speed for r in scans.records) for speed in scans.speeds}
        taken = ", ".join(f"{count:,} at {speed}" for speed, count in speeds.items())
        target = f"the slow ones are those at {scans.target}" if scans.has_clean else "none is slow"
        return [
            f"{which}to be trained on {patches:,} patches of {len(self.data.trained_on):,} images",
            f"to be scored on {kind} of {len(scans.fields):,} fields, {len(scans.sites):,} sites: "
            f"{taken}; {target}",
        ]

    def objective(self, losses: Sequence[str]) -> Objective:
        """The weighted sum of some of the losses."""
        weights = {name: self.loss_weights[name] for name in losses}
        return build_objective(losses, self.perceptual, weights)

    def facts_logged(self) -> dict[str, str]:
        """Parameters of a run: the facts, under names that no option has, unless in its words."""
        names = {
            "data": "dataset",
            "scans": "scan_set",
            "perceptual": "perceptual_weights",
            "init": "initial_weights",
        }
        return {names.get(name, name): value for name, value in self.facts.items()}

    def weights_logged(self) -> dict[str, float]:
        """Parameters of a run: the weight of every term."""
        return {f"weight/{name}": weight for name, weight in self.loss_weights.items()}

    def extra_baselines(self) -> dict[str, Callable[[Image], Image]]:
        """The initial weights as they are, where the user gave some."""
        if self.init is None:
            return {}
        network = build_network(self.settings.train).to(self.device)
        load_initial(network, self.init)
        return {INITIAL + self.init.stem: partial(denoise, network)}


def inputs(
    losses: tuple[str, ...],
    chosen: Settings,
    config: InputConfig,
    noise: str = "",
    draws: int = 0,
) -> Inputs:
    """Prepare all inputs. Raises ValueError naming the option.

    ``noise`` is the label of the noise where several are compared. ``draws``: of the training
    images, one for each repeat; 0: all repeats train on all of them.
    """
    check_images(chosen, config)
    where, weighting = device_of(config.device), config.loss_weights
    check_named(weighting, losses)
    cache = config.cache.resolve()
    init = initial_weights(config.init, cache)
    if init is not None:  # said before any work; trainings load them again
        load_initial(build_network(chosen.train), init)
    weights, network = perceptual(chosen, losses, config.perceptual)
    try_losses(losses, network, chosen.dataset.patch)
    drawn, notices = _datasets(chosen, config, cache, draws)
    data = drawn[0]
    by_term = loss_weights(weighting, losses, network, data, chosen.train.seed)
    clean, white = _folder(config.clean), config.white
    scored = scans(chosen, config.scans, config.target, cache, clean, data.trained_on, white)
    refuse_seen(scored, data.trained_on)
    noise_by_speed(scored)  # what cannot be measured is said before any training
    facts = {
        "preset": chosen.preset.name,
        "data": data.digest,
        "scans": scored.digest,
        "perceptual": weights.fact if weights else "none",
        "init": hashlib.sha256(init.read_bytes()).hexdigest()[:16] if init else "none",
        "device": where.type,
        **({VARY_DATA: "true"} if draws else {}),
        **({"loss_files": digest} if (digest := files_digest(losses)) else {}),
        "loss_weights": described(weighting),
    }
    told = [weights.notice] if weights and weights.notice else []
    told += [
        f"{loss}: not trained alone, nor with others of its kind: it does not tell a network enough"
        for loss in losses
        if not tells_enough([loss])
    ]
    told += weights_notices(weighting, by_term, noise)
    if chosen.dataset.noise.mode in OF_SCANS:
        told += seen_caveats(
            noisy_digests(scored), data.trained_on, estimated=not scored.has_clean, noise=noise
        )
    everything = [*told, *notices, *scored.notices, *site_caveats(scored.table())]
    label = weights.label if weights else "perceptual"
    choice = weights.choice if weights else config.perceptual
    made = Inputs(
        chosen, data, scored, where, init, network, choice, label, by_term, facts, everything,
        noise, perceptual_file=weights.path if weights else None,
    )  # fmt: skip
    return replace(made, drawn=drawn) if draws else made


def _datasets(
    chosen: Settings, config: InputConfig, cache: Path, draws: int
) -> tuple[tuple[Dataset, ...], list[str]]:
    """The dataset of each repeat, or one for all; and what the user should know."""
    if draws == 0 and config.data is not None:
        one, notices = dataset(chosen, None, config.data, cache)
        return (one,), notices
    images, notices = training_images(chosen, config)
    if draws == 0:
        made = dataset_of(images, chosen, cache)
        return (made,), [*notices, *made.notices]
    drawn = drawn_datasets(images, chosen, cache, draws)
    return drawn, [*notices, *dict.fromkeys(notice for own in drawn for notice in own.notices)]


def weights_notices(weighting: Choice, by_term: Mapping[str, float], noise: str) -> list[str]:
    """The weights of the losses, where they are not 1 each."""
    if described(weighting) == UNIT:
        return []
    said = ", ".join(f"{name} {weight:g}" for name, weight in by_term.items())
    return [f"weights of the losses{' on ' * bool(noise)}{noise}: {said}"]


def refuse_seen(scored: ScanSet, trained_on: Collection[str]) -> None:
    """Raise ValueError where a clean scan to compare with is one of the training images."""
    if seen := scored.fields_among(trained_on):
        raise ValueError(
            f"--scans: the clean scan of {', '.join(seen)} is among the images trained on, which "
            f"would flatter every network: take these fields out of --clean or out of --scans"
        )
