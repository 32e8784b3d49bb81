"""A power set over several noises: what is asked for, and the inputs of the trainings on each."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from lfranker.datasets.synthesis import CleanImage
from lfranker.experiment import inputs as preparation
from lfranker.experiment.inputs import Inputs
from lfranker.experiment.plan import fingerprint, powerset_key
from lfranker.experiment.settings import Settings, settings
from lfranker.noise.noise_config import NoiseRanges
from lfranker.noise.parsing import Noises, all_noises, unused
from lfranker.training.loss_balancing import loss_weights

ALONE = ("noise", "data", "refine", "check_learning_rate")  # options that want one noise


def asked_noises(asked: Mapping[str, Any]) -> Noises:
    """The noises to compare, by label; none where there is one. Raises ValueError."""
    listed, components = asked["noises"] or {}, asked["noise_components"] or ()
    if not listed and not components:
        return {}
    given = "--noises" if listed else "--noise-components"
    for name in ALONE:
        if asked[name]:
            raise ValueError(
                f"--{name.replace('_', '-')} is of one noise, {given} makes a dataset and trains "
                f"all losses on each of several: leave one of them out"
            )
    noises = all_noises(listed, components)
    ignored = [set(unused(noise["noise"])) for noise in noises.values()]
    for name in sorted(set.intersection(*ignored)):
        if asked[name] is not None:
            raise ValueError(
                f"--{name.replace('_', '-')} has no effect on any of the noises {', '.join(noises)}"
            )
    return noises


def inputs_on_each(losses: tuple[str, ...], asked: Mapping[str, Any]) -> list[Inputs]:
    """The inputs on each noise; on the one noise where none are to be compared.

    All that does not hang on the noise is prepared once. Raises ValueError naming the option.
    """
    noises = asked_noises(asked)
    if not noises:
        return [preparation.inputs(losses, asked)]
    own = {
        label: {**asked, "noise": noise, **dict.fromkeys(unused(noise["noise"]))}
        for label, noise in noises.items()
    }
    chosen = {k: settings(asked["preset"], asked["seed"], changed) for k, changed in own.items()}
    _check_different(chosen)
    first, *others = own
    base = preparation.inputs(losses, own[first], first)
    images, _ = preparation.clean_images(chosen[first], asked["clean"])
    return [base, *(_on(base, losses, images, label, chosen[label], asked) for label in others)]


def _on(
    base: Inputs,
    losses: tuple[str, ...],
    images: list[CleanImage],
    label: str,
    chosen: Settings,
    asked: Mapping[str, Any],
) -> Inputs:
    """The inputs on another noise than that of ``base``."""
    data = preparation.dataset_of(images, chosen, asked["cache"].resolve())
    weighting = asked["loss_weights"]
    by_term = loss_weights(weighting, losses, base.perceptual, data, chosen.train.seed)
    return replace(
        base,
        settings=chosen,
        data=data,
        loss_weights=by_term,
        facts={**base.facts, "data": data.digest},
        notices=preparation.weights_notices(weighting, by_term, label),
        noise=label,
    )


def keys_of(every: Sequence[Inputs]) -> tuple[str, dict[str, str]]:
    """Return the power set's key, and those of its noises by label where there are several."""
    keys = {own.noise: powerset_key(own.settings.train, own.facts) for own in every}
    if len(every) == 1:
        return keys[every[0].noise], {}
    return fingerprint({"noises": keys}), keys


def settings_logged(every: Sequence[Inputs]) -> dict[str, Any]:
    """Parameters of the parent: what all trainings have in common."""
    first = every[0]
    logged = {**first.settings.used, **first.facts, **first.weights_logged()}
    if len(every) == 1:
        return logged
    own = {item.name for item in fields(NoiseRanges)} | {"data"}
    weights = [inputs.weights_logged() for inputs in every]
    own |= {name for name in weights[0] if len({w[name] for w in weights}) > 1}
    common = {name: value for name, value in logged.items() if name not in own}
    return {**common, "noises": ",".join(inputs.noise for inputs in every)}


def _check_different(chosen: Mapping[str, Settings]) -> None:
    known: dict[Any, str] = {}
    for label, own in chosen.items():
        if own.synth in known:
            raise ValueError(
                f"the noises {known[own.synth]} and {label} are the same: leave one of them out"
            )
        known[own.synth] = label
