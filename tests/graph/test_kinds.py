"""The linear operations of the package, and their registry."""

import pytest
import torch
import torch.nn.functional as F
from kind_checks import KindCase, check_kind

from ann2sdnn.graph.geometry import Pads, Shape
from ann2sdnn.graph.kinds import (
    Convolution,
    Dense,
    Geometry,
    TransposedConvolution,
    kind,
    kind_named,
)
from ann2sdnn.graph.kinds.kind import _KINDS
from ann2sdnn.support.errors import ModelError

SHAPE: Shape = (4, 6, 7)
CASES = [
    KindCase(Convolution(pads=(1, 1, 1, 1)), SHAPE, (3, 4, 3, 3)),
    KindCase(Convolution((2, 1), (0, 2, 1, 0), (1, 2), 2), SHAPE, (6, 2, 3, 2)),
    KindCase(Convolution(groups=4), SHAPE, (4, 1, 2, 2)),
    KindCase(TransposedConvolution((2, 2), (0, 0, 1, 1)), SHAPE, (4, 3, 3, 3)),
    KindCase(TransposedConvolution((2, 3), (1, 0, 0, 1), (1, 2), 2, (1, 2)), SHAPE, (4, 3, 4, 2)),
    KindCase(Dense(), SHAPE, (5, 4 * 6 * 7)),
]


def test_every_kind_of_the_package_is_checked() -> None:
    own = {cls for cls in _KINDS.values() if cls.__module__.startswith("ann2sdnn.")}
    assert own == {type(case.geometry) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.geometry.name)
def test_a_kind_agrees_with_itself(case: KindCase) -> None:
    check_kind(case)


@pytest.mark.parametrize(
    ("name", "former", "cls"),
    [
        ("conv", "Convolution", Convolution),
        ("conv-t", "TransposedConvolution", TransposedConvolution),
        ("dense", "Dense", Dense),
    ],
)
def test_kinds_are_known_by_their_name_and_by_the_former_one(
    name: str, former: str, cls: type[Geometry]
) -> None:
    assert kind_named(name) is kind_named(former) is cls
    assert cls.name == name


def test_unknown_and_taken_names_are_refused() -> None:
    with pytest.raises(ModelError, match="a linear operation other; expected one of conv"):
        kind_named("other")
    with pytest.raises(ValueError, match="conv is registered already"):
        kind("conv")(Dense)


def test_average_inputs_per_neuron() -> None:
    assert Convolution(groups=2).fan_in((6, 2, 3, 2)) == 12
    # 16 taps with stride 2: each output meets 4 of them.
    assert TransposedConvolution(stride=(2, 2)).fan_in((3, 5, 4, 4)) == 12
    assert TransposedConvolution(stride=(2, 2), groups=3).fan_in((3, 5, 4, 4)) == 4
    assert Dense().fan_in((5, 168)) == 168


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 0)])
def test_a_strided_1x1_kernel_learns_where_channels_are_last(pads: Pads) -> None:
    """Without care torch 2.3 writes outside its memory, which ends the process or goes unseen."""
    geometry = Convolution(stride=(2, 2), pads=pads)
    x = torch.randn(2, 6, 64, 80, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(8, 6, 1, 1, generator=torch.Generator().manual_seed(1)).requires_grad_()
    for _ in range(5):
        weight.grad = None
        last = x.contiguous(memory_format=torch.channels_last).requires_grad_()
        y = geometry.linear(last, weight)
        torch.autograd.backward(y.square().sum())
    top, left, bottom, right = pads
    seen = F.pad(x.double(), (left, right, top, bottom))[:, :, ::2, ::2]
    expected = torch.einsum("nchw,oc->nohw", seen, weight.detach().double()[:, :, 0, 0])
    torch.testing.assert_close(y.double(), expected, rtol=1e-4, atol=1e-5)
    gradient = 2 * torch.einsum("nohw,nchw->oc", expected, seen)[:, :, None, None]
    torch.testing.assert_close(weight.grad, gradient.float(), rtol=1e-4, atol=1e-2)
