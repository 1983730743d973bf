"""Vectors of 32 floats for compiled code: what one link does to a tile of the batch, in as many registers as the machine needs.

LLVM splits a vector of 32 into the registers there are (two of AVX-512, four of AVX2, eight of SSE or NEON). By itself it finds
neither these nor the sums of four products at a time; `narrow` says what that is worth.

`lanes` is None for a whole vector, or the number of its lanes that an array holds from `place` on: the others read as zero and
are not written. numba compiles a function anew for None, so that this costs whole vectors nothing.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model

LANES = 32
_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_ZEROS = ir.Constant(_VECTOR, [0.0] * LANES)
_REORDERED = ("reassoc", "nsz", "contract")  # NaN and infinity stay what they are


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"float32 x {LANES}")


_vector = _Vector()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, frontend_type) -> None:
        super().__init__(manager, frontend_type, _VECTOR)


@intrinsic
def full(context, value):
    """Make a vector with `value` in every lane."""

    def generate(context, builder, signature, arguments):
        first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), arguments[0], ir.Constant(_INT, 0))
        return _shuffle(builder, first, first, [0] * LANES)

    return _vector(types.float32), generate


@intrinsic
def load(context, array, place, lanes):
    """Load the values from flat position `place` of a contiguous float32 array."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        if signature.args[2] == types.none:
            return _unaligned(builder.load(pointer))
        mask = _first_lanes(builder, arguments[2])
        read = _function(builder, "llvm.masked.load", _VECTOR, [pointer.type, _INT, mask.type, _VECTOR], ".p0")
        return builder.call(read, [pointer, ir.Constant(_INT, 4), mask, _ZEROS])

    _check(array)
    return _vector(array, types.intp, _lanes(lanes)), generate


@intrinsic
def store(context, array, place, vector, lanes):
    """Store a vector in a contiguous float32 array, from flat position `place`."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        if signature.args[3] == types.none:
            _unaligned(builder.store(arguments[2], pointer))
        else:
            mask = _first_lanes(builder, arguments[3])
            write = _function(
                builder, "llvm.masked.store", ir.VoidType(), [_VECTOR, pointer.type, _INT, mask.type], ".p0"
            )
            builder.call(write, [arguments[2], pointer, ir.Constant(_INT, 4), mask])
        return context.get_dummy_value()

    _check(array)
    return types.void(array, types.intp, _vector, _lanes(lanes)), generate


@intrinsic
def times(context, left, right):
    """Compute left * right."""
    return _vector(_vector, _vector), lambda context, builder, signature, arguments: builder.fmul(*arguments)


@intrinsic
def times_plus(context, left, right, summand):
    """Compute left * right + summand, rounded once if the machine can."""

    def generate(context, builder, signature, arguments):
        fused = _function(builder, "llvm.fmuladd", _VECTOR, [_VECTOR] * 3)
        return builder.call(fused, arguments)

    return _vector(_vector, _vector, _vector), generate


@intrinsic
def where_positive(context, condition, vector):
    """Set a vector to zero where `condition` is zero or less; where that is not a number, the vector stays as it is."""

    def generate(context, builder, signature, arguments):
        return builder.select(builder.fcmp_ordered("<=", arguments[0], _ZEROS), _ZEROS, arguments[1])

    return _vector(_vector, _vector), generate


@intrinsic
def within(context, vector, lanes):
    """Set a vector to zero outside its first `lanes`."""

    def generate(context, builder, signature, arguments):
        if signature.args[1] == types.none:
            return arguments[0]
        return builder.select(_first_lanes(builder, arguments[1]), arguments[0], _ZEROS)

    return _vector(_vector, _lanes(lanes)), generate


@intrinsic
def total(context, vector):
    """Add up the lanes."""

    def generate(context, builder, signature, arguments):
        return builder.extract_element(_halved(builder, arguments[0], 1), ir.Constant(_INT, 0))

    return types.float32(_vector), generate


@intrinsic
def totals(context, first, second, third, fourth):
    """Add up the lanes of each of four vectors, in little more time than one sum takes."""

    def generate(context, builder, signature, arguments):
        a, b, c, d = (_halved(builder, vector, 8) for vector in arguments)
        sums = _halved(builder, _neighbours(builder, _neighbours(builder, a, b), _neighbours(builder, c, d)), 4)
        # by now: a, b, c, d, each the sum of a half of the vector it was
        return cgutils.pack_array(builder, [builder.extract_element(sums, ir.Constant(_INT, i)) for i in range(4)])

    return types.UniTuple(types.float32, 4)(_vector, _vector, _vector, _vector), generate


def _check(array):
    if not (isinstance(array, types.Array) and array.dtype == types.float32 and array.layout == "C"):
        raise TypingError(f"vectors are of contiguous float32 arrays, not of {array}")


def _lanes(lanes):
    return lanes if lanes == types.none else types.intp


def _halved(builder, vector, lanes):
    """The upper half added to the lower one, until `lanes` are left."""
    while vector.type.count > lanes:
        half = vector.type.count // 2
        lower = _shuffle(builder, vector, vector, range(half))
        upper = _shuffle(builder, vector, vector, range(half, 2 * half))
        vector = builder.fadd(lower, upper, flags=_REORDERED)
    return vector


def _neighbours(builder, left, right):
    """Within every four lanes: the two sums of neighbours in `left`, then those in `right` (an x86 instruction)."""
    count = left.type.count
    even = [place for four in range(0, count, 4) for place in (four, four + 2, count + four, count + four + 2)]
    odd = [place + 1 for place in even]
    return builder.fadd(_shuffle(builder, left, right, even), _shuffle(builder, left, right, odd), flags=_REORDERED)


def _shuffle(builder, left, right, places):
    places = list(places)
    return builder.shuffle_vector(left, right, ir.Constant(ir.VectorType(_INT, len(places)), places))


def _pointer(context, builder, array_type, array, place):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [place]), _VECTOR.as_pointer())


def _unaligned(instruction):
    instruction.align = 4
    return instruction


def _first_lanes(builder, lanes):
    """Whether a lane's number is below `lanes`."""
    numbers = ir.Constant(ir.VectorType(ir.IntType(64), LANES), list(range(LANES)))
    bound = builder.insert_element(ir.Constant(numbers.type, ir.Undefined), lanes, ir.Constant(_INT, 0))
    return builder.icmp_signed("<", numbers, _shuffle(builder, bound, bound, [0] * LANES))


def _function(builder, name, result, arguments, suffix=""):
    function_type = ir.FunctionType(result, arguments)
    return cgutils.get_or_insert_function(builder.module, function_type, f"{name}.v{LANES}f32{suffix}")
