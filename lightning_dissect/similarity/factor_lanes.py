"""Products of factors that never leave the registers; a module that only numba's machine code needs.

A loop over concepts inside a loop over ranks writes its product and reads it again for every few ranks. Vectors of
lanes, one per concept, keep it where it is multiplied, which a compiler does not find out by itself.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from lightning_dissect.compiled import Array
from lightning_dissect.similarity.top_likelihood import LANES

Code = Any
"""A type or a value of the machine code that is being written, or what writes it."""

INDEX = ir.IntType(64)
NARROW = ir.VectorType(ir.FloatType(), LANES)
WIDE = ir.VectorType(ir.DoubleType(), LANES)


def multiply_lanes(probability: Array, rows: Array, slopes: Array, offsets: Array, product: Array) -> None:
    """Multiply as `multiply_factors` does, with as many concepts as there are lanes.

    Args:
        probability: Shape ``(images, LANES)``, float32, contiguous.
        rows: Shape ``(neurons, ranks)``, uint32, contiguous; ``ranks`` a multiple of four.
        slopes: Shape ``(ranks,)``, float32. Four factors are multiplied in float32, their products in float64.
        offsets: Shape ``(ranks,)``, float32.
        product: What is multiplied in place, shape ``(neurons, LANES)``, float64, contiguous.

    """
    for neuron in range(len(rows)):
        multiply_row(probability, rows[neuron], slopes, offsets, product[neuron])


@intrinsic  # type: ignore[untyped-decorator]
def multiply_row(  # noqa: PLR0917
    typing_context: Code,  # noqa: ARG001
    probability: Code,
    rows: Code,
    slopes: Code,
    offsets: Code,
    product: Code,
) -> tuple[Code, Code]:
    """Tell numba the signature of the product of one neuron and how to write its machine code."""
    return types.void(probability, rows, slopes, offsets, product), _write_machine_code


def _write_machine_code(context: Code, builder: Code, signature: Code, arguments: Code) -> Code:
    arrays = [
        context.make_array(kind)(context, builder, argument)
        for kind, argument in zip(signature.args, arguments, strict=True)
    ]
    probability, rows, slopes, offsets, product = (array.data for array in arrays)
    (ranks,) = cgutils.unpack_tuple(builder, arrays[1].shape)

    def number(place: Code, numbers: Code) -> Code:
        return builder.load(builder.gep(numbers, [place]))

    def in_all_lanes(value: Code) -> Code:
        nothing = ir.Constant(NARROW, ir.Undefined)
        first = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))

    def factor(rank: Code) -> Code:
        start = builder.mul(builder.zext(number(rank, rows), INDEX), INDEX(LANES))
        lanes = builder.load(builder.bitcast(builder.gep(probability, [start]), NARROW.as_pointer()), align=4)
        scaled = builder.fmul(lanes, in_all_lanes(number(rank, slopes)), flags=["contract"])
        return builder.fadd(scaled, in_all_lanes(number(rank, offsets)), flags=["contract"])

    room = builder.bitcast(product, WIDE.as_pointer())
    running = cgutils.alloca_once_value(builder, builder.load(room, align=8))
    with cgutils.for_range_slice(builder, INDEX(0), ranks, INDEX(4), INDEX) as (rank, _):
        first, second, third, fourth = (factor(builder.add(rank, INDEX(place))) for place in range(4))
        four = builder.fmul(builder.fmul(first, second), builder.fmul(third, fourth))
        builder.store(builder.fmul(builder.load(running), builder.fpext(four, WIDE)), running)
    builder.store(builder.load(running), room, align=8)
    return context.get_dummy_value()
