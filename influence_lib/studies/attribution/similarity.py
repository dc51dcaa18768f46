"""Attribution by likeness: distances between representations, and exemplar support vector machines."""

import numpy as np
import torch
from sklearn.svm import LinearSVC
from torch import Tensor
from torch.nn.functional import normalize

from influence_lib.errors import check_integer, check_number

__all__ = ["between_directions", "euclidean", "exemplar_distance"]

TOLERANCE, MOST_STEPS = 1e-6, 10_000  # of the released code


def euclidean(targets: Tensor, images: Tensor) -> Tensor:
    """Return the Euclidean distances, float64, T×N, of representations T×D and N×D.

    Examples
    --------
    >>> euclidean(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    tensor([[5.]], dtype=torch.float64)
    """
    return torch.cdist(targets.double(), images.double())


def between_directions(targets: Tensor, images: Tensor) -> Tensor:
    """Return the distances of the representations at length 1, √(2 − 2 cos), float64, T×N: the order of the cosine.

    Examples
    --------
    >>> between_directions(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
    tensor([[1.4142]], dtype=torch.float64)
    """
    return euclidean(*(normalize(each.double(), dim=1) for each in (targets, images)))


def exemplar_distance(targets: Tensor, images: Tensor, penalty: float = 0.1) -> Tensor:
    """Return 1 minus the decision values of exemplar support vector machines: 0 for what looks like the target itself.

    Each machine has its target as the only positive and all images as negatives, with classes of equal weight: the
    ``LinearSVC`` of the released code of the attribution baseline.

    Parameters
    ----------
    targets, images : Tensor
        Representations, T×D and N×D.
    penalty : float
        C.

    Returns
    -------
    Tensor
        float64, T×N.

    Raises
    ------
    InputError
        If there is no image, or `penalty` is not above 0.

    Examples
    --------
    >>> exemplar_distance(torch.eye(3)[:1], torch.eye(3)[1:]).shape
    torch.Size([1, 2])
    """
    check_number("penalty", penalty, above=0)
    check_integer("the number of images", len(images))
    negatives = images.double().numpy()
    labels = np.arange(len(negatives) + 1) == 0
    found = []
    for target in targets.double().numpy():
        machine = LinearSVC(C=penalty, class_weight="balanced", tol=TOLERANCE, max_iter=MOST_STEPS, random_state=0)
        machine.fit(np.vstack([target, negatives]), labels)
        found.append(1 - machine.decision_function(negatives))
    return torch.from_numpy(np.array(found))
