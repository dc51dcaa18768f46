"""The two-pass mode of EK-FAC against the exact one, and against closed forms."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from influence_lib.data import load
from influence_lib.errors import InputError
from influence_lib.influence import self_influence
from influence_lib.influence.curvature import truncated
from influence_lib.influence.curvature.problem import FitProblem
from influence_lib.influence.curvature.truncated import Bands, TruncatedBasis, bands, layer_ranks, leading
from influence_lib.pretrain import build_encoder
from tests.images import noise_images
from tests.influence.conftest import normal_factors, small_net

ALL = 10_000  # a rank that no layer here has


@pytest.fixture
def full_covariances(monkeypatch):
    """Take the covariances in float32 and over all positions, so that the basis is that of the exact mode."""
    whole = FitProblem.covariances
    monkeypatch.setattr(FitProblem, "covariances", lambda self, fast=False: whole(self))


def covariance(size: int, seed: int = 0, groups: int = 1) -> torch.Tensor:
    """Return matrices with eigenvalues that fall by powers of ten."""
    generator = torch.Generator().manual_seed(seed)
    Q = torch.linalg.qr(torch.randn(groups, size, size, generator=generator, dtype=torch.float64)).Q
    return Q @ torch.diag(torch.logspace(0, -4, size, dtype=torch.float64)) @ Q.mT


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    "arguments", [{}, {"draws": 2, "views": "two"}, {"factor_pairs": 7}, {"fisher": "sampled"}, {"damping": 1e-4}]
)
def test_single_coordinates_are_the_exact_mode(groups, arguments, full_covariances, monkeypatch):
    monkeypatch.setattr(truncated, "BANDS", 500)  # so many that each coordinate has a band of its own
    net, images, arguments = small_net(groups), noise_images(12), arguments | {"precision": "fp64"}
    exact = self_influence(net, images, progress=False, **arguments)
    fast = self_influence(net, images, rank=ALL, progress=False, **arguments)
    torch.testing.assert_close(fast.by_draw, exact.by_draw, rtol=1e-6, atol=0)
    for name, part in exact.by_layer.items():
        torch.testing.assert_close(fast.by_layer[name], part, rtol=1e-6, atol=0)
    assert fast.deviation.relative == pytest.approx(0, abs=1e-6)
    assert exact.deviation is None


@pytest.mark.parametrize("count", [1, 2, 5])
def test_bands_leave_the_mean_over_the_images_alone(count, net, images, full_covariances, monkeypatch):
    monkeypatch.setattr(truncated, "BANDS", count)
    exact = self_influence(net, images, progress=False)
    fast = self_influence(net, images, rank=ALL, progress=False)
    assert not torch.allclose(fast.values, exact.values, rtol=1e-3)
    for name, part in exact.by_layer.items():
        assert float(fast.by_layer[name].mean()) == pytest.approx(float(part.mean()), rel=1e-4)


def test_a_small_rank_ranks_as_the_exact_mode():
    torch.manual_seed(0)
    encoder, images = build_encoder(4), load("controlled", n=40)
    exact = self_influence(encoder, images, progress=False)
    found = {}
    for rank in (8, 32):
        fast = self_influence(encoder, images, rank=rank, progress=False)
        found[rank] = float((fast.values / exact.values - 1).abs().median())
        assert fast.deviation.rank == rank
        assert fast.deviation.pairs == 40
        # an estimate: of the right size
        assert found[rank] / 3 < fast.deviation.relative < 3 * found[rank]
    assert found[32] < 0.05
    assert found[32] < found[8]


@given(
    images=st.integers(1, 4),
    groups=st.integers(1, 2),
    width=st.integers(2, 50),
    height=st.integers(1, 9),
    positions=st.integers(1, 20),
    rank=st.integers(1, 8),
)
@settings(max_examples=60)
def test_squares_are_those_of_the_rotated_gradient(images, groups, width, height, positions, rank):
    factors = normal_factors(groups, images, positions, width, height)
    basis = TruncatedBasis.of(covariance(width, 1, groups), covariance(height, 2, groups), rank)
    squares = torch.cat(list(basis.squares(factors)), dim=1)
    rotated = basis.outputs.mT[:, None] @ factors.product()
    head = (rotated @ basis.inputs[:, None]).square()
    rest = rotated.square().sum(3) - head.sum(3)
    torch.testing.assert_close(squares[..., :-1], head)
    expected = rest if basis.inputs.shape[2] < width else torch.zeros_like(rest)
    torch.testing.assert_close(squares[..., -1], expected, atol=1e-8, rtol=1e-6)


@given(st.integers(1, 3000))
@settings(max_examples=40)
def test_every_coordinate_is_in_one_band_and_bands_widen(count):
    member = bands(count)
    assert torch.equal(member.sum(1), torch.ones(count))
    order = member.argmax(1)
    assert (order.diff() >= 0).all()
    widths = member.sum(0)
    assert (widths > 0).all()
    assert widths[0] == 1
    assert len(widths) <= truncated.BANDS
    # wider by a constant factor, up to the rounding of their edges
    assert (widths.diff() >= -1).all()


def test_leading_vectors_are_those_of_the_eigendecomposition():
    A = covariance(100, groups=2)
    values, vectors = torch.linalg.eigh(A)
    found, spectrum = leading(A, 10)
    exact = vectors.flip(2)[..., :10]
    torch.testing.assert_close((found.mT @ exact).abs(), torch.eye(10).double().expand(2, 10, 10), atol=1e-3, rtol=0)
    torch.testing.assert_close(spectrum, values.flip(1))
    torch.testing.assert_close(found, leading(A, 10)[0])  # the random start is always the same


def test_all_vectors_are_kept_where_the_rank_is_the_size():
    vectors, spectrum = leading(covariance(40), 40)
    assert vectors.shape == (1, 40, 40)
    assert (spectrum.diff() <= 0).all()
    torch.testing.assert_close(vectors.mT @ vectors, torch.eye(40).double()[None])


def test_the_widest_layer_has_the_rank_and_the_others_the_same_share():
    sizes = {"narrow": 60, "half": 2304, "widest": 4608}
    assert layer_ranks(sizes, 512) == {"narrow": 7, "half": 256, "widest": 512}
    assert layer_ranks(sizes, 1) == {"narrow": 1, "half": 1, "widest": 1}
    # all of them where nearly all would be
    assert layer_ranks({"narrow": 20, "widest": 300}, 280) == {"narrow": 20, "widest": 300}


def test_the_tails_weight_is_exact_where_kfac_is():
    """With Λ_ji = s_j a_i and mass in proportion to it, the tail counts as its single directions would."""
    A, S = covariance(100), covariance(3, 1)
    basis = TruncatedBasis.of(A, S, 20)
    a, s = torch.linalg.eigvalsh(A)[0].flip(0), torch.linalg.eigvalsh(S)[0].flip(0)
    Λ = s[:, None] * a
    moments = torch.cat([Λ[:, :20], Λ[:, 20:].sum(1, keepdim=True)], dim=1)[None]
    weights = basis.weights(moments, None)
    single = 1 / (Λ + 0.1 * Λ.mean())
    torch.testing.assert_close(weights[0, :, :20], single[:, :20])
    torch.testing.assert_close(weights[0, :, 20] * Λ[:, 20:].sum(1), (Λ * single)[:, 20:].sum(1))


def test_weights_of_bands_keep_the_mean():
    torch.manual_seed(0)
    moments, weights = torch.rand(2, 30, 21), torch.rand(2, 30, 21)
    members = Bands.of(moments)
    by_band = members.weights(moments, weights)
    assert by_band.shape == (2, members.rows.shape[1], members.columns.shape[1])
    torch.testing.assert_close((members.add_up(moments) * by_band).sum(), (moments * weights).sum())


def test_the_error_is_estimated_from_half_the_rank():
    """The estimate is the difference between this rank without bands and half of it with bands."""
    torch.manual_seed(0)
    encoder, images = build_encoder(4), load("controlled", n=40)
    half = self_influence(encoder, images, rank=64, progress=False)
    fast = self_influence(encoder, images, rank=128, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(truncated, "BANDS", 500)
        single = self_influence(encoder, images, rank=128, progress=False)
    between = float((half.values / single.values - 1).abs().median())
    assert fast.deviation.relative == pytest.approx(between, rel=0.1)


def test_scores_do_not_depend_on_batches_chunks_or_order(net, full_covariances, monkeypatch):
    images = noise_images(11)
    arguments = {"rank": 4, "draws": 2, "precision": "fp64", "progress": False}
    whole = self_influence(net, images, **arguments)
    monkeypatch.setattr("influence_lib.influence.views.pairs.BATCH_SIZE", 4)
    monkeypatch.setattr("influence_lib.influence.curvature.kronecker.ENTRIES_AT_ONCE", 1)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    shuffled = self_influence(net, images.subset(order), **arguments)
    torch.testing.assert_close(shuffled.by_draw, whole.by_draw[:, order], rtol=1e-6, atol=0)


def test_a_tolerance_takes_the_least_rank_that_keeps_it(monkeypatch):
    monkeypatch.setattr(truncated, "BANDS", 500)  # so that the rank alone decides
    torch.manual_seed(0)
    encoder, images = build_encoder(4), load("controlled", n=60)

    def deviation(tolerance):
        return self_influence(encoder, images, tolerance=tolerance, progress=False).deviation

    loose = deviation(1.0)
    assert loose.rank == 32
    tight = deviation(0.7 * loose.relative)
    assert tight.rank > 32
    assert tight.relative < loose.relative
    with pytest.raises(InputError, match=r"tolerance is 1e-09, but it must be at least .* which rank 512 reaches"):
        deviation(1e-9)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"rank": 0}, "rank is 0"),
        ({"rank": 2.5}, "rank is 2.5"),
        ({"rank": 8, "curvature": "kfac"}, "rank is 8, .* None with curvature = 'kfac'"),
        ({"tolerance": 0}, "tolerance is 0"),
        ({"tolerance": 0.1, "rank": 8}, "tolerance is 0.1"),
        ({"tolerance": 0.1, "curvature": "diagonal"}, "tolerance is 0.1"),
    ],
)
def test_bad_input_is_named(net, images, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        self_influence(net, images, progress=False, **arguments)
