"""Right, wrong and missed, against what can be told by looking."""
import numpy as np
import pytest

from dicenet_mm.evaluation.coco import coco_evaluation
from dicenet_mm.evaluation.matches import confusion, matches
from dicenet_mm.visualization.errors import MISSED, RIGHT, WRONG, draw_masks, draw_matches

CAT, DOG = 0, 1
A, B, C = [10, 10, 50, 50], [60, 10, 90, 40], [10, 60, 40, 90]  # apart from each other


def result(truth, found):
    """Truth: (box, label, ignored). Found: (box, label, score)."""
    return (np.array([box for box, *_ in truth], float).reshape(-1, 4),
            np.array([(label, ignored, 0.) for _, label, ignored in truth], float).reshape(-1, 3),
            np.array([box for box, *_ in found], float).reshape(-1, 4),
            np.array([label for _, label, _ in found], int), np.array([score for *_, score in found], float))


RESULTS = [
    # a right one, one of another class, one twice, and a small score
    result([(A, CAT, 0), (B, DOG, 0), (C, CAT, 0)],
           [(A, CAT, 0.9), ([11, 10, 50, 50], CAT, 0.8), (B, CAT, 0.7), (C, CAT, 0.2)]),
    # what lies on an ignored object is neither right nor wrong
    result([(A, CAT, 1)], [(A, CAT, 0.9)]),
    # what scores little takes nothing from what scores much
    result([(A, CAT, 0)], [(A, CAT, 0.1), ([10, 10, 50, 45], CAT, 0.6)]),
    result([], []),
    result([], [(A, DOG, 0.5)]),
]


def test_sorts_what_was_found():
    found = matches(coco_evaluation(RESULTS, ['cat', 'dog']), score_thr=0.3)
    counts = [(len(image.right), len(image.wrong), len(image.missed)) for image in found]
    assert counts == [(1, 2, 2), (0, 0, 0), (1, 0, 0), (0, 0, 0), (0, 1, 0)]
    assert found[0].errors == 4 and found[0].right == [[*A, CAT, 0.9]]
    assert sorted(row[:5] for row in found[0].missed) == [[*C, CAT], [*B, DOG]]
    assert found[2].right == [[10, 10, 50, 45, CAT, 0.6]]


def test_what_is_taken_for_what():
    pytest.importorskip('supervision')
    truth = [np.array([[*A, CAT], [*B, DOG]]), np.array([[*C, DOG]]), np.zeros((0, 5))]
    found = [np.array([[*A, CAT, 0.9], [*B, CAT, 0.8]]), np.zeros((0, 6)), np.array([[*A, DOG, 0.9], [*A, DOG, 0.2]])]
    np.testing.assert_array_equal(confusion(truth, found, 2), [[1, 0, 0], [1, 0, 1], [0, 1, 0]])


def test_draws_them():
    found, = matches(coco_evaluation(RESULTS[:1], ['cat', 'dog']))
    picture = draw_matches(np.full((640, 640, 3), 255, np.uint8), found, ['cat', 'dog'])
    colours = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    assert {RIGHT, WRONG, MISSED} <= colours
    assert draw_matches(np.zeros((64, 64, 3), np.uint8), matches(coco_evaluation([result([], [])], ['cat']))[0],
                        ['cat']).shape == (640, 640, 3)


def test_draws_wrong_pixels():
    truth = np.array([[0, 1, 255, 1]])
    picture = draw_masks(np.full((1, 4, 3), 100, np.uint8), truth, np.array([[0, 0, 1, 1]]), [(0, 0, 0), (0, 200, 0)])
    wrong = picture[:, 8:]
    assert picture.shape == (1, 12, 3) and wrong[0, 1, 0] > wrong[0, 1, 1]
    assert (wrong[0, [0, 2, 3]] == 100).all()  # right, ignored, right
