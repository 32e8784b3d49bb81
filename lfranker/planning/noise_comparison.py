"""A power set over several noises, networks or both: what is asked for, and the inputs on each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lfranker.datasets.clean_images import CleanImage
from lfranker.datasets.noisy_scans import noisy_digests
from lfranker.datasets.patch_dataset import DatasetConfig
from lfranker.denoiser.networks import NETWORKS
from lfranker.noise.noise_config import OF_SCANS, NoiseConfig
from lfranker.noise.parsing import Noises, unused
from lfranker.options import options
from lfranker.planning import inputs as preparation
from lfranker.planning.inputs import InputConfig, Inputs
from lfranker.planning.plan import fingerprint, powerset_key
from lfranker.planning.settings import Settings, preset_settings
from lfranker.ranking.entrants import compared, joint_label, parts_of
from lfranker.report.remarks import seen_caveats
from lfranker.training.config import unused_by
from lfranker.training.loss_balancing import loss_weights


def settings_on_each(
    preset: str, noises: Noises, seed: int = 0, networks: Sequence[str] = (), **changes: Any
) -> dict[str, Settings]:
    """Settings on each noise by its label, as `preset_settings` makes them on one.

    Where there are ``networks``, on each of these and of the noises, if any. A change that only
    some of them know is made to those. Raises ValueError where none does, or where two are the
    same.
    """
    if clashing := [noise for noise in noises if noise in NETWORKS]:
        raise ValueError(
            f"the profile is called like the network {clashing[0]!r}: give it another name"
        )
    given: dict[str, dict[str, Any]] = {}
    for noise, read in noises.items() or [("", None)]:
        for network in networks or [""]:
            own: dict[str, Any] = {"noise": read} if read else {}
            own |= {"network": network} if network else {}
            given[joint_label(noise, network)] = own
    without = {label: _without(own) for label, own in given.items()}
    for name in sorted(set.intersection(*map(set, without.values()))):
        if changes.get(name) is not None:
            raise ValueError(
                f"--{name.replace('_', '-')} has no effect on any of the {compared(given, 's')} "
                f"{', '.join(given)}"
            )
    chosen = {
        label: preset_settings(preset, seed, **{**changes, **own, **dict.fromkeys(without[label])})
        for label, own in given.items()
    }
    _check_different(chosen)
    return chosen


def _without(own: Mapping[str, Any]) -> list[str]:
    """Return the settings that have no effect on a noise, a network or both."""
    noise, network = own.get("noise"), own.get("network")
    return [*(unused(noise["noise"]) if noise else ()), *(unused_by(network) if network else ())]


def inputs_on_each(
    losses: tuple[str, ...], chosen: Mapping[str, Settings], config: InputConfig, draws: int = 0
) -> list[Inputs]:
    """The inputs on each noise, by label; a noise that is alone has the label "".

    All that does not hang on the noise is prepared once, and with a noise that is added to clean
    images if there is one: no scan to compare with may be among these. ``draws`` are those of
    `inputs`. Raises ValueError naming the option.
    """
    for own in chosen.values():
        preparation.check_images(own, config)
    first, *others = sorted(chosen, key=lambda label: _takes(chosen[label]) != "")
    base = preparation.inputs(losses, chosen[first], config, first, draws)
    if not others:
        return [base]
    made, images = {first: base}, dict[str, Images]()
    for label in others:
        takes = _takes(chosen[label])
        if takes not in images:
            images[takes] = preparation.training_images(chosen[label], config)
        told = [] if takes == _takes(chosen[first]) else images[takes][1]
        on = _on(base, losses, images[takes][0], label, chosen[label], config)
        made[label] = replace(on, notices=[*told, *on.notices])
    return [made[label] for label in chosen]


Images = tuple[Sequence[CleanImage], list[str]]  # and what is to be said of them


def _takes(chosen: Settings) -> str:
    """Return what decides which images pairs are made of: all noises that are added take clean."""
    mode = chosen.dataset.noise.mode
    return mode if mode in OF_SCANS else ""


def _on(
    base: Inputs,
    losses: tuple[str, ...],
    images: Sequence[CleanImage],
    label: str,
    chosen: Settings,
    config: InputConfig,
) -> Inputs:
    """The inputs on another noise than that of ``base``."""
    cache, repeats = config.cache.resolve(), len(base.drawn)
    drawn = preparation.drawn_datasets(images, chosen, cache, repeats)
    data = drawn[0] if drawn else preparation.dataset_of(images, chosen, cache)
    weighting = config.loss_weights
    by_term = loss_weights(weighting, losses, base.perceptual, data, chosen.train.seed)
    weighted = preparation.weights_notices(weighting, by_term, label)
    scored = noisy_digests(base.scans) if _takes(chosen) else []
    seen = seen_caveats(scored, data.trained_on, estimated=not base.scans.has_clean, noise=label)
    return replace(
        base,
        settings=chosen,
        data=data,
        drawn=drawn,
        loss_weights=by_term,
        facts={**base.facts, "data": data.digest},
        notices=[*filter(None, [data.remade]), *weighted, *seen],
        noise=label,
    )


def keys_of(all_inputs: Sequence[Inputs]) -> tuple[str, dict[str, str]]:
    """Return the power set's key, and those of its noises by label where there are several."""
    keys = {own.noise: powerset_key(own.settings.train, own.facts) for own in all_inputs}
    if len(all_inputs) == 1:
        return keys[all_inputs[0].noise], {}
    return fingerprint({"noises": keys}), keys


def settings_logged(all_inputs: Sequence[Inputs]) -> dict[str, Any]:
    """Parameters of the parent: what all trainings have in common.

    Where networks are compared, `steps` are those of the first, and `network_steps` of each.
    """
    first = all_inputs[0]
    logged = {**first.settings.used, **first.facts_logged(), **first.weights_logged()}
    if len(all_inputs) == 1:
        return logged
    own = {*options(NoiseConfig), "dataset"}
    weights = [inputs.weights_logged() for inputs in all_inputs]
    own |= {name for name in weights[0] if len({w[name] for w in weights}) > 1}
    labels = [parts_of(inputs.noise) for inputs in all_inputs]
    noises, networks = (
        list(dict.fromkeys(filter(None, part))) for part in zip(*labels, strict=True)
    )
    own = own if noises else set()
    by_network = {inputs.settings.train.network: inputs for inputs in reversed(all_inputs)}
    if networks:
        own |= {"network"}
        for inputs in by_network.values():
            logged = {**inputs.settings.train.used, **logged}
    common = {name: value for name, value in logged.items() if name not in own}
    common |= {"noises": ",".join(noises)} if noises else {}
    if not networks:
        return common
    steps = (f"{name}={by_network[name].settings.train.steps}" for name in networks)
    paces = (f"{name}={by_network[name].pace:g}" for name in networks)
    return {
        **common,
        "networks": ",".join(networks),
        "network_steps": ",".join(steps),
        "network_paces": ",".join(paces),
    }


def _check_different(chosen: Mapping[str, Settings]) -> None:
    known: dict[tuple[DatasetConfig, str], str] = {}
    for label, own in chosen.items():
        which = own.dataset, own.train.network
        if which in known:
            raise ValueError(
                f"the {compared(chosen, 's')} {known[which]} and {label} are the same: leave one "
                f"of them out"
            )
        known[which] = label
