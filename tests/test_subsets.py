import pytest

from lfranker.losses import LOSSES, parse_losses, parse_subset, subset_name, subsets

ALL = tuple(LOSSES)


def test_the_papers_power_set() -> None:
    assert [subset_name(s) for s in subsets(ALL)] == [
        "mae",
        "mse",
        "ssim",
        "perceptual",
        "mae+mse",
        "mae+ssim",
        "mae+perceptual",
        "mse+ssim",
        "mse+perceptual",
        "ssim+perceptual",
        "mae+mse+ssim",
        "mae+mse+perceptual",
        "mae+ssim+perceptual",
        "mse+ssim+perceptual",
        "mae+mse+ssim+perceptual",
    ]


def test_two_losses_make_three_subsets_in_any_order() -> None:
    assert subsets(("mae", "mse")) == [("mae",), ("mse",), ("mae", "mse")]
    assert subsets(("mse", "mae")) == subsets(("mae", "mse"))


def test_names_are_read_back_in_the_order_of_losses() -> None:
    assert parse_losses(" ssim, mae ") == ("mae", "ssim")
    assert parse_losses("mae,mse,ssim,perceptual") == ALL
    assert subset_name(("ssim", "mae")) == "mae+ssim"
    assert parse_subset("ssim+mae") == ("mae", "ssim")
    for subset in subsets(ALL):
        assert parse_subset(subset_name(subset)) == subset


def test_random_weights_show_in_the_name_and_are_read_back() -> None:
    name = subset_name(("perceptual", "mae"), perceptual="perceptual-random")
    assert name == "mae+perceptual-random"
    assert parse_subset(name) == ("mae", "perceptual")
    assert subset_name(("mae",), perceptual="perceptual-random") == "mae"


@pytest.mark.parametrize("text", ["mae,huber", "", ",", "mae,mae", "MAE", "mae+ssim"])
def test_losses_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"allowed are mae, mse, ssim, perceptual") as error:
        parse_losses(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("name", ["mae+huber", "", "mae+", "mae+mae", "noisy", "mae,mse"])
def test_subsets_that_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"allowed are mae, mse, ssim, perceptual"):
        parse_subset(name)


def test_unknown_names_are_named() -> None:
    with pytest.raises(ValueError, match="unknown loss 'huber', 'l0';"):
        parse_losses("mae,huber,l0")
    with pytest.raises(ValueError, match="unknown loss 'huber'"):
        subset_name(("mae", "huber"))
    with pytest.raises(ValueError, match="no loss"):
        subsets(())
