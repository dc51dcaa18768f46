import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from influence_lib.data.subset import resolve_classes, select, shuffled
from influence_lib.errors import InputError

NAMES = ("ant", "bee", "cow")
LABELS = torch.arange(60) % 3
IDS = torch.arange(60) * 2


@given(st.sampled_from(range(3, 61, 3)), st.sampled_from(range(3, 61, 3)), st.integers(0, 5))
def test_subsets_are_balanced_nested_and_in_order(n, m, seed):
    small, large = (select(LABELS, IDS, NAMES, k, None, seed) for k in sorted((n, m)))
    assert set(small) <= set(large)
    assert np.bincount(LABELS[large], minlength=3).tolist() == [max(n, m) // 3] * 3
    assert (np.diff(IDS[large]) > 0).all()


@given(st.integers(1, 20), st.integers(0, 5))
def test_what_is_taken_of_a_class_does_not_depend_on_the_others(share, seed):
    everything = select(LABELS, IDS, NAMES, 3 * share, None, seed)
    alone = select(LABELS, IDS, NAMES, share, ["bee"], seed)
    assert set(alone) == {row for row in everything if LABELS[row] == 1}


def test_another_seed_takes_others():
    assert set(select(LABELS, IDS, NAMES, 30, None, 0)) != set(select(LABELS, IDS, NAMES, 30, None, 1))


def test_the_order_is_the_same_on_every_machine():
    # written down once: a change of this order changes every subset that was ever taken
    assert shuffled(range(8), "0:3").tolist() == [7, 1, 3, 2, 4, 0, 6, 5]


def test_the_order_of_two_ids_does_not_depend_on_the_others():
    full = [int(i) for i in shuffled(range(50), "key")]
    part = [10 + int(i) for i in shuffled(range(10, 20), "key")]
    assert part == [i for i in full if 10 <= i < 20]


def test_without_n_everything_is_taken():
    assert select(LABELS, IDS, NAMES, None, None, 0).tolist() == list(range(60))
    assert set(LABELS[select(LABELS, IDS, NAMES, None, ["cow", 0], 0)].tolist()) == {0, 2}


def test_unlabelled_images_are_taken_from_all():
    none = torch.full((60,), -1)
    small, large = (select(none, IDS, (), n, None, 0) for n in (7, 31))
    assert len(small) == 7
    assert set(small) < set(large)


@pytest.mark.parametrize(
    ("n", "classes", "sentence"),
    [
        (0, None, "n is 0, but it must be a whole number above 0"),
        (-3, None, "n is -3"),
        (2.5, None, "n is 2.5"),
        (True, None, "n is True"),
        (10, None, "n is 10, but it must be a multiple of 3, .* take 9 or 12"),
        (2, None, "n is 2, .* take 3"),
        (63, None, "n is 63, but it must be at most 60"),
        (22, ["ant"], "n is 22, but it must be at most 20, or left out for all 20"),
        (None, ["dog"], "an entry of classes is 'dog', .*'ant', 'bee', 'cow'"),
        (None, [3], "an entry of classes is 3"),
        (None, [1.0], "an entry of classes is 1.0"),
        (None, [True], "an entry of classes is True"),
        (None, ["ant", 0], "names each class once"),
        (None, "ant", "classes is 'ant', but it must be a list"),
        (None, [], "a list"),
    ],
)
def test_wrong_requests_are_rejected(n, classes, sentence):
    with pytest.raises(InputError, match=sentence):
        select(LABELS, IDS, NAMES, n, classes, 0)


def test_classes_of_an_unlabelled_set_are_rejected():
    with pytest.raises(InputError, match="this set has no labels"):
        resolve_classes(["ant"], ())


def test_a_class_without_images_is_an_error():
    with pytest.raises(InputError, match="holds no image of them"):
        select(LABELS, IDS, (*NAMES, "dodo"), None, ["dodo"], 0)
