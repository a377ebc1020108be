"""Products of factors that never leave the registers; a module that only numba's machine code needs.

A loop over concepts inside a loop over ranks would write its product and read it again for every few ranks.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from lightning_dissect.compiled import Array
from lightning_dissect.similarity.lane_code import INDEX, Code, data_of, in_all_lanes, lanes_at, number_at
from lightning_dissect.similarity.top_likelihood import LANES

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
    probability, rows, slopes, offsets, product = data_of(context, builder, signature, arguments)
    shape = context.make_array(signature.args[1])(context, builder, arguments[1]).shape
    (ranks,) = cgutils.unpack_tuple(builder, shape)

    def factor(rank: Code) -> Code:
        row = builder.zext(number_at(builder, rows, rank), INDEX)
        lanes = builder.load(lanes_at(builder, probability, row, NARROW), align=4)
        slope, offset = (in_all_lanes(builder, number_at(builder, each, rank), NARROW) for each in (slopes, offsets))
        return builder.fadd(builder.fmul(lanes, slope, flags=["contract"]), offset, flags=["contract"])

    room = builder.bitcast(product, WIDE.as_pointer())
    running = cgutils.alloca_once_value(builder, builder.load(room, align=8))
    with cgutils.for_range_slice(builder, INDEX(0), ranks, INDEX(4), INDEX) as (rank, _):
        first, second, third, fourth = (factor(builder.add(rank, INDEX(place))) for place in range(4))
        four = builder.fmul(builder.fmul(first, second), builder.fmul(third, fourth))
        builder.store(builder.fmul(builder.load(running), builder.fpext(four, WIDE)), running)
    builder.store(builder.load(running), room, align=8)
    return context.get_dummy_value()
