import numpy as np

from lfranker.evaluation.keypoints import Shared
from lfranker.report.plots import GAP, LINES, RIGHT, TITLE, WRONG, match_figure


def count(picture, colour):
    return int(np.all(np.asarray(picture) == colour, axis=2).sum())


def shared(right, wrong):
    total = right + wrong
    points = np.stack([np.full(total, 20.0), np.linspace(5, 90, total)], axis=1)
    pairs = np.stack([np.arange(total)] * 2, axis=1)
    return Shared(points, points, pairs, np.arange(total) < right)


def test_right_and_wrong_matches_have_colours_of_their_own():
    image = np.full((50, 100), 0.5, np.float32)
    for right, wrong in ((4, 0), (0, 4), (2, 2), (0, 0)):
        drawn = match_figure("mae", image, image, shared(right, wrong))
        assert (count(drawn, RIGHT) > 0) == (right > 0)
        assert (count(drawn, WRONG) > 0) == (wrong > 0)
    assert drawn.size == (200 + 3 * GAP, 50 + TITLE + GAP)


def test_the_images_are_shown_as_they_are_beside_each_other():
    rng = np.random.default_rng(0)
    output, original = rng.random((40, 60), np.float32), rng.random((50, 70), np.float32)
    drawn = np.asarray(match_figure("mae", output, original, shared(0, 0)))
    for image, left in ((output, GAP), (original, 2 * GAP + 60)):
        height, width = image.shape
        shown = drawn[TITLE : TITLE + height, left : left + width]
        assert np.array_equal(shown[..., 0], np.rint(255 * image))


def test_many_matches_are_dots_and_only_some_are_lined():
    """The rows between the images are crossed by lines only."""
    image = np.zeros((50, 100), np.float32)
    drawn = np.asarray(match_figure("mae", image, image, shared(10 * LINES, 0)))
    lined = np.all(drawn[:, GAP + 100 : 2 * GAP + 100] == RIGHT, axis=2)
    assert lined.any()
    assert lined.sum(axis=0).max() <= LINES
