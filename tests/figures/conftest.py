"""What all tests of figures share."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from influence_lib.figures.style import WIDTH
from influence_lib.influence import Scores


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def scores_of(values):
    values = torch.as_tensor(np.asarray(values), dtype=torch.float32)[None]
    return Scores(values, torch.arange(values.shape[1]), {})


def labelled(axis):
    return {line.get_label(): line for line in axis.lines}


def draws_without_warnings(figure):
    figure.canvas.draw()
    assert figure.get_figwidth() == WIDTH
