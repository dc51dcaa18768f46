import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from influence_lib.pretrain import build_encoder
from influence_lib.pretrain.patchconv import MIN_CHANNELS, PatchConv2d, PatchConvolution, use_patch_convolutions


@settings(deadline=None, max_examples=30)
@given(
    size=st.integers(3, 9),
    channels=st.integers(1, 4),
    out=st.integers(1, 4),
    stride=st.sampled_from([1, 2, 3]),
    padding=st.sampled_from([0, 1, 2]),
    kernel=st.sampled_from([1, 2, 3]),
)
def test_value_and_gradients_are_the_convolutions(size, channels, out, stride, padding, kernel):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, channels, size, size, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(out, channels, kernel, kernel, generator=generator, dtype=torch.float64, requires_grad=True)
    expected = F.conv2d(x, weight, stride=stride, padding=padding)
    got = PatchConvolution.apply(x, weight, stride, padding)
    torch.testing.assert_close(got, expected)
    direction = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad(got, (x, weight), direction), torch.autograd.grad(expected, (x, weight), direction)
    )


def test_only_bfloat16_takes_the_other_path(monkeypatch):
    layer = PatchConv2d(2, 3, 3, padding=1, bias=False)
    x = torch.randn(1, 2, 5, 5)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, padding=1))
    half = layer(x.bfloat16())
    assert half.dtype is torch.bfloat16
    torch.testing.assert_close(half.float(), layer(x), rtol=0.05, atol=0.05)
    monkeypatch.setattr(PatchConvolution, "apply", lambda *args: pytest.fail("float32 took the bfloat16 path"))
    layer(x)


def test_the_last_stage_of_the_papers_network_is_changed_and_nothing_else():
    torch.manual_seed(0)
    encoder = build_encoder(64).eval()
    x, names = torch.rand(2, 3, 32, 32), list(encoder.state_dict())
    with torch.no_grad():
        before = encoder(x)
        use_patch_convolutions(encoder)
        assert torch.equal(encoder(x), before)
    changed = {name for name, module in encoder.named_modules() if isinstance(module, PatchConv2d)}
    assert changed == {f"backbone.layer4.{block}.conv{i}" for block in (0, 1) for i in (1, 2)}
    assert list(encoder.state_dict()) == names
    small = nn.Sequential(nn.Conv2d(4, MIN_CHANNELS - 1, 3))
    use_patch_convolutions(small)
    assert type(small[0]) is nn.Conv2d
