"""The typed signatures of an op's function, class and method.

Most ops have one of each. Reductions also take NumPy's `axis` for `axes`, and methods that take
a shape or an order of axes also take several integers: both are overloads.
"""

from __future__ import annotations

from tools.table import OpRow, Param

# A signature is a list of parameters, each as Python writes it.
Signature = list[str]

# What an argument of each kind of parameter may be; the aliases stand in the template.
ARGUMENT = {
    "Scalar": "_Number",
    "Axes": "_Axes",
    "Int": "SupportsIndex",
    "Shape": "_Shape",
    "Bool": "bool",
    "DType": "DTypeLike",
    "Index": "_Index",
}

# What the attribute of an op object is.
ATTRIBUTE = {
    "Scalar": "float",
    "Axes": "int | tuple[int, ...] | None",
    "Int": "int",
    "Shape": "tuple[int, ...]",
    "Bool": "bool",
    "DType": "np.dtype[Any]",
    "Index": "tuple[_Key, ...]",
}


def function(op: OpRow) -> list[Signature]:
    """The signatures of the module-level function."""
    if op.name == "tuple_get_item":
        return [["value: TensorTuple", *_params(op), "*", "fold_const: bool = True"]]
    if op.is_variadic and not op.params:
        return [[f"*{op.operands[0]}: _TensorLike"]]
    if op.is_variadic:
        operands = [f"{op.operands[0]}: TensorTuple | Sequence[_TensorLike]"]
    else:
        operands = [f"{name}: _TensorLike" for name in op.operands]
    if [(param.kind, param.default) for param in op.params] == [("Scalar", None)]:
        # An array where a number is expected becomes an operand.
        return [[*operands, f"{op.params[0].name}: _TensorLike"]]
    return _with_axis(op, operands)


def method(op: OpRow) -> list[Signature]:
    """The signatures of the method of Tensor."""
    operands = ["self", *(f"{name}: _TensorLike" for name in op.operands[1:])]
    if len(op.params) == 1 and op.params[0].kind in ("Axes", "Shape"):
        several = f"*{op.params[0].name}: SupportsIndex"
        return [[*operands, *_params(op)], [*operands, several]]
    return _with_axis(op, operands)


def constructor(op: OpRow) -> Signature:
    """The signature of the class."""
    return ["self", *_params(op)]


def attributes(op: OpRow) -> list[str]:
    """The attributes of op objects: what the constructor was given."""
    return [f"{param.name}: Final[{ATTRIBUTE[param.kind]}]" for param in op.params]


def result(op: OpRow) -> str:
    """The class of the result."""
    return "TensorTuple" if op.is_tuple else "Tensor"


def _with_axis(op: OpRow, operands: Signature) -> list[Signature]:
    signatures = [[*operands, *_params(op)]]
    if op.is_reduction:
        signatures.append([*operands, "*", "axis: _Axes", *_params(op)[1:]])
    return signatures


def _params(op: OpRow) -> Signature:
    return [_param(param) for param in op.params]


def _param(param: Param) -> str:
    default = "" if param.default is None else f" = {param.default}"
    return f"{param.name}: {ARGUMENT[param.kind]}{default}"
