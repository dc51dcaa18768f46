import math

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from influence_lib.pretrain.encoders import build_encoder
from influence_lib.pretrain.methods import BYOL, METHODS, BarlowTwins, Momentum, SimCLR
from influence_lib.pretrain.solo import _import_bare
from tests.pretrain.solo_reference import CLASSES, EPOCHS

# solo-learn's argument → our hyper-parameter
HYPER = {
    "temperature": "temperature",
    "pred_hidden_dim": "predictor_hidden",
    "lamb": "off_diagonal",
    "scale_loss": "loss_scale",
    "sim_loss_weight": "invariance",
    "var_loss_weight": "variance",
    "cov_loss_weight": "covariance",
    "num_prototypes": "prototypes",
    "student_temperature": "student_temperature",
    "teacher_temperature": "teacher_temperature",
    "warmup_teacher_temperature": "warmup_teacher_temperature",
    "warmup_teacher_temperature_epochs": "warmup_teacher_epochs",
    "queue_size": "queue_size",
}
SIZES = {"projector_hidden": 10, "projector_out": 6}


class Features(nn.Module):
    """Stands for an encoder where only the number of its features counts."""

    def __init__(self, features_dim):
        super().__init__()
        self.features_dim = features_dim
        self.weight = nn.Parameter(torch.zeros(1))


def build(name, features_dim=6, n_classes=2, epochs=EPOCHS, **hyper):
    torch.manual_seed(0)
    defaults = METHODS[name].DEFAULTS
    sizes = {key: value for key, value in SIZES.items() if key in defaults}
    return METHODS[name](Features(features_dim), n_classes, epochs, {**defaults, **sizes, **hyper})


def loss(method, features, targets=()):
    return method.loss(features, targets, torch.zeros(len(features[0]), dtype=torch.long))


def ours(name):
    """Return the name that a tensor of solo-learn's class has here."""
    name = name.replace("momentum_head.", "momentum_projector.").replace("head.", "projector.")
    name = name.replace("dino_loss_func.", "criterion.").replace("last_layer.weight_v", "prototypes.weight")
    return name.replace("momentum_projector.", "momentum_projector.network.")


@pytest.mark.parametrize("name", CLASSES)
def test_a_step_is_that_of_solo_learns_class(solo, name):
    saved = load_file(solo.folder / f"{name}.safetensors")
    chosen = {HYPER[key]: value for key, value in CLASSES[name][2].items() if key in HYPER}
    method = build(name, features_dim=512, **chosen)
    weights = {ours(key.removeprefix("state.")): value for key, value in saved.items() if key.startswith("state.")}
    if name == "moco":
        method.queues.copy_(weights["queue"])
    own = method.state_dict()
    shared = {key: value for key, value in weights.items() if key in own}
    trained = {key for key, parameter in method.named_parameters()}
    assert trained - {k for k in trained if "momentum_encoder" in k} <= shared.keys()
    method.load_state_dict(shared, strict=False)

    features = [saved[f"features.{i}"].requires_grad_() for i in range(2)]
    targets = [saved[f"targets.{i}"] for i in range(2)]
    method.train().begin_epoch(3)
    value = loss(method, features, targets)
    value.backward()
    torch.testing.assert_close(value.detach(), saved["loss"])
    for i, feature in enumerate(features):
        torch.testing.assert_close(feature.grad, saved[f"slope.{i}"])
    gradients = {k.removeprefix("gradient."): v for k, v in saved.items() if k.startswith("gradient.")}
    for key, gradient in gradients.items():
        # of a bias before a normalisation the gradient is rounding alone, which goes with the number of threads
        torch.testing.assert_close(method.get_parameter(ours(key)).grad, gradient, rtol=1e-4, atol=1e-5)
    assert len(gradients) == sum(p.requires_grad for p in method.parameters())
    if name == "moco":
        torch.testing.assert_close(method.queues, saved["after.queue"])
    if name == "dino":
        torch.testing.assert_close(method.criterion.center, saved["after.dino_loss_func.center"])


def ntxent(z1, z2, temperature):
    """NT-Xent written as the papers do, one anchor at a time."""
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    n = len(z)
    total = 0.0
    for i in range(n):
        partner = (i + n // 2) % n
        similarities = [float(z[i] @ z[j]) / temperature for j in range(n)]
        denominator = sum(math.exp(s) for j, s in enumerate(similarities) if j != i)
        total -= similarities[partner] - math.log(denominator)
    return total / n


def views(features_dim=6, n=5):
    torch.manual_seed(1)
    return [torch.randn(n, features_dim) for _ in range(2)]


def test_simclr_loss_is_ntxent_of_the_projections():
    method, features = build("simclr", temperature=0.3), views()
    with torch.no_grad():
        expected = ntxent(*(method.projector(f) for f in features), 0.3)
    assert loss(method, features).item() == pytest.approx(expected, rel=1e-5)


def test_supervised_loss_averages_the_views():
    method, labels = build("supervised", n_classes=3), torch.tensor([0, 1, 2, 1, 0])
    features = views()
    both = F.cross_entropy(method.classifier(torch.cat(features)), labels.repeat(2))
    torch.testing.assert_close(method.loss(features, (), labels), both)


def test_byol_is_zero_where_the_predictor_finds_the_target():
    """2 − 2cos in both directions: 0 where prediction and target agree, 8 where they are opposite."""
    method, (same, _) = build("byol"), views()
    method.projector, method.predictor, method.momentum_projector = nn.Identity(), nn.Identity(), nn.Identity()
    assert loss(method, [same, same], [same, same]).item() == pytest.approx(0, abs=1e-5)
    assert loss(method, [same, same], [-same, -same]).item() == pytest.approx(8, rel=1e-6)


def test_barlow_twins_is_zero_for_equal_whitened_views():
    method = build("barlow", off_diagonal=0.02, loss_scale=0.5)
    method.projector = nn.Identity()
    whitened = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert loss(method, [whitened, whitened]).item() == pytest.approx(0, abs=1e-5)
    # two equal columns: the two off-diagonal correlations are 1
    equal = whitened[:, [0, 0]]
    assert loss(method, [equal, equal]).item() == pytest.approx(0.5 * 2 * 0.02, rel=1e-3)


def test_vicreg_weighs_its_three_terms():
    """Views of two orthogonal columns with variance 4/3: no covariance, no missing variance, a known distance."""
    z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    method = build("vicreg", invariance=3.0, variance=5.0, covariance=7.0)
    method.projector = nn.Identity()
    assert loss(method, [z, z]).item() == pytest.approx(0, abs=1e-6)
    assert loss(method, [z, z + 2]).item() == pytest.approx(3 * 4, rel=1e-6)
    constant = torch.zeros(4, 2)
    assert loss(method, [constant, constant]).item() == pytest.approx(5 * 2 * (1 - 0.01), rel=1e-5)
    equal = z[:, [0, 0]]  # covariance 4/3 between the columns of either view
    assert loss(method, [equal, equal]).item() == pytest.approx(7 * 2 * 2 * (4 / 3) ** 2 / 2, rel=1e-5)


def test_mocos_queue_forgets_the_oldest_keys():
    method = build("moco", queue_size=5)
    method.projector = method.momentum_projector = nn.Identity()
    keys = [F.normalize(torch.randn(2, 6), dim=1) for _ in range(4)]
    for key in keys:
        loss(method, [key, key], [key, -key])
    # two at a time into five places: the last place was filled by the third pair, whose second key began again
    expected = torch.stack([keys[2][1], keys[3][0], keys[3][1], keys[1][1], keys[2][0]], dim=1)
    torch.testing.assert_close(method.queues[0], expected)
    torch.testing.assert_close(method.queues[1], -expected)


def test_more_keys_than_places_keep_the_last():
    method = build("moco", queue_size=3)
    keys = F.normalize(torch.randn(2, 5, 6), dim=2)
    method._enqueue(keys)
    torch.testing.assert_close(method.queues.transpose(1, 2), keys[:, 2:])


def test_moco_repels_the_queue_and_not_the_batch():
    method = build("moco", queue_size=4, temperature=0.5)
    method.projector = method.momentum_projector = nn.Identity()
    queues, (q1, q2), (k1, k2) = method.queues.clone(), views(), views()

    def direction(query, key, queue):
        query, key = F.normalize(query, dim=1), F.normalize(key, dim=1)
        positive = (query * key).sum(1) / 0.5
        return (torch.logsumexp(torch.cat([positive[:, None], query @ queue / 0.5], 1), 1) - positive).mean()

    expected = (direction(q1, k2, queues[1]) + direction(q2, k1, queues[0])) / 2
    torch.testing.assert_close(loss(method, [q1, q2], [k1, k2]), expected)


def test_dinos_prototypes_stay_in_the_first_epochs_and_their_length_does_not_count():
    method, features = build("dino", prototypes=7, frozen_prototypes_epochs=2), views()
    before = method.projector(features[0])
    with torch.no_grad():
        method.projector.prototypes.weight *= 3
    torch.testing.assert_close(method.projector(features[0]), before)
    for epoch, frozen in {0: True, 1: True, 2: False}.items():
        method.zero_grad()
        method.begin_epoch(epoch)
        loss(method, features, features).backward()
        method.after_backward(epoch)
        assert (method.projector.prototypes.weight.grad is None) is frozen


def test_dinos_centre_follows_the_teacher():
    method, features = build("dino", prototypes=7), views()
    method.begin_epoch(0)
    loss(method, features, features)
    teacher = torch.cat([method.momentum_projector(f) for f in features])
    torch.testing.assert_close(method.criterion.center, 0.1 * teacher.mean(0, keepdim=True))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_states_the_optimiser(name):
    assert {"lr", "weight_decay"} <= METHODS[name].DEFAULTS.keys()


def test_a_momentum_network_ends_where_solo_learns_does():
    momentum = _import_bare("solo.utils.momentum")
    torch.manual_seed(0)
    online, reference = nn.Linear(3, 2), nn.Linear(3, 2)
    momentum.initialize_momentum_params(online, reference)
    method = build("byol", base_tau=0.9, final_tau=1.0)
    method.projector, method.momentum_projector = online, Momentum(online)
    updater, steps = momentum.MomentumUpdater(0.9, 1.0), 5
    for step in range(steps):
        with torch.no_grad():
            online.weight += torch.randn(2, 3)
        method.follow(Features(6), step / steps)
        updater.update(online, reference)
        updater.update_tau(step + 1, steps)
    torch.testing.assert_close(method.momentum_projector.network.weight, reference.weight)
    assert not torch.equal(reference.weight, online.weight)


def test_a_momentum_network_normalises_by_its_batch_and_keeps_nothing():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    average, x = Momentum(network), torch.randn(6, 3)
    torch.testing.assert_close(average(x), network.train()(x))
    for mode in (True, False):
        assert torch.equal(average.train(mode)(x), average(x))
    assert not list(average.buffers())
    assert not any(p.requires_grad for p in average.parameters())
    assert not average(x).requires_grad


def test_a_momentum_encoder_has_the_encoders_parameters():
    encoder = build_encoder(2)
    method = BYOL(encoder, 2, 3, {**BYOL.DEFAULTS, **SIZES})
    pairs = zip(encoder.parameters(), method.momentum_encoder.network.parameters(), strict=True)
    assert all(torch.equal(a, b) and a is not b for a, b in pairs)
    with torch.no_grad():
        for p in encoder.parameters():
            p.zero_()
    method.follow(encoder, 0.0)
    at_start = build_encoder(2)
    for name, p in at_start.named_parameters():
        if "bn" in name and name.endswith("weight"):
            torch.testing.assert_close(method.momentum_encoder.network.get_parameter(name), 0.99 * p)


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (SimCLR, {"lr": 0.4, "weight_decay": 1e-5, "temperature": 0.2, "projector_hidden": 2048, "projector_out": 256}),
        (BYOL, {"lr": 1.0, "projector_hidden": 4096, "projector_out": 256}),
        (BarlowTwins, {"lr": 0.3, "weight_decay": 1e-4, "projector_hidden": 2048, "projector_out": 2048}),
    ],
)
def test_the_papers_table_2(cls, expected):
    assert expected.items() <= cls.DEFAULTS.items()


def test_lars_is_left_out_for_moco_and_kept_for_the_papers_methods():
    assert not METHODS["moco"].LARS
    assert all(METHODS[name].LARS for name in ("simclr", "byol", "barlow", "vicreg", "dino", "supervised"))
