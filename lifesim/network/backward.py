"""Gradients through what a network does between its multiplications, compiled: patches and poolings.

Bit for bit those of torch's own operations in ``forward``, which go over the activations many times more. On the CPU; elsewhere torch's are used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch

_options = dict(nogil=True, cache=True, error_model="numpy")
_compiled = numba.njit(**_options, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def is_learning(x: torch.Tensor) -> bool:
    """Return whether gradients of ``x`` are asked for that can be had here."""
    return x.requires_grad and torch.is_grad_enabled() and x.device.type == "cpu" and x.dtype == torch.float32


class Patches(torch.autograd.Function):
    """``patches(x, kernel)``: vectors [K, m * positions, kernel * kernel * channels] of x [K, m, height, width, channels]."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, kernel: int, patches: Callable[[torch.Tensor, int], torch.Tensor]
    ) -> torch.Tensor:
        ctx.shape, ctx.kernel = x.shape, kernel
        return patches(x, kernel)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        out = torch.empty(ctx.shape)
        _add_up(gradient.contiguous().view(-1).numpy(), ctx.kernel, out.flatten(0, 1).numpy())
        return out, None, None


class MaxPooled(torch.autograd.Function):
    """``pool(x)``: maxima of windows of ``size`` by ``size``, ``stride`` >= size apart, rows first; ties share the gradient as the maxima of pairs do."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, size: int, stride: int, pool: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.size, ctx.stride = size, stride
        return pool(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (x,) = ctx.saved_tensors
        out = torch.zeros(x.shape)
        pictures = (t.flatten(0, 1).numpy() for t in (x.contiguous(), gradient.contiguous(), out))
        _share_out(*pictures, ctx.size, ctx.stride)
        return out, None, None, None


@numba.njit(**_options)
def _add_up(gradient: Any, kernel: int, out: Any) -> None:
    """``out`` [n, height, width, channels] = sums of patches, those of a row of patches first, each from the first position to the last."""
    n, height, width, channels = out.shape
    rows, columns = height - kernel + 1, width - kernel + 1
    line, run = width * channels, kernel * channels
    of_rows = np.empty(rows * kernel * line, np.float32)
    flat, at = out.reshape(-1), 0
    for picture in range(n):
        of_rows[:] = 0.0
        for row in range(rows):
            for column in range(columns):
                for down in range(kernel):
                    first = (row * kernel + down) * line + column * channels
                    _add(of_rows[first : first + run], gradient[at : at + run])
                    at += run
        of_picture = flat[picture * height * line : (picture + 1) * height * line]
        of_picture[:] = 0.0
        for row in range(rows):
            # The lines that a patch covers follow one another.
            _add(
                of_picture[row * line : (row + kernel) * line],
                of_rows[row * kernel * line : (row + 1) * kernel * line],
            )


@_compiled
def _add(to: Any, what: Any) -> None:
    for i in range(len(to)):
        to[i] += what[i]


@numba.njit(**_options)
def _share_out(x: Any, gradient: Any, out: Any, size: int, stride: int) -> None:
    """``out`` [n, height, width, channels], zeros, gets the ``gradient`` of windows of x where x is largest."""
    n, height, width, channels = x.shape
    rows, columns = gradient.shape[1:3]
    # A window that lies wholly beyond the border has nothing to give a gradient to.
    covered_rows, covered_columns = min(rows, -(-height // stride)), min(columns, -(-width // stride))
    x, gradient, out = x.reshape(-1), gradient.reshape(-1), out.reshape(-1)
    line = width * channels
    # Along a run of each: the largest of the first, of the first two, ... entries of windows.
    of_rows, of_columns = np.empty(size * line, np.float32), np.empty(size * channels, np.float32)
    for picture in range(n):
        for row in range(covered_rows):
            high = min(size, height - row * stride)
            window = (picture * height + row * stride) * line
            _find(x[window:], high, line, of_rows)
            largest, to = of_rows[(high - 1) * line : high * line], out[window:]
            for column in range(covered_columns):
                wide, begin = min(size, width - column * stride), column * stride * channels
                _find(largest[begin:], wide, channels, of_columns)
                given = ((picture * rows + row) * columns + column) * channels
                for c in range(channels):
                    to[begin + c] = gradient[given + c]
                _part(largest[begin:], wide, channels, of_columns, to[begin:])
            _part(x[window:], high, line, of_rows, to)


@_compiled
def _find(x: Any, count: int, run: int, largest: Any) -> None:
    """``largest`` [count, run]: of each entry of a run, the largest of the first, of the first two, ... of x [count, run]."""
    for i in range(run):
        largest[i] = x[i]
    for i in range(run, count * run):
        a, b = largest[i - run], x[i]
        largest[i] = b if b > a or b != b else a


@_compiled
def _part(x: Any, count: int, run: int, largest: Any, out: Any) -> None:
    """Part gradients, in the first run of ``out`` [count, run]: of two the larger gets all, each half where they are equal; the last two first."""
    for k in range((count - 1) * run, 0, -run):
        for i in range(run):
            a, b, whole = largest[k - run + i], x[k + i], out[i]
            share = whole * np.float32(0.5) if a == b else whole
            out[i] = np.float32(0.0) if a < b else share
            out[k + i] = np.float32(0.0) if a > b else share
