import pytest

from lfranker.losses import parse_losses, parse_subset, subset_name
from lfranker.losses.names import PAPER
from lfranker.losses.subsets import ALL


def test_the_papers_power_set() -> None:
    assert [subset_name(s) for s in ALL.subsets(PAPER)] == [
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


def test_names_are_read_back_in_the_order_of_losses() -> None:
    assert parse_losses(" ssim, mae ") == ("mae", "ssim")
    assert parse_losses("mae,mse,ssim,perceptual") == PAPER
    assert subset_name(("ssim", "mae")) == "mae+ssim"
    assert parse_subset("ssim+mae") == ("mae", "ssim")
    for subset in ALL.subsets(PAPER):
        assert parse_subset(subset_name(subset)) == subset


def test_random_weights_show_in_the_name_and_are_read_back() -> None:
    name = subset_name(("perceptual", "mae"), perceptual="perceptual-random")
    assert name == "mae+perceptual-random"
    assert parse_subset(name) == ("mae", "perceptual")
    assert subset_name(("mae",), perceptual="perceptual-random") == "mae"


@pytest.mark.parametrize("text", ["mae,l0", "", ",", "mae,mae", "MAE", "mae+ssim"])
def test_losses_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"allowed are mae, mse, ssim, perceptual") as error:
        parse_losses(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("name", ["mae+l0", "", "mae+", "mae+mae", "noisy", "mae,mse"])
def test_subsets_that_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"allowed are mae, mse, ssim, perceptual"):
        parse_subset(name)


def test_unknown_names_are_named() -> None:
    with pytest.raises(ValueError, match="unknown loss 'l1', 'l0';"):
        parse_losses("mae,l1,l0")
    with pytest.raises(ValueError, match="unknown loss 'l1'"):
        subset_name(("mae", "l1"))
    with pytest.raises(ValueError, match="no loss"):
        subset_name(())


def test_losses_that_do_not_tell_enough_are_only_trained_beside_others() -> None:
    assert ALL.subsets(parse_losses("tv,mae,ncc")) == [
        ("mae",),
        ("mae", "ncc"),
        ("mae", "tv"),
        ("mae", "ncc", "tv"),
    ]
    for text in ("tv", "tv,ncc"):
        with pytest.raises(ValueError, match=r"on (tv|tv and ncc) alone; add one of mae, mse,"):
            parse_losses(text)
    with pytest.raises(ValueError, match=r"'gradient\+gmsd': .* on gradient and gmsd alone"):
        parse_subset("gradient+gmsd")


def test_names_that_runs_show_make_the_same_subsets() -> None:
    shown = ALL.subsets(["mae", "perceptual-random", "tv", "my.module:loss"])
    planned = ALL.subsets(parse_losses("my.module:loss,tv,perceptual,mae"))
    assert ["+".join(s) for s in shown] == [
        subset_name(s, perceptual="perceptual-random") for s in planned
    ]
    assert len(planned) == 2**4 - 1 - 1


def test_losses_of_ones_own_come_last_by_the_alphabet() -> None:
    assert parse_losses("b:loss,mae,a.b:loss") == ("mae", "a.b:loss", "b:loss")
    assert parse_subset(subset_name(["b:f", "ssim", "a:f"])) == ("ssim", "a:f", "b:f")
    for name in ("a:", ":f", "a:f:g", "1a:f", "a b:f", "a-b:f", "a:f.g"):
        with pytest.raises(ValueError, match=r"module:function for your own"):
            parse_losses(f"mae,{name}")
