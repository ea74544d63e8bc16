"""A product of matrices in which all sums stay in registers: what a compiled loop over arrays would store and load again at every step.

Written in LLVM's vectors (Goto and van de Geijn's inner kernel, ACM TOMS 34, 2008): twelve sums of eight floats for the sixteen registers of AVX2, eight sums of
sixteen for AVX-512. Other processors get the loop of AVX2 in their own vectors.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

PICTURES = 16
OUTPUTS, _LANES = (8, 16) if binding.get_host_cpu_features().get("avx512f") else (6, 8)
HALF = OUTPUTS // 2
_VECTOR = ir.VectorType(ir.FloatType(), _LANES)
_INDEX = ir.IntType(64)


@intrinsic
def multiply(
    typingctx: Any, weights: Any, first: Any, x: Any, origin: Any, taps: Any, count: Any, out: Any, at: Any, apart: Any
) -> Any:  # fmt: skip
    """out[at + i apart + p] = sum over t < count of weights[first + OUTPUTS t + i] x[origin + taps[t] + p], for i < OUTPUTS and p < PICTURES.

    ``weights``, ``x``, ``out``: float32 arrays; ``taps``: int64. Nothing is checked.
    """
    return _product(OUTPUTS, weights, x, taps, out)


@intrinsic
def multiply_half(
    typingctx: Any, weights: Any, first: Any, x: Any, origin: Any, taps: Any, count: Any, out: Any, at: Any, apart: Any
) -> Any:  # fmt: skip
    """The same for i < HALF: of a tile whose other outputs are not there."""
    return _product(HALF, weights, x, taps, out)


def _product(outputs: int, weights: Any, x: Any, taps: Any, out: Any) -> Any:
    """Return the signature of a product of so many outputs, and what generates its code."""
    signature = types.void(
        weights, types.int64, x, types.int64, taps, types.int64, out, types.int64, types.int64
    )

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        def pointer(number: int, offset: ir.Value | None = None) -> ir.Value:
            kind = signature.args[number]
            data = context.make_array(kind)(context, builder, arguments[number]).data
            return data if offset is None else builder.gep(data, [offset])

        def plus(value: ir.Value, constant: int) -> ir.Value:
            return builder.add(value, ir.Constant(_INDEX, constant))

        def vector_at(base: ir.Value, offset: ir.Value) -> ir.Value:
            return builder.bitcast(builder.gep(base, [offset]), _VECTOR.as_pointer())

        def spread(number: ir.Value) -> ir.Value:
            lane = builder.insert_element(
                ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0)
            )
            everywhere = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)
            return builder.shuffle_vector(lane, ir.Constant(_VECTOR, ir.Undefined), everywhere)

        _, first, _, origin, _, count, _, at, apart = arguments
        rows, columns, offsets, results = pointer(0, first), pointer(2, origin), pointer(4), pointer(6, at)
        # A name for vectors, which llvmlite's own declaration of intrinsics does not have.
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fmuladd.v{_LANES}f32"
        )
        vectors = range(PICTURES // _LANES)
        sums = [
            cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, [0.0] * _LANES))
            for _ in range(outputs)
            for _ in vectors
        ]  # which LLVM promotes to registers
        for total in sums:
            builder.store(ir.Constant(_VECTOR, [0.0] * _LANES), total)
        with cgutils.for_range(builder, count) as loop:
            tap = builder.load(builder.gep(offsets, [loop.index]))
            inputs = [builder.load(vector_at(columns, plus(tap, _LANES * j)), align=4) for j in vectors]
            row = builder.gep(rows, [builder.mul(loop.index, ir.Constant(_INDEX, OUTPUTS))])
            for i in range(outputs):
                weight = spread(builder.load(builder.gep(row, [ir.Constant(_INDEX, i)])))
                for j in vectors:
                    total = sums[i * len(vectors) + j]
                    builder.store(builder.call(multiply_add, [weight, inputs[j], builder.load(total)]), total)
        for i in range(outputs):
            start = builder.mul(apart, ir.Constant(_INDEX, i))
            for j in vectors:
                total = builder.load(sums[i * len(vectors) + j])
                builder.store(total, vector_at(results, plus(start, _LANES * j)), align=4)
        return context.get_dummy_value()

    return signature, generate
