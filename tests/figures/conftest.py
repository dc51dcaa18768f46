"""What all tests of figures share."""

import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def labelled(axis):
    return {line.get_label(): line for line in axis.lines}


def draws_without_warnings(figure):
    figure.canvas.draw()
    assert figure.get_figwidth() == 8
