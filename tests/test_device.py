"""What a machine without a GPU can say about device handling.

Tensors on torch's meta device have a shape and a device and no values: every operation and every backward pass
runs, and one that mixes them with a CPU tensor raises.
"""

import pytest
import torch

from influence_lib.device import autocast_dtype, resolve_device
from influence_lib.errors import InputError
from influence_lib.influence.gradients import per_sample_gradients
from influence_lib.influence.losses import two_view_loss
from influence_lib.pretrain import build_encoder
from influence_lib.pretrain.methods import METHODS


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
def test_losses_stay_on_the_features_device(method):
    head = on_meta(lambda: METHODS[method](16, 3, METHODS[method].DEFAULTS))
    features = [torch.empty(6, 16, device="meta", requires_grad=True) for _ in range(2)]
    loss = head.loss(features, torch.zeros(6, dtype=torch.int64, device="meta"))
    loss.backward()
    assert loss.device.type == features[0].grad.device.type == "meta"
    assert two_view_loss(*features).device.type == "meta"


def test_a_batch_on_another_device_is_noticed():
    encoder = on_meta(lambda: build_encoder(4)).eval()
    with pytest.raises(RuntimeError, match="device"):
        list(per_sample_gradients(encoder, torch.empty(5, 3, 32, 32), torch.empty(5, 3, 32, 32)))


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
