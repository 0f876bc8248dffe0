"""What names of NumPy, PyTorch and others are called in needle.

An expression is written as one would write it after `import needle as ndl`: `a` and `b` are
tensors, other names say what they stand for. A name that needle gets one day needs no entry any
more.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Mapping, Sequence

_CLIP = "ndl.minimum(ndl.maximum(a, low), high)"
_LEAF = "ndl.Tensor([1.0, 2.0])"

OPS: Mapping[str, str] = {
    # Elementwise.
    "absolute": "ndl.abs(a)",
    "cbrt": "ndl.sign(a) * ndl.abs(a) ** (1 / 3)",
    "clamp": _CLIP,
    "clip": _CLIP,
    "cosh": "(ndl.exp(a) + ndl.exp(-a)) / 2",
    "div": "a / b",
    "eq": "a == b",
    "exp2": "2.0**a",
    "expm1": "ndl.tanh(a / 2) * (ndl.exp(a) + 1)",
    "fabs": "ndl.abs(a)",
    "ge": "a >= b",
    "gt": "a > b",
    "le": "a <= b",
    "log10": "ndl.log(a) / math.log(10)",
    "log2": "ndl.log(a) / math.log(2)",
    "logaddexp": "ndl.logsumexp(ndl.stack([a, b]), axes=0)",
    "logsigmoid": "-ndl.softplus(-a)",
    "lt": "a < b",
    "masked_fill": "ndl.where(condition, value, a)",
    "mul": "a * b",
    "ne": "a != b",
    "neg": "-a",
    "negative": "-a",
    "pow": "a**2",
    "reciprocal": "1 / a",
    "rsqrt": "a**-0.5",
    "square": "a * a",
    "sub": "a - b",
    "swish": "ndl.silu(a)",
    "tan": "ndl.sin(a) / ndl.cos(a)",
    "true_divide": "a / b",
    # Reductions and products.
    "amax": "ndl.max(a)",
    "amin": "ndl.min(a)",
    "bmm": "a @ b",
    "dot": "a @ b",
    "mm": "a @ b",
    "mv": "a @ b",
    "norm": "ndl.summation(a * a) ** 0.5",
    "std": "ndl.var(a) ** 0.5",
    "sum": "ndl.summation(a)",
    # Shapes.
    "cat": "ndl.concat([a, b])",
    "concatenate": "ndl.concat([a, b])",
    "expand_dims": "a.reshape((1, *a.shape))",
    "flatten": "a.reshape((-1,))",
    "index_select": "ndl.take(a, [0, 1], axis=0)",
    "ravel": "a.reshape((-1,))",
    "squeeze": "a.reshape(tuple(n for n in a.shape if n != 1))",
    "unsqueeze": "a.reshape((1, *a.shape))",
    # Without a derivative: on the array.
    "allclose": "np.allclose(a.numpy(), b.numpy())",
    "argmax": "a.numpy().argmax()",
    "argmin": "a.numpy().argmin()",
    "argsort": "a.numpy().argsort()",
    "array_equal": "np.array_equal(a.numpy(), b.numpy())",
    "ceil": "np.ceil(a.numpy())",
    "floor": "np.floor(a.numpy())",
    "isfinite": "np.isfinite(a.numpy())",
    "isinf": "np.isinf(a.numpy())",
    "isnan": "np.isnan(a.numpy())",
}

MAKERS: Mapping[str, str] = {
    "Variable": _LEAF,
    "arange": "ndl.Tensor(np.arange(3.0))",
    "array": _LEAF,
    "as_tensor": _LEAF,
    "asarray": _LEAF,
    "eye": "ndl.Tensor(np.eye(3))",
    "float32": '"float32"',
    "float64": '"float64"',
    "full": "ndl.init.constant(2, 3, c=0.5)",
    "inference_mode": "ndl.no_grad()",
    "int32": '"int32"',
    "int64": '"int64"',
    "linspace": "ndl.Tensor(np.linspace(0.0, 1.0, 5))",
    "manual_seed": "np.random.seed(0)",
    "normal": "ndl.init.randn(2, 3)",
    "set_grad_enabled": "ndl.enable_grad() or ndl.no_grad()",
    "stop_gradient": "a.detach()",
    "tensor": _LEAF,
}

NETWORKS: Mapping[str, str] = {
    "CrossEntropyLoss": "ndl.nn.SoftmaxLoss()",
    "ModuleDict": "a dict, as in self.parts = {...}",
    "ModuleList": "a list, as in self.layers = [...]",
    "NLLLoss": "ndl.nn.SoftmaxLoss()",
    "ParameterList": "a list, as in self.weights = [...]",
    "SmoothL1Loss": "ndl.nn.HuberLoss()",
    "Swish": "ndl.nn.SiLU()",
    "init": "ndl.init",
    "utils": "ndl.optim.clip_grad_norm",
}

OPTIMIZERS: Mapping[str, str] = {
    "CosineAnnealingLR": "ndl.optim.schedules.CosineLR(optimizer, total_steps=10)",
    "ExponentialLR": "ndl.optim.schedules.StepLR(optimizer, 1, gamma=0.9)",
    "RMSprop": "ndl.optim.RMSProp",
    "ReduceLROnPlateau": "ndl.optim.schedules.ReduceOnPlateau(optimizer)",
    "clip_grad_norm_": "ndl.optim.clip_grad_norm",
    "clip_grad_value_": "ndl.optim.clip_grad_value",
    "lr_scheduler": "ndl.optim.schedules",
}

DATA: Mapping[str, str] = {
    "TensorDataset": "ndl.data.NDArrayDataset",
    "MNIST": "ndl.data.MNISTDataset",
    "CIFAR10": "ndl.data.CIFAR10Dataset",
}

TABLES: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "needle": (OPS, MAKERS),
    "needle.autograd": (MAKERS,),
    "needle.data": (DATA,),
    "needle.init": (MAKERS,),
    "needle.nn": (NETWORKS, OPTIMIZERS),
    "needle.nn.functional": (OPS,),
    "needle.ops": (OPS, MAKERS),
    "needle.optim": (OPTIMIZERS,),
    "needle.optim.schedules": (OPTIMIZERS,),
}

# Where a name may be instead.
_MODULES = (
    "",
    ".nn",
    ".nn.functional",
    ".optim",
    ".optim.schedules",
    ".init",
    ".data",
    ".autograd",
)


def suggestion(module: str, name: str, names: Sequence[str]) -> str:
    """What somebody may have meant who asked the module for that name; empty if nothing is near."""
    for table in TABLES.get(module, ()):
        if name in table:
            return f"did you mean {table[name]}?"
    if _is_package(module) and importlib.util.find_spec(f"{module}.{name}"):
        return f"import {module}.{name}"
    for place in (f"needle{part}" for part in _MODULES):
        if place != module and name in importlib.import_module(place).__all__:
            return f"did you mean {place.replace('needle', 'ndl', 1)}.{name}?"
    plain = {known.lower(): known for known in names}
    if name.lower() in plain:
        return f"did you mean {plain[name.lower()]}?"
    near = difflib.get_close_matches(name.lower(), plain, n=3, cutoff=0.7)
    return f"did you mean {' or '.join(plain[key] for key in near)}?" if near else ""


def _is_package(module: str) -> bool:
    return hasattr(importlib.import_module(module), "__path__")
