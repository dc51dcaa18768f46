import numpy as np
import pytest
import torch

from influence_lib.errors import InputError, check_choice, check_integer, check_number, check_strings


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), torch.tensor(3)])
def test_integers_of_every_library_are_integers(value):
    assert type(check_integer("n", value)) is int
    assert check_integer("n", value) == 3


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", None, True, np.float32(2), float("nan"), [2], 9])
def test_what_is_no_integer_in_the_range_is_refused(value):
    with pytest.raises(InputError, match=r"^n is .*, but it must be a whole number from 1 to 8\.$"):
        check_integer("n", value, most=8)


def test_an_integer_is_told_its_range():
    for least, said in ((0, "a whole number, 0 or more"), (1, "a whole number above 0")):
        with pytest.raises(InputError, match=f"n is -1, but it must be {said}"):
            check_integer("n", -1, least=least)
    with pytest.raises(InputError, match="n is 5, but it must be one of the draws"):
        check_integer("n", 5, most=4, allowed="one of the draws")


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), torch.tensor(0.5), np.float64(0.5)])
def test_numbers_of_every_library_are_numbers(value):
    assert type(check_number("lr", value, above=0, most=1)) is float
    assert check_number("lr", value, above=0, most=1) == 0.5


@pytest.mark.parametrize("value", [0, -1.0, 1.5, "0.5", None, False, float("nan"), float("inf"), np.ones(1), 1j])
def test_what_is_no_number_in_the_range_is_refused(value):
    with pytest.raises(InputError, match=r"^lr is .*, but it must be a number above 0 and at most 1\.$"):
        check_number("lr", value, above=0, most=1)


@pytest.mark.parametrize("value", ["cat", None, 1, True, ["one"], np.array(["one", "two"])])
def test_a_choice_is_one_of_those_allowed(value):
    with pytest.raises(InputError, match=r"views is .*, but it must be one of 'one', 'two'"):
        check_choice("views", value, ("one", "two"))
    assert check_choice("views", "two", ("one", "two")) == "two"


def test_a_choice_of_numbers_takes_no_bool():
    with pytest.raises(InputError, match="stem_padding is True"):
        check_choice("stem_padding", True, (1, 2))


@pytest.mark.parametrize("value", ["fc", [], [1], None, 3])
def test_a_list_of_names_is_one(value):
    with pytest.raises(InputError, match=r"layers is .*, but it must be a list of names"):
        check_strings("layers", value, "a list of names")
    assert check_strings("layers", ("a", "b"), "a list of names") == ["a", "b"]
