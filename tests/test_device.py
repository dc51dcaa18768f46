"""What a machine without a GPU can say about device handling.

Tensors on torch's meta device have a shape and a device and no values: every operation and every backward pass
runs, and most that mix them with a CPU tensor raise. Fake tensors go further: they claim a device that is not there
("lazy" here: without CUDA, torch cannot run a backward pass on a fake "cuda"), every operation that mixes it with
another one raises, and so does every look at a value, for which the host would have to wait for the device.
"""

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.utils._pytree as pytree
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode
from torch.fx.experimental import _config as fx_config
from torch.utils._python_dispatch import TorchDispatchMode

from influence_lib.device import (
    autocast_dtype,
    doubled,
    float64_device,
    keep_freed_memory,
    resolve_device,
    without_onednn,
)
from influence_lib.errors import InputError
from influence_lib.influence import cross_influence, self_influence
from influence_lib.influence.curvature.approximations import FITTED as OWN
from influence_lib.influence.curvature.kronecker import KINDS, fit
from influence_lib.influence.curvature.problem import FitProblem
from influence_lib.influence.curvature.truncated import truncated_forms
from influence_lib.influence.views.gradients import per_sample_gradients
from influence_lib.influence.views.layers import tracked_layers
from influence_lib.influence.views.losses import two_view_loss
from influence_lib.influence.views.pairs import Pairs
from influence_lib.influence.views.source import GradientSource, gradient_source
from influence_lib.influence.views.two_views import TwoViews
from influence_lib.pretrain import build_encoder
from influence_lib.pretrain.methods import METHODS
from tests.images import noise_images
from tests.influence.conftest import small_net

FAKE = "lazy:0"


class FakeDevice(TorchDispatchMode):
    """Makes whatever is on the fake device a fake tensor, and lets everything else be computed."""

    def __init__(self):
        super().__init__()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        leaves = pytree.tree_leaves((args, kwargs or {}))
        if any(isinstance(x, FakeTensor) or (isinstance(x, torch.device) and x.type == "lazy") for x in leaves):
            with self.fake:
                return func(*args, **kwargs or {})
        return func(*args, **kwargs or {})


def moved(module: nn.Module, *args: Any, memory_format: object = None, **kwargs: Any) -> nn.Module:
    """Do what `nn.Module.to` does, which swaps tensors in place; fake ones cannot be swapped."""
    for part in module.modules():
        tensors: Any
        for tensors in (part._parameters, part._buffers):
            for name, value in tensors.items():
                if value is not None:
                    there = value.detach().to(*args, **kwargs)
                    tensors[name] = nn.Parameter(there) if isinstance(value, nn.Parameter) else there
    return module


@pytest.fixture
def fake_device(monkeypatch) -> Iterator[None]:
    """Offer a device that is not there, and leave out the checks that look at values on purpose."""
    monkeypatch.setattr(nn.Module, "to", moved)
    monkeypatch.setattr("influence_lib.influence.curvature.passes._check_finite", lambda *_: None)
    source = "influence_lib.influence.views.source"
    monkeypatch.setattr(f"{source}.prepare", lambda net, _, there: net.eval().to(there))
    monkeypatch.setattr(f"{source}.counted_layers", lambda net, *_: (tracked_layers(net), None))
    monkeypatch.setattr("influence_lib.influence.scoring.preflight", lambda *_: None)
    monkeypatch.setattr("influence_lib.influence.scoring.checked", lambda by_draw, *_: by_draw)
    # a copy of a fake module has storage that nobody faked
    monkeypatch.setattr("influence_lib.influence.views.pairs.embed", lambda _, images, **__: torch.rand(len(images), 5))
    only_lift = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(…, device=…) makes a CPU tensor and moves it
    try:
        with FakeDevice():
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(only_lift)


def on_meta(build):
    with torch.device("meta"):
        return build()


def test_gradients_stay_on_the_encoders_device():
    encoder = on_meta(lambda: build_encoder(4)).eval()
    left, right = (torch.empty(5, 3, 32, 32, device="meta") for _ in range(2))
    gradients = dict(per_sample_gradients(encoder, left, right))
    assert {g.device.type for g in gradients.values()} == {"meta"}
    assert gradients["backbone.layer4.1.conv2"].shape == (5, 32, 32 * 9)


@pytest.mark.parametrize("method", METHODS)
@fx_config.patch(meta_nonzero_assume_all_nonzero=True)  # type: ignore[attr-defined]  # for solo-learn's masks
def test_losses_stay_on_the_features_device(method):
    head = on_meta(lambda: METHODS[method](build_encoder(2), 3, 5, METHODS[method].DEFAULTS))
    features = [torch.empty(6, 16, device="meta", requires_grad=True) for _ in range(2)]
    targets = [torch.empty(6, 16, device="meta") for _ in range(2)]
    head.begin_epoch(0)
    loss = head.loss(features, targets, torch.zeros(6, dtype=torch.int64, device="meta"))
    loss.backward()
    head.after_backward(0)
    assert loss.device.type == features[0].grad.device.type == "meta"
    assert {value.device.type for value in head.state_dict().values()} == {"meta"}
    assert two_view_loss(*features).device.type == "meta"


def test_a_batch_on_another_device_is_noticed():
    encoder = on_meta(lambda: build_encoder(4)).eval()
    with pytest.raises(RuntimeError, match="device"):
        list(per_sample_gradients(encoder, torch.empty(5, 3, 32, 32), torch.empty(5, 3, 32, 32)))


def fake_source(loss: str = "cosine") -> GradientSource:
    return gradient_source(small_net(2), noise_images(7), TwoViews(loss=loss, views="two", draws=2), device=FAKE)


@pytest.mark.usefixtures("fake_device")
def test_the_fake_device_notices_other_devices_and_looks_at_values():
    """What the tests below rely on."""
    there, here = torch.zeros(3, device=FAKE), torch.zeros(3)
    assert (there + there.new_ones(3)).device == torch.device(FAKE)
    assert (here + 1).tolist() == [1, 1, 1]
    for mixed in (lambda: there + here, lambda: there @ here, lambda: here.index_put_((here.long(),), there)):
        with pytest.raises(RuntimeError, match="device"):
            mixed()
    with pytest.raises(DataDependentOutputException):
        bool(there.sum() > 0)


@pytest.mark.parametrize("fisher", ["empirical", "sampled"])
@pytest.mark.parametrize("loss", ["cosine", "mse", "ntxent"])
@pytest.mark.usefixtures("fake_device")
def test_every_pass_stays_on_the_device(loss, fisher):
    """Covariances, eigenvectors, second moments and scores: no tensor is elsewhere, and the host waits for none."""
    source = fake_source(loss)
    problem = FitProblem(source, source.pairs.spaced(None), fisher)
    for A, S in problem.covariances().values():
        assert A.device == S.device == torch.device(FAKE)
    for curvature in KINDS:
        fitted = fit(problem, curvature, None)
        batch = next(source.pairs.batches(problem.indices))
        forms = dict(fitted.forms(source.factors(batch)))
        halves = list(fitted.halves(source.factors(batch)))
        assert {str(t.device) for t in (batch.left, batch.right, *forms.values(), *halves)} == {FAKE}
        assert all(values.shape == (7,) for values in forms.values())


@pytest.mark.parametrize("curvature", OWN)
@pytest.mark.usefixtures("fake_device")
def test_scores_come_back_from_the_device(curvature):
    by_draw = self_influence(small_net(1), noise_images(7), curvature=curvature, draws=2, device=FAKE, progress=False)
    assert isinstance(by_draw, FakeTensor)
    assert by_draw.device.type == "cpu"
    assert by_draw.shape == (2, 7)


@pytest.mark.parametrize("fisher", ["empirical", "sampled"])
@pytest.mark.usefixtures("fake_device")
def test_truncated_forms_stay_on_the_device(fisher, monkeypatch):
    # what becomes numbers has no device
    monkeypatch.setattr("influence_lib.influence.curvature.truncated._deviation", lambda *compared: compared)
    source = fake_source()
    everything = source.pairs.spaced(None)
    forms, (banded, single, _) = truncated_forms(FitProblem(source, everything, fisher), everything, 2, None)
    assert {str(values.device) for values in (banded, single)} == {FAKE}
    assert {(str(values.device), tuple(values.shape)) for values in forms.values()} == {(FAKE, (14,))}


@pytest.mark.usefixtures("fake_device")
def test_cross_influence_comes_back_from_the_device(monkeypatch):
    monkeypatch.setattr("influence_lib.influence.cross.preflight", lambda *_: None)
    values = cross_influence(small_net(1), noise_images(3, seed=1), noise_images(7), device=FAKE, progress=False).values
    assert isinstance(values, FakeTensor)
    assert (values.device.type, tuple(values.shape)) == ("cpu", (3, 7))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # looked at by fake tensors
@pytest.mark.parametrize("what", ["views", "a weight", "an eigenvector", "the sums"])
@pytest.mark.usefixtures("fake_device")
def test_a_tensor_that_was_left_behind_is_noticed_in_a_pass(what, monkeypatch):
    source = fake_source()
    problem = FitProblem(source, source.pairs.spaced(None))
    fitted = fit(problem, "ekfac", None).layers["conv2"]
    factors = dict(source.factors(next(source.pairs.batches(problem.indices))))["conv2"]
    if what == "views":
        monkeypatch.setattr(Pairs, "_moved", lambda _, view: view)
    elif what == "a weight":
        source.encoder.head.bias = nn.Parameter(torch.zeros(5))
    elif what == "an eigenvector":
        object.__setattr__(fitted.basis, "inputs", torch.eye(18).repeat(2, 1, 1))
    else:
        monkeypatch.setattr(FakeTensor, "new_zeros", lambda _, *shape: torch.zeros(*shape))
    with pytest.raises(RuntimeError, match="device"):
        fitted.quadratic_form(factors) if what == "an eigenvector" else problem.covariances()


def test_auto_is_what_the_machine_has(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="device is 'cuda', but this machine has no CUDA device"):
        resolve_device("cuda")
    with pytest.raises(InputError, match="device is 'gpu'"):
        resolve_device("gpu")


MAPPED = """
import resource, torch
from influence_lib.device import keep_freed_memory
keep_freed_memory()
for i in range(40):
    if i == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**22)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt")
def test_freed_memory_is_kept_for_the_next_tensors():
    """Otherwise the kernel maps every page of each tensor anew, 16 MiB. In a process that does nothing else.

    The first few go to new places, as glibc looks for a little more than it has just been given back.
    """
    mapped = subprocess.run([sys.executable, "-c", MAPPED], check=True, capture_output=True, text=True).stdout
    assert int(mapped) < 20 * 2**24 / 4


@pytest.mark.parametrize(("platform", "asked"), [("linux", 2), ("darwin", 0)])
def test_memory_is_left_alone_where_there_is_no_glibc(monkeypatch, platform, asked):
    calls = []
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=lambda *options: calls.append(options)))
    keep_freed_memory()
    assert len(calls) == asked


def test_auto_precision_is_what_the_hardware_multiplies(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    for native, dtype in ((True, torch.bfloat16), (False, None)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda native=native: {"avx512_bf16": native})
        assert autocast_dtype("auto", cpu) is dtype
    for native, dtype in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda native=native: native)
        assert autocast_dtype("auto", cuda) is dtype


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", None), ("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_precision_is_what_was_asked_for(precision, dtype):
    assert autocast_dtype(precision, torch.device("cpu")) is dtype


def test_an_unknown_precision_is_named():
    with pytest.raises(InputError, match="precision is 'int8', but it must be one of 'auto', 'fp32', 'bf16', 'fp16'"):
        autocast_dtype("int8", torch.device("cpu"))


def test_float64_is_computed_where_there_is_one():
    assert float64_device(torch.device("mps")) == torch.device("cpu")
    assert float64_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
    values = doubled(torch.tensor([1.0, 1 / 3]))
    assert (values.dtype, values.device.type) == (torch.float64, "cpu")
    assert torch.equal(values.float(), torch.tensor([1.0, 1 / 3]))


def test_onednn_is_off_for_a_while_and_then_as_it_was():
    before = torch.backends.mkldnn.enabled
    with without_onednn():
        assert not torch.backends.mkldnn.enabled
        with without_onednn():
            pass
        assert not torch.backends.mkldnn.enabled
    assert torch.backends.mkldnn.enabled == before
