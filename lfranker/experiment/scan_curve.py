"""How many slow scans of one's own: the champion trained with a few of them, after a power set.

Of the fields that are scored some become training images, in draws that have no site in common, so
that it is seen how much hangs on which they are. In a draw the first scans are among the next more.
All draws are scored on the same other sites, and against the same training without such scans.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lfranker.child_runs.adoption import adopt
from lfranker.child_runs.jobs import Child
from lfranker.child_runs.running import TrainingRunner, closing
from lfranker.datasets.clean_images import OWN, SIMULATED, CleanImage
from lfranker.datasets.patch_sampling import Source, make_source
from lfranker.noise.models import estimate_noise
from lfranker.noise.noise_config import OF_SCANS
from lfranker.planning.inputs import InputConfig, Inputs, dataset_of, training_images
from lfranker.planning.plan import Task, powerset_key
from lfranker.planning.settings import Settings
from lfranker.ranking.leaderboard import Ranking
from lfranker.scans.folder_layout import NO_TARGET
from lfranker.scans.preparation import ScanSet, subset_of
from lfranker.statistics.learning_curve import LEAST_SITES
from lfranker.tracking.follow_ups import CurvePlan, Draw, note_curve
from lfranker.tracking.runs import TrackedRun, set_tags
from lfranker.tracking.tags import Tag
from lfranker.training.loss_balancing import UNIT, described


@dataclass(frozen=True)
class CurveConfig:
    """Numbers of slow scans to train with, the number to forecast, and how often they are drawn."""

    counts: tuple[int, ...]
    target: int
    draws: int


@dataclass(frozen=True)
class Drawn:
    """Scans that become training images, and what is left to score on."""

    scored: ScanSet
    draws: tuple[tuple[CleanImage, ...], ...]  # in each, in the order in which they are added
    others: Sequence[CleanImage]  # the usual training images


def check_sources_of_curve(chosen: Settings, config: InputConfig) -> None:
    """Raise ValueError where slow scans cannot be put among the training images."""
    if config.data is not None:
        raise ValueError(
            "--curve makes datasets with slow scans among the clean images, and --data is one "
            "without: leave one of them out"
        )
    if chosen.dataset.noise.mode in OF_SCANS:
        raise ValueError(
            "--curve puts slow scans among the clean images, and networks are to learn from noisy "
            "scans alone: leave it out, or give --clean"
        )
    if config.target == NO_TARGET:
        raise ValueError("--curve learns from clean scans, and --target none says there are none")


def check_sites(sites: int, counts: Sequence[int], draws: int, usable: int | None = None) -> None:
    """Raise ValueError where there are too few sites to train on and to score on.

    usable: those of them with a scan that patches can be cut from; None: all.
    """
    most, known = counts[-1], sites if usable is None else usable
    if known >= draws * most and sites >= draws * most + LEAST_SITES:
        return
    fit = max(0, min(known, sites - LEAST_SITES) // draws)
    advice = f"{fit} scans at the most" if fit >= 2 else "more scans"
    raise ValueError(
        f"--curve {','.join(map(str, counts))} with {draws} draws takes {draws * most} sites to "
        f"train on and {LEAST_SITES} others to score on; there are {sites}, of which {known} can "
        f"be trained on: give {advice}"
    )


def draw_scans(inputs: Inputs, config: InputConfig, counts: Sequence[int], draws: int) -> Drawn:
    """Draw slow scans, each of another site. Raises ValueError where there are too few.

    What would not be taken from a folder of clean images is not drawn either: a scan that is too
    noisy, too small, or without contrast.
    """
    scans, chosen = inputs.scans, inputs.settings
    if not scans.has_clean:
        raise ValueError("--curve learns from clean scans, and --scans was prepared without any")
    others, _ = training_images(chosen, config)
    _check_others(others)
    first = {record.field: record for record in reversed(scans.records)}
    by_site: dict[str, list[CleanImage]] = {}
    for record in first.values():
        image = scans.read(record).original
        source = SIMULATED if scans.simulated else str(scans.folder / record.original)
        own = CleanImage(f"{OWN}/{record.field}", OWN, image, source)
        if _is_usable(own, chosen):
            by_site.setdefault(record.place, []).append(own)
    sites = len(scans.sites)
    check_sites(sites, counts, draws, len(by_site))
    rng, order = np.random.default_rng(chosen.train.seed), sorted(by_site)
    places = [order[int(at)] for at in rng.permutation(len(order))[: draws * counts[-1]]]
    drawn = [by_site[place][int(rng.integers(len(by_site[place])))] for place in places]
    left = {record.field for record in scans.records if record.place not in places}
    return Drawn(
        subset_of(scans, left, config.cache.resolve() / "scans"),
        tuple(tuple(drawn[at::draws]) for at in range(draws)),  # the same where fewer are asked for
        others,
    )


def _check_others(others: Sequence[CleanImage]) -> None:
    """Raise ValueError where the usual images have own scans among them, or are too few."""
    if any(image.group.split("/")[0] == OWN for image in others):
        raise ValueError(
            f"--curve puts slow scans of --scans into the sub-folder {OWN} of the clean images, "
            f"and --clean has one: move its fields to --scans"
        )
    if len(others) < 2:
        raise ValueError(
            "--curve needs two clean images or more: one would be kept for validation as soon as "
            "there are slow scans beside it"
        )


def _is_usable(own: CleanImage, chosen: Settings) -> bool:
    config = chosen.dataset
    if min(own.image.shape) < 3 or estimate_noise(own.image) > config.max_noise:
        return False
    return isinstance(make_source(own, config.patch, config.minimum_contrast), Source)


def learn_from_scans(
    run: TrackedRun,
    plan: Sequence[Task],
    ranking: Ranking,
    runner: TrainingRunner,
    config: InputConfig,
    curve: CurveConfig,
    take_over: bool,
) -> None:
    """Train the champion with slow scans, as children of the power set; `rank` draws the curve."""
    name = ranking.champion
    if name is None:
        runner.say("no curve over slow scans: no subset could win")
        return
    inputs = runner.inputs
    drawn = draw_scans(inputs, config, curve.counts, curve.draws)
    champion = next(task for task in plan if task.name == name)
    first = ", ".join(map(str, curve.counts))
    runner.say(f"slow scans to learn from: {name} with {first} of them, drawn {curve.draws} times")
    repeats = sum(task.name == name for task in plan)
    missing = [_in(champion, repeat) for repeat in range(repeats, curve.draws)]
    key = powerset_key(inputs.settings.train, inputs.facts)
    children: list[Child] = []
    draws = list[Draw]()
    with closing(children):
        children += adopt(run, key, missing, inputs, take_over, "{}", runner.engine)
        for repeat, images in enumerate(drawn.draws):
            keys = dict[int, str]()
            for count in curve.counts:
                own = _inputs_with(inputs, drawn, images[:count], champion, config.cache.resolve())
                keys[count] = powerset_key(own.settings.train, own.facts)
                title = f"{{}} ({count} own slow scan{'s' * (count > 1)})"
                # nothing is asked of their length: no branches
                task = _in(champion, repeat)
                tasks = [replace(task, config=replace(task.config, shorter=False))]
                made = adopt(run, keys[count], tasks, own, take_over, title, runner.engine)
                children += made
                for child in made:
                    set_tags(child.run.run_id, {Tag.OWN_SCANS: ", ".join(_fields(images[:count]))})
            draws.append(Draw(repeat, tuple(_fields(images)), keys))
        runner.run(children)
    scored = drawn.scored.digest
    note_curve(
        run.run_id,
        CurvePlan(name, curve.counts, curve.target, inputs.scans.digest, scored, tuple(draws)),
    )


def _in(task: Task, repeat: int) -> Task:
    return replace(task, config=replace(task.config, repeat=repeat))


def _fields(images: Sequence[CleanImage]) -> list[str]:
    return [image.name.removeprefix(f"{OWN}/") for image in images]


def _inputs_with(
    inputs: Inputs, drawn: Drawn, own: Sequence[CleanImage], champion: Task, cache: Path
) -> Inputs:
    """Inputs of the power set with these scans among the images, to be scored on other fields.

    The weights of the losses stay, also where they were found on patches.
    """
    data = dataset_of([*drawn.others, *own], inputs.settings, cache)
    facts = {**inputs.facts, "data": data.digest, "scans": drawn.scored.digest}
    if facts.get("loss_weights", UNIT) != UNIT:
        weights = {loss: inputs.loss_weights[loss] for loss in champion.losses}
        facts["loss_weights"] = described(weights)
    return replace(inputs, data=data, scans=drawn.scored, facts=facts)
