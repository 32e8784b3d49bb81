from dataclasses import replace

import pytest

from lfranker.losses.subsets import SubsetRule
from lfranker.planning.plan import fingerprint, powerset_key, tasks, training_fingerprint
from lfranker.training.config import TrainConfig
from lfranker.training.numerics import NUMERICS

FACTS = {"data": "d", "perceptual": "p", "init": "none", "device": "cpu", "scans": "s"}
CONFIG = TrainConfig()


def test_every_subset_in_every_repeat() -> None:
    plan = tasks(("mae", "mse", "ssim"), 2, CONFIG)
    assert len(plan) == 2 * (2**3 - 1)
    assert [task.repeat for task in plan] == [0] * 7 + [1] * 7
    assert [task.name for task in plan[:7]] == [
        "mae", "mse", "ssim", "mae+mse", "mae+ssim", "mse+ssim", "mae+mse+ssim",
    ]  # fmt: skip
    assert all(task.config.repeat == task.repeat for task in plan)


def test_random_perceptual_weights_show_in_the_name_but_not_in_the_losses() -> None:
    plan = tasks(("mae", "perceptual"), 1, CONFIG, "perceptual-random")
    assert [task.name for task in plan] == ["mae", "perceptual-random", "mae+perceptual-random"]
    assert plan[-1].losses == ("mae", "perceptual")


@pytest.mark.parametrize("fact", ["data", "perceptual", "init", "device"])
def test_what_determines_weights_changes_the_key(fact: str) -> None:
    assert powerset_key(CONFIG, FACTS) != powerset_key(CONFIG, {**FACTS, fact: "other"})


@pytest.mark.parametrize("name", ["steps", "batch", "seed", "threads", "dim"])
def test_every_setting_that_determines_weights_changes_the_key(name: str) -> None:
    changed = replace(CONFIG, **{name: getattr(CONFIG, name) + 32})
    assert powerset_key(CONFIG, FACTS) != powerset_key(changed, FACTS)


def test_new_scans_and_the_rhythm_of_logging_do_not_retrain() -> None:
    key = powerset_key(CONFIG, FACTS)
    assert key == powerset_key(CONFIG, {**FACTS, "scans": "other"})
    assert key == powerset_key(replace(CONFIG, log_every=7, repeat=3), FACTS)


def test_unit_weights_keep_the_keys_of_power_sets_that_knew_no_other() -> None:
    key = "da5bd72c3f22c443"  # of these settings before weights could be chosen
    assert powerset_key(CONFIG, FACTS, 1) == key
    assert powerset_key(CONFIG, {**FACTS, "loss_weights": "unit"}, 1) == key
    others = ("value", "gradnorm", "mse=10.0", "mse=10.0,ssim=0.1")
    keys = {powerset_key(CONFIG, {**FACTS, "loss_weights": text}, 1) for text in others}
    assert len(keys | {key}) == 5


def test_the_version_of_the_package_does_not_retrain_but_other_numerics_do() -> None:
    """The key is that of runs which 0.1.0 made."""
    assert powerset_key(TrainConfig(steps=300, seed=3), FACTS, numerics=1) == "6bfe1460b1b17b68"
    assert powerset_key(CONFIG, FACTS) == powerset_key(CONFIG, FACTS, numerics=NUMERICS)
    others = {powerset_key(CONFIG, FACTS, numerics=number) for number in (1, 2, 3)}
    assert len(others) == 3


def test_trainings_on_drawn_images_have_a_key_of_their_own() -> None:
    key = powerset_key(CONFIG, {**FACTS, "vary_data": "true"})
    assert key != powerset_key(CONFIG, FACTS)


def test_only_the_subsets_of_the_rule_are_planned() -> None:
    rule = SubsetRule(max_size=2, include=("perceptual",))
    plan = tasks(("mae", "mse", "perceptual"), 2, CONFIG, "perceptual-random", rule)
    assert [task.name for task in plan] == 2 * [
        "perceptual-random", "mae+perceptual-random", "mse+perceptual-random",
    ]  # fmt: skip


def test_each_training_of_a_power_set_has_its_own_fingerprint() -> None:
    plan = tasks(("mae", "mse"), 3, CONFIG)
    assert len({training_fingerprint("key", task) for task in plan}) == 9


def test_fingerprint_does_not_depend_on_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_source_of_ones_loss_files_changes_the_key_where_there_are_some() -> None:
    own = powerset_key(CONFIG, {**FACTS, "loss_files": "a"})
    assert own != powerset_key(CONFIG, {**FACTS, "loss_files": "b"})
    assert own != powerset_key(CONFIG, FACTS)


def test_other_networks_have_keys_of_their_own_and_scunet_has_the_one_of_before() -> None:
    """The key is that of runs before there were other networks."""
    assert powerset_key(TrainConfig(), FACTS) == "43f72054b8ead3d3"
    others = [TrainConfig(network="nafnet"), TrainConfig(network="nafnet", width=16)]
    others += [TrainConfig(network="dncnn")]
    assert len({powerset_key(own, FACTS) for own in (TrainConfig(), *others)}) == 4
