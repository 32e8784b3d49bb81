"""Every option of every command, set off its default, reaches the place where it is used.

Commands run in process; what would read, train, score or write is replaced by a recorder. A power
set's children do the tasks that their processes would have been started with.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from mlflow import MlflowClient
from recorder import COMMANDS, Recorder, record_all
from tracked import make_child, make_parent

from lfranker.noise.noise_config import NoiseConfig
from lfranker.options import flat, options
from lfranker.ranking.leaderboard import EQUIVALENCE
from lfranker.tracking.tags import Tag
from lfranker.training.presets import PRESETS

Read = Callable[[Recorder], object]


@dataclass(frozen=True)
class Case:
    """An option's text, and what has to be seen for it."""

    text: str
    seen: tuple[tuple[Read, object], ...]


def case(text: str, *seen: tuple[Read, object]) -> Case:
    return Case(text, seen)


def at(function: str, path: str, by: str = "") -> Read:
    """An argument of every call, by the command itself or by its children of a kind."""
    return lambda recorded: recorded.at(function, path, by)


def told(option: str) -> Read:
    """Read the option in the tasks of all trainings that a power set starts."""
    return lambda recorded: alike(recorded.told(option))


def calls(function: str, by: str = "") -> Read:
    return lambda recorded: len(recorded.calls[by, function])


def of_all(function: str, read: Callable[..., object], by: str = "") -> Read:
    """Read from every call what differs between them, as a set."""
    return lambda recorded: {read(call) for call in recorded.calls[by, function]}


def alike(values: Iterable[object]) -> object:
    first, *others = values
    return first if all(other == first for other in others) else [first, *others]


def succeeded(recorded: Recorder) -> bool:
    result = recorded.result
    assert result is None or result.exit_code == 0, result.output
    return result is not None


def printed(words: str) -> Read:
    return lambda recorded: recorded.result is not None and words in recorded.result.output


# ------------------------------------------------------------------ settings of several commands

TRAINING: Mapping[str, tuple[str, object]] = {
    "steps": ("11", 11),
    "batch": ("3", 3),
    "learning_rate": ("0.004", 0.004),
    "weight_decay": ("0.003", 0.003),
    "warmup": ("4", 4),
    "clip_factor": ("2.5", 2.5),
    "ema_decay": ("0.98", 0.98),
    "depth": ("0,1,1,2,1,1,0", "0,1,1,2,1,1,0"),
    "dim": ("48", 48),
    "head_dim": ("12", 12),
    "perceptual_layers": ("3", 3),
    "threads": ("5", 5),
    "precision": ("bfloat16", "bfloat16"),
    "compile": ("default", "default"),
    "shorter": ("false", False),
    "log_every": ("6", 6),
    "checkpoint_seconds": ("77", 77.0),
}
NAFNET: Mapping[str, tuple[str, object]] = {  # what SCUNet has no use for
    "network": ("nafnet", "nafnet"),
    "width": ("12", 12),
    "depth": ("0,1,1,2,1,1,0", "0,1,1,2,1,1,0"),
}
PATCHES: Mapping[str, tuple[str, object]] = {
    "patch": ("40", 40),
    "patches": ("30", 30),
    "validation": ("0.2", 0.2),
    "max_noise": ("0.04", 0.04),
    "image_draw": ("3", 3),
    "minimum_contrast": ("0.03", 0.03),
    "alpha": ("0.7", (0.7, 0.7)),
    "beta": ("0.6:0.8", (0.6, 0.8)),
    "peak": ("30:90", (30.0, 90.0)),
    "speckle_variance": ("0.02", (0.02, 0.02)),
    "correlation": ("0.1:0.2", (0.1, 0.2)),
    "gain": ("0.9:1.1", (0.9, 1.1)),
    "offset": ("0.01", (0.01, 0.01)),
}
MICROSCOPE: Mapping[str, tuple[str, object]] = {  # what Eq. 1 has no use for
    "noise": ("microscope", "microscope"),
    "sigma": ("0.015", (0.015, 0.015)),
    "black": ("0.03", (0.03, 0.03)),
    "line_offset": ("0.004", (0.004, 0.004)),
    "saturation": ("0.9", (0.9, 0.9)),
    "kernel": ("1,0.1", (1.0, 0.1)),
}


def settings(given: Mapping[str, tuple[str, object]], *where: str) -> dict[str, Case]:
    """Options that are fields of a `config`, by the functions ("by:function") that have it."""
    places = [place.rpartition(":") for place in where]
    return {
        name: case(text, *((at(function, path_of(name), by), value) for by, _, function in places))
        for name, (text, value) in given.items()
    }


def path_of(name: str) -> str:
    """Where a setting is, from the arguments of a function that has a `config`."""
    if name in options(NoiseConfig):
        return f"config.noise.{options(NoiseConfig)[name][0].name}"
    return f"config.{name}"


def and_more(options: dict[str, Case], more: Mapping[str, tuple[Read, object]]) -> dict[str, Case]:
    """The options, of some of which another place has to be seen."""
    return dict(options) | {
        name: Case(options[name].text, (*options[name].seen, seen)) for name, seen in more.items()
    }


# -------------------------------------------------------------------------------- command lines


@dataclass(frozen=True)
class Line:
    """A command line: its options off their defaults, and others that are needed to see them."""

    command: str
    options: Mapping[str, Case]
    others: str = ""


def merged(function: str, by: str = "") -> Read:
    """The weights of the terms in all objectives."""

    def read(recorded: Recorder) -> dict[str, float]:
        every = [call.weights for call in recorded.calls[by, function]]
        return {name: weight for weights in every for name, weight in weights.items()}

    return read


def tag_of_its_run(tag: Tag) -> Read:
    """A tag of the only run."""

    def read(_: Recorder) -> str:
        client = MlflowClient()
        (run,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
        return str(run.data.tags[tag])

    return read


def draw_of(call: SimpleNamespace) -> tuple[int, int]:
    """The repeat of a training, and the draw of the images that it trains on."""
    return call.config.repeat, call.data.config.image_draw


def width_of(call: SimpleNamespace) -> int:
    return int(call.config.width)


def weights_tried(recorded: Recorder) -> int:
    """By the search, beside those that the power set was trained with."""
    return len({str(weights) for weights in recorded.told("loss_weights")}) - len(SUBSETS)


def fields_simulated(recorded: Recorder) -> str:
    return "".join(name for call in recorded.calls["", "simulate_scans"] for name in call.fields)


def works(path: str) -> Read:
    """Folder and name of the files to denoise."""

    def read(recorded: Recorder) -> set[str]:
        (call,) = recorded.calls["", "denoise_files"]
        return {"/".join(getattr(work, path).parts[-2:]) for work in call.work}

    return read


SUBSETS = {("mse", "ssim"), ("ssim", "perceptual")}  # that the rule of OWN leaves
CUT = (of_all("build_objective", lambda call: call.losses, "train"), SUBSETS)
RESCORED = (of_all("rank_power_set", lambda call: call.rescore is None), {False})
DRUNET = case(
    "gray.pth",
    (of_all("score_baselines", lambda c: "+".join(c.extra_tuned)[:12]), {"drunet gray-"}),
)
OWN = {  # a power set with options of nearly all kinds
    "losses": case("ssim,mse,perceptual,huber", CUT),
    "min_size": case("2", CUT),
    "max_size": case("2", CUT),
    "include": case("ssim", CUT),
    "exclude": case("ssim+huber", CUT),
    "clean": case(
        "clean", (at("load_clean", "folder.name"), "clean"), (calls("simulated_clean"), 0)
    ),
    "scans": case(
        "scans",
        (at("prepare_scans", "folder.name"), "scans"),
        (calls("read_scans", "train"), 8),  # those that are prepared, twice each
        (calls("prepare_scans", "train"), 0),
    ),
    "target": case("spd8", (at("prepare_scans", "target"), "spd8")),
    "white": case("4095", (at("load_clean", "white"), 4095), (at("prepare_scans", "white"), 4095)),
    "preset": case(
        "small",
        (at("resolve_weights", "random_allowed"), False),
        (at("resolve_weights", "random_allowed", "train"), False),
        (told("preset"), "small"),
    ),
    "repeats": case("2", (of_all("Trainer", lambda call: call.config.repeat, "train"), {0, 1})),
    "jobs": case("13", (at("run_jobs", "at_once"), 13), (printed("13 at once"), True)),
    "seed": case(
        "7",
        (at("synthesise", "config.seed"), 7),
        (at("seconds_per_step", "config.seed"), 7),
        (at("Trainer", "config.seed", "train"), 7),
        (told("seed"), 7),
    ),
    "perceptual": case(
        "vgg16:vgg.pth",
        (at("resolve_weights", "choice"), "vgg16:vgg.pth"),
        (at("resolve_weights", "choice", "train"), "vgg16:vgg.pth"),
    ),
    "init": case(
        "start.pth",
        (at("load_initial", "path.name"), "start.pth"),
        (at("load_initial", "path.name", "train"), "start.pth"),
        (calls("load_initial", "train"), 8),  # to check them, and to start from them
        (of_all("score_baselines", lambda call: "+".join(call.extra)), {"init start"}),
    ),
    "device": case(
        "cpu",
        (at("seconds_per_step", "device.type"), "cpu"),
        (at("Trainer", "device.type", "train"), "cpu"),
        (told("device"), "cpu"),
    ),
    "loss_weights": case(
        "mse=2,ssim=0.3",
        (merged("build_objective"), {"mse": 2.0, "ssim": 0.3, "perceptual": 1.0}),
        (merged("build_objective", "train"), {"mse": 2.0, "ssim": 0.3, "perceptual": 1.0}),
    ),
    "check_learning_rate": case(
        "true", (lambda recorded: set(recorded.told("learning_rate")), {0.002, 0.004, 0.008})
    ),
    "refine": case("2", (weights_tried, 2), (calls("rank_power_set"), 2)),
    "yes": case("true", (succeeded, True)),  # the plan takes days
    "take_over": case("true", (calls("refuse_if_busy"), 0)),
    "drunet": DRUNET,
    "stall_minutes": case("7", (at("run_jobs", "stall.seconds"), 420.0)),
    "keep_checkpoints": case(
        "true",
        (at("TrainingRun", "keep_checkpoints", "train"), True),
        (told("keep_checkpoints"), True),
    ),
    "cache": case(
        "kept",
        (at("synthesise", "out.parent.parent.name"), "kept"),
        (at("prepare_scans", "cache.parent.name"), "kept"),
        (lambda recorded: {job.log.parts[-3] for job in recorded.jobs}, {"kept"}),
        (lambda recorded: {path.name for path in recorded.told("cache")}, {"kept"}),
    ),
    "model_name": case("other", (at("rank_power_set", "model"), "other")),
    "equivalence": case(
        "psnr=0.2,ssim=0.03",
        (
            at("rank_power_set", "config.equivalence"),
            {**EQUIVALENCE, "psnr": 0.2, "ssim": 0.03},
        ),
    ),
    "weights": case(
        "psnr=3,ssim=0.5", (at("rank_power_set", "config.weights"), {"psnr": 3.0, "ssim": 0.5})
    ),
    "promote": case("always", (at("rank_power_set", "config.promote"), "always"), RESCORED),
    **and_more(
        settings(TRAINING, "seconds_per_step", "train:Trainer"),
        {
            "perceptual_layers": (at("load_levels", "count", "train"), 3),
            "threads": (
                lambda recorded: {job.environment["OMP_NUM_THREADS"] for job in recorded.jobs},
                {"5"},
            ),
        },
    ),
    **and_more(
        settings(PATCHES, "synthesise"),
        {
            "max_noise": (at("load_clean", "max_noise"), 0.04),
            "patch": (at("try_losses", "patch"), 40),
        },
    ),
}
BOTH = {"scunet", "nafnet"}
CARRIED = {"280ns", "2us"}  # dwell times
NOISES = {"eq1", "gamma", "poisson", "lines", "poisson+lines"}
ON_EACH = (of_all("Trainer", lambda call: call.data.config.noise.mode, "train"), NOISES)
ALONE = {  # a training without a power set
    "losses": case("mse+perceptual", (at("build_objective", "losses"), ("mse", "perceptual"))),
    "preset": case("small", (at("resolve_weights", "random_allowed"), False)),
    "clean": OWN["clean"],
    "scans": case("scans", (at("prepare_scans", "folder.name"), "scans")),
    "target": OWN["target"],
    "white": OWN["white"],
    "perceptual": case("random", (at("resolve_weights", "choice"), "random")),
    "init": case("start.pth", (at("load_initial", "path.name"), "start.pth")),
    "device": case("cpu", (at("Trainer", "device.type"), "cpu")),
    "seed": case("7", (at("Trainer", "config.seed"), 7), (at("synthesise", "config.seed"), 7)),
    "repeat": case("3", (at("Trainer", "config.repeat"), 3), (tag_of_its_run(Tag.REPEAT), "3")),
    "loss_weights": case(
        "mse=2", (at("build_objective", "weights"), {"mse": 2.0, "perceptual": 1.0})
    ),
    "keep_checkpoints": case("true", (at("TrainingRun", "keep_checkpoints"), True)),
    "cache": case(
        "kept",
        (at("synthesise", "out.parent.parent.name"), "kept"),
        (at("prepare_scans", "cache.parent.name"), "kept"),
    ),
    **and_more(
        settings(TRAINING, "Trainer", "build_network"),
        {"perceptual_layers": (at("load_levels", "count"), 3)},
    ),
    **and_more(
        settings(PATCHES, "synthesise"), {"max_noise": (at("load_clean", "max_noise"), 0.04)}
    ),
}
FROM_SCANS = {  # no clean images
    "clean": case("none", (calls("load_clean"), 0), (calls("simulated_clean"), 0)),
    "noisy": case(
        "scans",
        (at("training_scans", "folder.name"), "scans"),
        (at("training_scans", "all_noisy"), True),
    ),
    "target": case("spd8", (at("training_scans", "target"), "spd8")),
    "white": case("4095", (at("training_scans", "white"), 4095)),
    "noise": case("blind", (at("synthesise", "config.noise.mode"), "blind")),
    "blind_radius": case("3", (at("synthesise", "config.noise.blind_radius"), 3)),
}
OF_SCORED = {  # the noisy scans are among those that are scored
    "scans": case(
        "scans",
        (at("training_scans", "folder.name"), "scans"),
        (at("training_scans", "all_noisy"), False),
    ),
    **{name: FROM_SCANS[name] for name in ("clean", "noise")},
}
ALONE["threads"] = case("5", *ALONE["threads"].seen, (at("set_num_threads", "count"), 5))
SCORED = {  # scans that nobody gave: simulated ones
    "preset": case("smoke", (at("simulated_fields", "count"), 2)),
    "seed": case("7", (at("simulated_fields", "seed"), 7), (at("simulate_scans", "seed"), 7)),
    "cache": case(
        "kept",
        (at("simulate_scans", "out.parent.parent.name"), "kept"),
        (at("prepare_scans", "cache.parent.name"), "kept"),
    ),
}
RANKING = {
    **{name: OWN[name] for name in ("model_name", "equivalence", "weights")},
    "promote": case("never", (at("rank_power_set", "config.promote"), "never")),
}

LINES: Mapping[str, Line] = {
    "powerset": Line("powerset", OWN),
    "powerset of another network": Line(
        "powerset",
        settings(NAFNET, "seconds_per_step", "train:Trainer"),
        "--losses mae --preset smoke --device cpu --yes",
    ),
    "powerset of several networks": Line(
        "powerset",
        {
            "networks": case(
                "nafnet,scunet",
                (of_all("Trainer", lambda call: call.config.network, "train"), BOTH),
                (of_all("seconds_per_step", lambda call: call.config.network), BOTH),
            ),
            "width": case("12", (of_all("Trainer", width_of, "train"), {12, 32})),
            "seed": case("7", (at("Trainer", "config.seed", "train"), 7), (told("seed"), 7)),
        },
        "--losses mae --preset smoke --device cpu --yes",
    ),
    "powerset without clean images": Line(
        "powerset", FROM_SCANS, "--losses mae --preset smoke --device cpu --yes"
    ),
    "powerset on noisy scans that are scored": Line(
        "powerset", OF_SCORED, "--losses mae --preset smoke --device cpu --yes"
    ),
    "powerset of a stored dataset": Line(
        "powerset",
        {"data": case("stored", (at("Trainer", "data.folder.name", "train"), "stored"))},
        "--losses mae --preset smoke --device cpu --yes",
    ),
    "powerset on drawn images": Line(
        "powerset",
        {
            "vary_data": case("true", (of_all("Trainer", draw_of, "train"), {(0, 1), (1, 2)})),
            "repeats": case("2", (calls("Trainer", "train"), 2)),
        },
        "--losses mae --preset smoke --device cpu --yes",
    ),
    "powerset and a curve over slow scans": Line(
        "powerset",
        {
            "curve": case("1,3", (of_all("learn_from_scans", lambda c: c.curve.counts), {(1, 3)})),
            "curve_to": case("9", (of_all("learn_from_scans", lambda c: c.curve.target), {9})),
            "repeats": case("2", (of_all("learn_from_scans", lambda c: c.curve.draws), {2})),
        },
        "--losses mae --preset smoke --device cpu --yes",
    ),
    "powerset in stages": Line(
        "powerset",
        {
            "search": case("staged", (calls("run_jobs"), 3)),
            "equivalence": case(
                "psnr=0.2", (at("to_stop", "equivalence"), {**EQUIVALENCE, "psnr": 0.2})
            ),
        },
        "--losses mae --preset smoke --device cpu --yes",
    ),
    "powerset on several noises": Line(
        "powerset",
        {
            "noises": case("eq1,gamma", ON_EACH),
            "noise_components": case("poisson,lines", ON_EACH),
            "take_over": OWN["take_over"],
            "seed": case(
                "7",
                (of_all("synthesise", lambda call: call.config.seed), {7}),
                (at("Trainer", "config.seed", "train"), 7),
            ),
            "clean": OWN["clean"],
            "white": case("4095", (of_all("load_clean", lambda call: call.white), {4095})),
            "preset": case("smoke", (at("Trainer", "data.config.patch", "train"), 48)),
            "loss_weights": case("mae=2", (merged("build_objective", "train"), {"mae": 2.0})),
            "cache": case("kept", (at("synthesise", "out.parent.parent.name"), "kept")),
        },
        "--losses mae --device cpu --yes",
    ),
    "powerset on Slurm": Line(
        "powerset",
        {
            "launcher": case("slurm", (calls("require_server"), 1), (calls("run_jobs"), 0)),
            "slurm": case(
                "partition=gpu,time=5,folder=jobs",
                (
                    at("SlurmEngine", "options"),
                    {"partition": "gpu", "time": "5", "cpus-per-task": "1"},
                ),
                (at("SlurmEngine", "folder.name"), "jobs"),
            ),
            "max_jobs": case("7", (at("SlurmEngine", "at_once"), 7)),
            "retries": case("4", (at("EngineLauncher", "retries"), 4)),
            "stall_minutes": case("9", (at("EngineLauncher", "stall_minutes"), 9.0)),
        },
        "--losses mae --preset smoke --device cpu --yes",
    ),
    "powerset that leaves its trainings to Slurm": Line(
        "powerset",
        {"detach": case("true", (calls("rank_power_set"), 0), (printed("are with slurm"), True))},
        "--losses mae --preset smoke --device cpu --yes --launcher slurm",
    ),
    "powerset on Ray": Line(
        "powerset",
        {
            "launcher": case("ray", (calls("require_server"), 1), (calls("SlurmEngine"), 0)),
            "ray": case(
                "cpus=2,gpus=0.25", (at("RayEngine", "request"), {"cpus": 2.0, "gpus": 0.25})
            ),
            "ray_address": case("host:6379", (at("RayEngine", "address"), "host:6379")),
            "max_jobs": case("7", (at("RayEngine", "at_once"), 7)),
        },
        "--losses mae --preset smoke --yes",
    ),
    "plan of a powerset": Line(
        "powerset",
        {
            "dry_run": case("true", (calls("run_jobs"), 0), (calls("seconds_per_step"), 3)),
            "preset": case("smoke", (at("simulated_clean", "per_kind"), 2)),
            "device": case("cuda:1", (at("seconds_per_step", "device.index"), 1)),
            **settings(MICROSCOPE, "synthesise"),
        },
    ),
    "synth": Line(
        "synth",
        {
            "clean": OWN["clean"],
            "white": case("4095", (at("load_clean", "white"), 4095)),
            "out": case("folder", (at("synthesise", "out.name"), "folder")),
            "seed": case("7", (at("synthesise", "config.seed"), 7)),
            "workers": case("3", (at("synthesise", "workers"), 3)),
            **{name: ALONE[name] for name in PATCHES},
        },
    ),
    "synth of noisy scans": Line("synth", FROM_SCANS),
    "synth of scans, but for the clean ones": Line("synth", OF_SCORED),
    "synth of simulated scenes": Line(
        "synth",
        {
            "preset": case(
                "smoke",
                (at("simulated_clean", "per_kind"), 2),
                (at("simulated_clean", "size"), 160),
                (at("synthesise", "config.patch"), 48),
            ),
            "seed": case("7", (at("simulated_clean", "seed"), 7)),
            **settings(MICROSCOPE, "synthesise"),
        },
    ),
    "train": Line("train", ALONE),
    "train another network": Line("train", settings(NAFNET, "Trainer", "build_network")),
    "train without clean images": Line("train", FROM_SCANS),
    "train on noisy scans that are scored": Line("train", OF_SCORED),
    "train on a stored dataset": Line(
        "train", {"data": case("stored", (at("Trainer", "data.folder.name"), "stored"))}
    ),
    "train on a microscope's noise": Line("train", settings(MICROSCOPE, "synthesise")),
    "train on clean images and score on others of them": Line(
        "train",
        {"clean": case("clean", (fields_simulated, "abc"))},
    ),
    "evaluate a power set": Line(
        "evaluate",
        {
            "parent": case(
                "{older}",
                (at("score_run", "run_id"), "{model of older}"),
                (at("score_baselines", "parent.run_id"), "{older}"),
            ),
            "scans": ALONE["scans"],
            "target": OWN["target"],
            "white": case("4095", (at("prepare_scans", "white"), 4095)),
            "cache": case("kept", (at("prepare_scans", "cache.parent.name"), "kept")),
            "drunet": DRUNET,
        },
    ),
    "evaluate the newest power set": Line(
        "evaluate", {"parent": case("latest", (at("score_run", "run_id"), "{model of newer}"))}
    ),
    "evaluate a training": Line(
        "evaluate",
        {
            "run": case(
                "{model of older}",
                (at("score_run", "run_id"), "{model of older}"),
                (at("load_network", "uri"), "models:/m-older"),
            ),
            "drunet": DRUNET,
            **SCORED,
        },
    ),
    "evaluate a model": Line(
        "evaluate",
        {
            "model": case("models:/other/3", (at("load_network", "uri"), "models:/other/3")),
            "trust_code": case("true", (at("load_network", "trust_code"), True)),
            "drunet": DRUNET,
        },
    ),
    "rank": Line(
        "rank",
        {
            "parent": case("1a2b", (at("rank_power_set", "parent_id"), "1a2b")),
            "scans": case("3c4d", (at("rank_power_set", "scans"), "3c4d")),
            **RANKING,
        },
    ),
    "rate: sheets for people": Line(
        "rate",
        {
            "parent": case("1a2b", (at("make_sheets", "parent_id"), "1a2b")),
            "scans": case("3c4d", (at("make_sheets", "scans"), "3c4d")),
            "contact_sheet": case("sheets", (at("make_sheets", "folder.name"), "sheets")),
            "sheets": case("8", (at("make_sheets", "config.sheets"), 8)),
            "shown": case("5", (at("make_sheets", "config.shown"), 5)),
            "repeated": case("2", (at("make_sheets", "config.repeated"), 2)),
            "cache": case("kept", (at("make_sheets", "cache.name"), "kept")),
        },
    ),
    "rate: people's ratings": Line(
        "rate",
        {
            "parent": case("1a2b", (at("take_ratings", "parent_id"), "1a2b")),
            "scans": case("3c4d", (at("take_ratings", "scans"), "3c4d")),
            "ratings": case("ratings.csv", (at("take_ratings", "path.name"), "ratings.csv")),
        },
    ),
    "noise-fit": Line(
        "noise-fit",
        {
            "scans": case(
                "scans",
                (at("prepare_scans", "folder.name"), "scans"),
                (at("exposures_of", "folder.name"), "scans"),
            ),
            "target": case("spd8", (at("prepare_scans", "target"), "spd8")),
            "white": case("4095", (at("prepare_scans", "white"), 4095)),
            "out": case("mine.json", (at("write_profile", "path.name"), "mine.json")),
            "carry": case(
                "280ns,2us",
                (
                    of_all("write_profile", lambda call: tuple(sorted(call.profile.speeds))),
                    {("100ns", "280ns", "2us")},
                ),
            ),
            "seed": case("7", (at("fit_pairs", "seed"), 7)),
            "cache": case("kept", (at("prepare_scans", "cache.parent.name"), "kept")),
        },
    ),
    "noise-fit without clean scans": Line(
        "noise-fit",
        {
            "scans": case("scans", (at("fit_singles", "scans.name"), "scans")),
            "target": case("none", (calls("fit_singles"), 1)),
            "white": case("4095", (at("fit_singles", "white"), 4095)),
            "seed": case("7", (at("fit_singles", "seed"), 7)),
        },
    ),
    "denoise": Line(
        "denoise",
        {
            "input": case("taken", (works("before"), {"taken/a.png", "taken/b.png"})),
            "output": case("given", (works("after"), {"given/a.png", "given/b.png"})),
            "criterion": case("ssim", (at("choose_model", "criterion"), "ssim")),
            "model_name": case("other", (at("choose_model", "name"), "other")),
            "white": case(
                "5000", (of_all("denoise_files", lambda call: call.work[0].white), {5000})
            ),
            "overwrite": case("true", (succeeded, True)),
            "jobs": case("3", (at("denoise_files", "jobs"), 3)),
        },
    ),
    "denoise with a model": Line(
        "denoise",
        {
            "model": case("models:/other@best", (at("load_network", "uri"), "models:/other@best")),
            "trust_code": case("true", (at("load_network", "trust_code"), True)),
        },
        "--input taken --output elsewhere",
    ),
    "denoise by ONNX Runtime": Line(
        "denoise",
        {"engine": case("onnx", (calls("load_onnx"), 1), (calls("load_network"), 0))},
        "--input taken --output elsewhere",
    ),
}


def power_sets() -> dict[str, str]:
    """IDs of two power sets and of the training that each has, by what stands for them."""
    ids = {}
    for name in ("older", "newer"):
        parent = make_parent(key=name)
        child = make_child(parent, "mae", {}, powerset=name, model=f"m-{name}")
        ids |= {name: parent.info.run_id, f"model of {name}": child.info.run_id}
    return ids


@pytest.mark.parametrize("name", LINES)
def test_options_arrive(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line, record = LINES[name], record_all(monkeypatch)
    ids = power_sets() if line.command == "evaluate" else {}
    words = line.others.split()
    for option, given in line.options.items():
        words += [flag_of(line.command, option), given.text.format(**ids)]
    assert not at_their_defaults(line.command, words) & set(line.options)
    done = record.run(line.command, words)
    if record.jobs:
        record.run_children(record.calls["", "run_jobs"][0].jobs)
    missed = [
        f"--{option} {given.text}: seen is {seen}, which should be {value}"
        for option, given in line.options.items()
        for read, expected in given.seen
        if (seen := read(record)) != (value := filled(expected, ids))
    ]
    assert not missed, "\n".join((*missed, done.output, str(done.exception)))
    assert done.exit_code == 0, done.output


def at_their_defaults(command: str, words: list[str]) -> set[str]:
    """The options whose value is the usual one, given or not."""
    context = COMMANDS[command].make_context(command, list(words))
    return {
        option_of(parameter)
        for parameter in COMMANDS[command].params
        if parameter.name
        and not parameter.required
        and context.params[parameter.name]
        == parameter.type_cast_value(context, parameter.get_default(context))
    }


def flag_of(command: str, option: str) -> str:
    """As it is typed, which the parameter's name may differ from."""
    (flag,) = (p.opts[0] for p in COMMANDS[command].params if option_of(p) == option)
    return flag


def option_of(parameter: click.Parameter) -> str:
    return parameter.opts[0].removeprefix("--").replace("-", "_")


def filled(expected: object, ids: Mapping[str, str]) -> object:
    return expected.format(**ids) if isinstance(expected, str) else expected


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_line(command: str) -> None:
    lines = [line.options for line in LINES.values() if line.command == command]
    set_off = {name for options in lines for name, given in options.items() if given.seen}
    assert set_off == {option_of(parameter) for parameter in COMMANDS[command].params}


def test_no_preset_has_the_settings_of_the_lines() -> None:
    for name, (_, value) in {**TRAINING, **PATCHES, **MICROSCOPE}.items():
        for preset in PRESETS.values():
            usual = {**flat(preset.dataset), **flat(preset.train)}[name]
            assert value != usual, f"{name} would not be seen to be ignored"
