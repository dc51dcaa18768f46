import base64
import re
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from influence_lib import data, figures
from influence_lib.errors import InputError
from influence_lib.figures import interactive
from tests.figures.conftest import draws_without_warnings, scores_of


@pytest.fixture(scope="module")
def images():
    return data.load("controlled", n=20)


def of(images, values):
    found = scores_of(values)
    found.ids.copy_(images.ids)
    return found


@pytest.fixture
def known(images):
    values = np.arange(1.0, 21)
    places = {name: np.random.default_rng(0).normal(size=(20, 2)) for name in ("SimCLR", "BYOL")}
    scores = {name: {"EK-FAC": of(images, values), "raw loss": of(images, values[::-1].copy())} for name in places}
    return places, scores


def test_everything_is_in_the_page(images, known):
    page = interactive.score_map(images, *known, listed=2).data
    assert "Bokeh" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page.split("</script>")[-1])
    assert page.count("data:image/webp;base64,") == 1
    table = page[page.rindex("<table>") :]
    assert table.count("<tr>") == 1 + 2 * 2 * 2
    first = images.class_names[images.labels[-1]]
    assert f"<td>SimCLR</td><td>EK-FAC</td><td>highest</td><td>{images.ids[-1]} ({first}, 97.5)" in table


def test_every_image_has_its_place_in_the_one_picture(images):
    address, places, columns = interactive._thumbnails(images)
    sheet = Image.open(BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB")
    assert sheet.size == (columns * 32, 4 * 32)
    for i in (0, 7, 19):
        left, top = (places[i] * 32 / interactive.SHOWN).astype(int)
        own = np.asarray(sheet.crop((left, top, left + 32, top + 32)), dtype=float)
        wanted = images.images[i].permute(1, 2, 0).numpy()
        assert np.abs(own - wanted).mean() < 12  # WebP loses a little; another image is 40 away or more


def test_what_the_choices_switch_is_there(images, known):
    places, scores = known
    columns = interactive._columns(images, places, scores, np.zeros((20, 2)), interactive._names(images))
    assert {len(values) for values in columns.values()} == {20}
    assert {"SimCLR: x", "BYOL: y", "SimCLR: EK-FAC", "BYOL: raw loss", "colour", "strength"} <= set(columns)
    np.testing.assert_allclose(columns["BYOL: EK-FAC"], 5 * (np.arange(20) + 0.5))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda places, scores: places.clear(), "number of entries of layouts"),
        (lambda places, scores: scores.pop("BYOL"), "the encoders of scores"),
        (lambda places, scores: scores["BYOL"].pop("EK-FAC"), r"the kinds of scores\['BYOL'\]"),
        (lambda places, scores: places.update(BYOL=np.ones((3, 2))), r"the shape of layouts\['BYOL'\] is \(3, 2\)"),
        (lambda places, scores: scores["BYOL"].update({"EK-FAC": scores_of(range(1, 4))}), "ids|images"),
    ],
)
def test_what_does_not_belong_together_is_refused(images, known, change, said):
    change(*known)
    with pytest.raises(InputError, match=said):
        interactive.score_map(images, *known)


def test_scores_of_other_images_are_refused(images, known):
    others = images.subset(torch.arange(19, -1, -1))
    with pytest.raises(InputError, match="other ids"):
        interactive.score_map(others, *known)


def test_a_set_stands_out_in_its_panel():
    places = np.random.default_rng(0).normal(size=(600, 2))
    figure = figures.layout_panels(places, {"highest": [0, 5], "none": []})
    np.testing.assert_allclose(figure.axes[0].collections[1].get_offsets(), places[[0, 5]])
    assert figure.axes[0].get_title() == "highest (2 images)"
    draws_without_warnings(figure)
    with pytest.raises(InputError, match=r"a position of sets\['a'\] is 600"):
        figures.layout_panels(places, {"a": [600]})
    with pytest.raises(InputError, match="the shape of places"):
        figures.layout_panels(places[:, 0], {"a": [0]})
