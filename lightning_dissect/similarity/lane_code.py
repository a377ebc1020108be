"""What loops over lanes share: words of the machine code that numba is given; a module that only numba needs.

A compiler keeps values in registers over many steps only where it is told to. Vectors of lanes, one per concept, tell
it.
"""

from typing import Any

from llvmlite import ir

Code = Any
"""A type or a value of the machine code that is being written, or what writes it."""

INDEX = ir.IntType(64)


def data_of(context: Code, builder: Code, signature: Code, arguments: Code) -> list[Code]:
    """Return where the data of each argument begins that is an array, and the other arguments as they are."""
    return [
        context.make_array(kind)(context, builder, argument).data if hasattr(kind, "dtype") else argument
        for kind, argument in zip(signature.args, arguments, strict=True)
    ]


def number_at(builder: Code, numbers: Code, place: Code) -> Code:
    """Return one of some numbers."""
    return builder.load(builder.gep(numbers, [place]))


def lanes_at(builder: Code, numbers: Code, row: Code, lanes: Code) -> Code:
    """Return where the lanes of a row begin."""
    return builder.bitcast(builder.gep(numbers, [builder.mul(row, INDEX(lanes.count))]), lanes.as_pointer())


def in_all_lanes(builder: Code, value: Code, lanes: Code) -> Code:
    """Return a vector that holds a value in every lane."""
    nothing = ir.Constant(lanes, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes.count), [0] * lanes.count)
    return builder.shuffle_vector(first, nothing, zeros)
