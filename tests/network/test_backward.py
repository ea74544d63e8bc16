"""Compiled gradients are bit for bit those of torch's own operations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.network import forward
from lifesim.network.architecture import Conv, MaxPool, load_architecture
from lifesim.network.training import loss_gradients
from lifesim.streams import generator

SIDES = st.tuples(
    st.integers(1, 2), st.integers(1, 3), st.integers(4, 9), st.integers(4, 9), st.integers(1, 4)
)


def gradient_of(function, x, seed):
    leaf = x.clone().requires_grad_()
    result = function(leaf)
    weights = torch.from_numpy(generator(seed).standard_normal(result.shape, np.float32))
    return torch.autograd.grad((result * weights).sum(), leaf)[0]


def both_ways(function, shape, seed, values):
    """The gradient as it is compiled, and torch's, of pictures with so many values: few tie often."""
    x = torch.from_numpy(generator(seed).integers(-values, values, shape).astype(np.float32) / 7)
    with pytest.MonkeyPatch.context() as patch:
        compiled = gradient_of(function, x, seed + 1)
        patch.setattr(forward, "is_learning", lambda x: False)
        return compiled, gradient_of(function, x, seed + 1)


@settings(deadline=None, max_examples=60)
@given(SIDES, st.integers(1, 4), st.integers(0, 2), st.integers(0, 999))
def test_patches(shape, kernel, padding, seed):
    step = Conv("conv", channels=1, kernel=kernel, padding=padding)
    compiled, torchs = both_ways(lambda x: forward.to_rows(step, x), shape, seed, 100)
    assert torch.equal(compiled, torchs)


@settings(deadline=None, max_examples=100)
@given(SIDES, st.integers(1, 4), st.integers(0, 2), st.integers(0, 999), st.integers(1, 100))
def test_maxima_that_tie_share(shape, size, apart, seed, values):
    step = MaxPool(size=size, stride=size + apart)
    compiled, torchs = both_ways(lambda x: forward._max_pool(x, step), shape, seed, values)
    assert torch.equal(compiled, torchs)


def test_what_is_not_a_number_is_passed_on_as_torch_does():
    def damaged(x):
        return forward._max_pool(torch.where(x > 10, torch.nan, x), MaxPool(size=2))

    compiled, torchs = both_ways(damaged, (1, 1, 8, 8, 3), 1, 100)
    assert torchs.count_nonzero() > 48  # both of a pair get what comes to them
    assert torch.equal(compiled, torchs)


def test_overlapping_windows_are_torchs():
    compiled, torchs = both_ways(
        lambda x: forward._max_pool(x, MaxPool(size=3, stride=2)), (1, 2, 7, 7, 2), 3, 2
    )
    assert torch.equal(compiled, torchs)


def test_a_whole_network(monkeypatch):
    architecture, rng = load_architecture("lenet"), generator(5)
    parameters = [
        torch.from_numpy(
            rng.standard_normal((1, layer.fan_in, layer.fan_out), np.float32) / layer.fan_in**0.5
        )
        for layer in architecture.crossbar_layers
    ] + [torch.zeros(layer.fan_out) for layer in architecture.crossbar_layers]
    x = torch.from_numpy(rng.random((4, 28, 28, 1), np.float32)).round(decimals=1)
    labels = torch.arange(4)
    compiled = loss_gradients(architecture, parameters, x, labels)
    monkeypatch.setattr(forward, "is_learning", lambda x: False)
    for ours, torchs in zip(compiled, loss_gradients(architecture, parameters, x, labels), strict=True):
        assert torch.equal(ours, torchs)
