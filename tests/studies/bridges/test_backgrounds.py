import numpy as np
import pytest
import torch

from influence_lib import data
from influence_lib.errors import InputError
from influence_lib.studies.bridges import background_of, repainted

IMAGES = data.load("controlled", n=100)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 1.0])
def test_a_part_of_each_class_is_uniform(part):
    found = repainted(IMAGES, part)
    uniform = background_of(found).isin(["white", "black"]).to_numpy()
    for label in range(10):
        assert uniform[(found.labels == label).numpy()].mean() == pytest.approx(part)


def test_nothing_but_the_background_changes():
    found = repainted(IMAGES, 0.5)
    rest = [name for name in IMAGES.attributes if name not in ("background", "texture")]
    assert found.attributes[rest].equals(IMAGES.attributes[rest])
    assert torch.equal(found.labels, IMAGES.labels)
    assert torch.equal(found.ids, IMAGES.ids)
    same = (background_of(found) == background_of(IMAGES)).to_numpy(copy=True)
    assert same.any()
    assert torch.equal(found.images[torch.from_numpy(same)], IMAGES.images[torch.from_numpy(same)])
    assert not torch.equal(found.images, IMAGES.images)


def test_what_is_uniform_in_a_small_part_is_so_in_a_larger_one_and_a_seed_draws_others():
    few, many, other = (
        background_of(repainted(IMAGES, part, seed)).isin(["white", "black"]).to_numpy()
        for part, seed in ((0.2, 0), (0.6, 0), (0.2, 1))
    )
    assert (many | ~few).all()
    assert not np.array_equal(few, other)


def test_backgrounds_are_independent_of_the_class():
    found = repainted(data.load("controlled", n=2000), 0.5)
    white = (background_of(found) == "white").to_numpy()
    shares = [white[(found.labels == label).numpy()].mean() for label in range(10)]
    assert max(abs(share - 0.25) for share in shares) < 0.1


def test_other_images_are_refused(tmp_path):
    bare = data.ImageSet(
        images=IMAGES.images,
        labels=IMAGES.labels,
        ids=IMAGES.ids,
        attributes=IMAGES.attributes[[]],
        name="mine",
        split="train",
        class_names=IMAGES.class_names,
    )
    with pytest.raises(InputError, match="images is 'mine', but it must be drawn scenes"):
        repainted(bare, 0.5)
    with pytest.raises(InputError, match="images is 'mine', but it must be drawn scenes"):
        background_of(bare)
    with pytest.raises(InputError, match=r"uniform is 1\.5"):
        repainted(IMAGES, 1.5)
