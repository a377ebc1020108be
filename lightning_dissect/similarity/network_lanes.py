"""Sorting networks in registers, a concept per lane; a module that only numba's machine code needs."""

from collections.abc import Callable

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, register_jitable

from lightning_dissect.compiled import Array
from lightning_dissect.similarity.lane_code import INDEX, Code, data_of, in_all_lanes, lanes_at, number_at
from lightning_dissect.similarity.order_bound import LANES, STEP_BITS
from lightning_dissect.similarity.sorting_network import BASE, Comparators, batcher, half_cleaners, mirrored

KEYS = ir.VectorType(ir.IntType(16), LANES)
WIDE = ir.VectorType(ir.IntType(32), LANES)
COSTS = ir.VectorType(ir.FloatType(), LANES)


def bound_costs(levels: Array, places: Array, steps: Array, passes: Array, keys: Array, bounds: Array) -> None:  # noqa: PLR0917
    """Write what the order of concepts costs each neuron at least, in cubes of steps.

    Args:
        levels: How similar each image is to each concept, in the bits above those of a step, shape
            ``(images, LANES)``, uint16, contiguous.
        places: Images of each neuron, least activating first, shape ``(neurons, rows)``, uint32, contiguous. What
            is not an image comes last and has all bits set in ``levels``.
        steps: Their activations, rounded down, of the same shape, uint16, contiguous. What is not an image has all
            bits of a step set.
        passes: What `merging_passes` yields for so many rows.
        keys: Room, shape ``(rows, LANES)``, uint16, contiguous.
        bounds: What is written, shape ``(neurons, LANES)``, float32, contiguous.

    """
    neurons, rows = places.shape
    for neuron in range(neurons):
        own = neuron * rows
        for start in range(0, rows, BASE):
            write_sorted(levels, places, steps, own + start, keys, start)
        for number in range(len(passes) - 1):
            run_pass(keys, passes, number)
        if passes[-1, 0] == 3:
            finish_8(keys, passes[-1, 6], steps, own, bounds, neuron)
        else:
            finish_16(keys, passes[-1, 6], steps, own, bounds, neuron)


@register_jitable  # type: ignore[untyped-decorator]
def run_pass(keys: Array, passes: Array, number: int) -> None:
    """Run one of the passes."""
    levels, is_mirrored, first, second = passes[number, 0], passes[number, 1], passes[number, 2], passes[number, 3]
    apart, block, blocks = passes[number, 4], passes[number, 5], passes[number, 6]
    if is_mirrored and levels == 2:
        merge_4(keys, first, second, apart, block, blocks)
    elif is_mirrored and levels == 3:
        merge_8(keys, first, second, apart, block, blocks)
    elif is_mirrored:
        merge_16(keys, first, second, apart, block, blocks)
    elif levels == 3:
        clean_8(keys, first, second, apart, block, blocks)
    else:
        clean_16(keys, first, second, apart, block, blocks)


@intrinsic  # type: ignore[untyped-decorator]
def write_sorted(  # noqa: PLR0917
    typing_context: Code,  # noqa: ARG001
    levels: Code,
    places: Code,
    steps: Code,
    start: Code,
    keys: Code,
    row: Code,
) -> tuple[Code, Code]:
    """Tell numba how to write the sorted keys of `BASE` images from a start on."""

    def write(context: Code, builder: Code, signature: Code, arguments: Code) -> Code:
        level_data, place_data, step_data, begin, key_data, first = data_of(context, builder, signature, arguments)
        rows = []
        for place in (builder.add(begin, INDEX(offset)) for offset in range(BASE)):
            image = builder.zext(number_at(builder, place_data, place), INDEX)
            level = builder.load(lanes_at(builder, level_data, image, KEYS), align=2)
            rows.append(builder.or_(level, in_all_lanes(builder, number_at(builder, step_data, place), KEYS)))
        _compare(builder, rows, batcher(BASE))
        for offset, keys_of_row in enumerate(rows):
            builder.store(keys_of_row, lanes_at(builder, key_data, builder.add(first, INDEX(offset)), KEYS), align=2)
        return context.get_dummy_value()

    return types.void(levels, places, steps, start, keys, row), write


def _pass(comparators: Comparators, *, is_mirrored: bool) -> Callable[..., None]:
    """Return what runs a pass, see `merging_passes`."""
    half = max(max(pair) for pair in comparators) // 2 + 1

    @intrinsic  # type: ignore[untyped-decorator]
    def run(  # noqa: PLR0917
        typing_context: Code,  # noqa: ARG001
        keys: Code,
        first: Code,
        second: Code,
        apart: Code,
        block: Code,
        blocks: Code,
    ) -> tuple[Code, Code]:
        def write(context: Code, builder: Code, signature: Code, arguments: Code) -> Code:
            data, low, high, shift, size, count = data_of(context, builder, signature, arguments)
            stride = builder.shl(INDEX(1), shift)
            offsets = [builder.mul(stride, INDEX(LANES * number)) for number in range(half)]
            with cgutils.for_range(builder, builder.shl(count, shift)) as step:
                begin = builder.mul(builder.lshr(step.index, shift), size)
                moved = builder.and_(step.index, builder.sub(stride, INDEX(1)))
                places = []
                for start, by in ((low, moved), (high, builder.neg(moved) if is_mirrored else moved)):
                    row = builder.add(builder.add(start, begin), by)
                    numbers = builder.gep(data, [builder.mul(row, INDEX(LANES))])
                    each = (builder.gep(numbers, [offset]) for offset in offsets)
                    places += [builder.bitcast(place, KEYS.as_pointer()) for place in each]
                rows = [builder.load(place, align=2) for place in places]
                _compare(builder, rows, comparators)
                for keys_of_row, place in zip(rows, places, strict=True):
                    builder.store(keys_of_row, place, align=2)
            return context.get_dummy_value()

        return types.void(keys, first, second, apart, block, blocks), write

    step: Callable[..., None] = run
    return step


def _finish(height: int) -> Callable[..., None]:
    """Return what runs the last pass and sums the cubes by which steps differ at least from those of the own order."""

    @intrinsic  # type: ignore[untyped-decorator]
    def run(  # noqa: PLR0917
        typing_context: Code,  # noqa: ARG001
        keys: Code,
        blocks: Code,
        steps: Code,
        start: Code,
        bounds: Code,
        neuron: Code,
    ) -> tuple[Code, Code]:
        def write(context: Code, builder: Code, signature: Code, arguments: Code) -> Code:
            key_data, count, step_data, begin, bound_data, which = data_of(context, builder, signature, arguments)
            total = cgutils.alloca_once_value(builder, ir.Constant(COSTS, [0.0] * LANES))
            with cgutils.for_range(builder, count) as block:
                numbers = [builder.add(builder.mul(block.index, INDEX(height)), INDEX(row)) for row in range(height)]
                rows = [builder.load(lanes_at(builder, key_data, number, KEYS), align=2) for number in numbers]
                _compare(builder, rows, half_cleaners(height))
                for row, number in zip(rows, numbers, strict=True):
                    own = in_all_lanes(builder, number_at(builder, step_data, builder.add(begin, number)), KEYS)
                    builder.store(_plus_cube(builder, builder.load(total), own, row), total)
            builder.store(builder.load(total), lanes_at(builder, bound_data, which, COSTS), align=4)
            return context.get_dummy_value()

        return types.void(keys, blocks, steps, start, bounds, neuron), write

    step: Callable[..., None] = run
    return step


def _plus_cube(builder: Code, total: Code, own: Code, key: Code) -> Code:
    """Add the cube of one less than the difference between a step and that of a key; nothing if they are equal."""
    one = ir.Constant(KEYS, [1] * LANES)
    other = builder.and_(key, ir.Constant(KEYS, [2**STEP_BITS - 1] * LANES))
    smaller, larger = _ordered(builder, own, other)
    _, above = _ordered(builder, builder.sub(larger, smaller), one)
    difference = builder.sitofp(builder.zext(builder.sub(above, one), WIDE), COSTS)
    cube = builder.fmul(builder.fmul(difference, difference), difference, flags=["contract"])
    return builder.fadd(total, cube, flags=["contract"])


def _compare(builder: Code, rows: list[Code], comparators: Comparators) -> None:
    for first, second in comparators:
        rows[first], rows[second] = _ordered(builder, rows[first], rows[second])


def _ordered(builder: Code, first: Code, second: Code) -> tuple[Code, Code]:
    """Return the smaller and the larger value of each lane."""
    less = builder.icmp_unsigned("<", first, second)
    return builder.select(less, first, second), builder.select(less, second, first)


merge_4, merge_8, merge_16 = (_pass(mirrored(rows), is_mirrored=True) for rows in (4, 8, 16))
clean_8, clean_16 = (_pass(half_cleaners(rows), is_mirrored=False) for rows in (8, 16))
finish_8, finish_16 = _finish(8), _finish(16)
