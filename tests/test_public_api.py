"""The names of the package, and what happens on import (CONTRACT 1, 13)."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

import needle as ndl

RunPython = Callable[..., subprocess.CompletedProcess[str]]

NAMES = {
    "needle": """Op Tensor TensorOp TensorTuple TensorTupleOp Value NDArray cpu cuda cpu_numpy
        default_device
        all_devices ones zeros ones_like zeros_like ops init autograd data from_numpy from_dlpack
        lazy no_grad empty_cache get_num_threads set_num_threads show_config
        ShapeError DTypeError AxisError GradError FileFormatError save load save_checkpoint
        load_checkpoint""",
    "needle.autograd": """Op TensorOp TensorTupleOp Value Tensor TensorTuple NDArray Device cpu
        all_devices array_api find_topo_sort topo_sort_dfs compute_gradient_of_variables
        sum_node_list LAZY_MODE TENSOR_COUNTER""",
    "needle.ops": """add multiply divide power add_scalar mul_scalar divide_scalar power_scalar
        matmul summation mean max min sqrt abs sin cos sigmoid maximum minimum where equal
        not_equal less less_equal greater greater_equal astype softmax log_softmax concat getitem
        broadcast_to reshape negate log exp relu tanh transpose logsumexp logsoftmax make_tuple
        tuple_get_item fused_add_scalars stack split EWiseAdd EWiseMul EWiseDiv EWisePow AddScalar
        MulScalar DivScalar PowerScalar MatMul Summation Mean Max Min Sqrt Abs Sin Cos Sigmoid
        BroadcastTo Reshape Negate Log Exp ReLU Tanh Transpose LogSumExp LogSoftmax
        MakeTensorTuple TupleGetItem FusedAddScalars Stack Split""",
    "needle.init": """rand randn constant ones zeros randb one_hot zeros_like ones_like
        xavier_uniform xavier_normal kaiming_uniform kaiming_normal""",
    "needle.data": """Dataset DataLoader NDArrayDataset MNISTDataset CIFAR10Dataset Transform
        RandomFlipHorizontal RandomCrop Subset random_split Batch DataError""",
    "needle.saving": "save load save_checkpoint load_checkpoint Checkpoint",
    "needle.backend_selection": """BACKEND array_api NDArray Device all_devices cpu cuda cpu_numpy
        default_device""",
    "needle.apps.simple_ml": "parse_mnist softmax_loss nn_epoch loss_err",
    "needle.apps.mlp_resnet": "ResidualBlock MLPResNet epoch train_mnist",
    "needle.nn": """Module Parameter Identity Flatten Linear ReLU GELU SiLU Tanh Sigmoid LeakyReLU
        Softmax Sequential Residual Dropout BatchNorm1d LayerNorm1d LayerNorm RMSNorm Embedding
        SoftmaxLoss MSELoss L1Loss HuberLoss BCEWithLogitsLoss functional""",
    "needle.testing": "gradient_check",
}


@pytest.mark.parametrize("module", NAMES)
def test_names(module: str) -> None:
    found = importlib.import_module(module)
    missing = [name for name in NAMES[module].split() if not hasattr(found, name)]
    assert missing == []


@pytest.mark.parametrize("name", NAMES["needle.ops"].split())
def test_a_name_of_ops_is_one_object(name: str) -> None:
    assert getattr(ndl, name) is getattr(ndl.ops, name)
    assert getattr(ndl, name).__doc__


def test_the_classes_are_the_same_everywhere() -> None:
    for name in ("Op", "Tensor", "TensorOp", "TensorTuple", "TensorTupleOp", "Value", "NDArray"):
        assert getattr(ndl, name) is getattr(ndl.autograd, name)
    for name in ("ones", "zeros", "ones_like", "zeros_like"):
        assert getattr(ndl, name) is getattr(ndl.init, name)
    assert issubclass(ndl.Tensor, ndl.Value)
    assert issubclass(ndl.TensorTuple, ndl.Value)
    assert issubclass(ndl.TensorOp, ndl.Op)
    assert issubclass(ndl.TensorTupleOp, ndl.Op)
    assert issubclass(ndl.EWiseAdd, ndl.TensorOp)
    assert issubclass(ndl.Split, ndl.TensorTupleOp)
    assert ndl.NDArray is np.ndarray
    assert ndl.autograd.array_api is np


def test_a_star_import_leaves_pythons_names_alone() -> None:
    for module in ("needle", "needle.ops"):
        names: dict[str, object] = {}
        exec(f"from {module} import *", names)
        assert names["relu"] is ndl.relu
        assert not {"max", "min", "abs", "sum"} & set(names)
    assert set(ndl.__all__) <= set(dir(ndl))
    assert len(ndl.__all__) == len(set(ndl.__all__))


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        ndl.nonsense  # noqa: B018
    with pytest.raises(ImportError):
        exec("from needle import nonsense")
    assert not hasattr(ndl, "__wrapped__")


def test_import_is_silent(run_python: RunPython) -> None:
    done = run_python(
        "import needle, needle.autograd, needle.ops, needle.init, needle.data, needle.apps"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_import_loads_no_heavy_library(run_python: RunPython) -> None:
    code = "import sys, {}; print(*sys.modules)"
    numpys, loaded = (set(run_python(code.format(m)).stdout.split()) for m in ("numpy", "needle"))
    heavy = {"sklearn", "scipy", "matplotlib", "pooch", "requests", "torch"}
    # Some versions of NumPy import `numpy.random` when it is first used.
    heavy |= {"numpy.random", "safetensors", "multiprocessing"}
    heavy |= {"needle.nn", "needle.data", "needle.saving"}
    assert "numpy" in loaded
    assert not (loaded - numpys) & heavy


@pytest.mark.parametrize(
    ("value", "error"),
    [("np", None), ("nd", "NotImplementedError"), ("cuda", "RuntimeError"), ("", "RuntimeError")],
)
def test_backend_variable(value: str, error: str | None, run_python: RunPython) -> None:
    done = run_python(
        "import needle; print(needle.backend_selection.BACKEND)", NEEDLE_BACKEND=value
    )
    if error is None:
        assert (done.returncode, done.stdout.strip()) == (0, value)
    else:
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(error)


def test_the_default_backend_is_numpy() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "NEEDLE_BACKEND"}
    code = "import needle; print(needle.backend_selection.BACKEND)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.stdout.strip() == b"np"


def test_devices() -> None:
    device = ndl.cpu()
    assert device == ndl.cpu() == ndl.default_device() == ndl.Tensor([1]).device
    assert device in ndl.all_devices()
    assert str(device) == repr(device) == "cpu()"
    assert ndl.cpu_numpy() == device
    assert ndl.cuda() != device
    assert not ndl.cuda().enabled()
    with pytest.raises(TypeError, match=r"device: expected cpu\(\), got"):
        ndl.Tensor([1.0], device=ndl.cuda())
    assert device.name == "cpu"
    assert device.enabled() is True
    assert device != "cpu"
    assert len({ndl.cpu(), ndl.cpu()}) == 1


@pytest.mark.parametrize(
    "act",
    [
        lambda: ndl.zeros(10**15),
        lambda: ndl.init.ones(10**8, 10**8),
        lambda: ndl.Tensor([1.0]).broadcast_to((10**8, 10**8)) * 2,
        lambda: ndl.Tensor(np.zeros((10**7, 1))) + ndl.Tensor(np.zeros((1, 10**7))),
        lambda: ndl.Tensor(np.zeros((10**7, 1))) @ ndl.Tensor(np.zeros((1, 10**7))),
        lambda: ndl.stack([ndl.Tensor([1.0]).broadcast_to((10**14,))] * 2),
        lambda: ndl.Tensor([1.0]).broadcast_to((2**62,)).exp(),
        lambda: ndl.Tensor([1.0]).broadcast_to((10**15,)).astype("float32"),
    ],
)
def test_what_does_not_fit_in_memory_is_a_memory_error(act: object) -> None:
    with pytest.raises(MemoryError):
        act()
    assert (ndl.Tensor([1.0]) + 1).item() == 2


def test_a_memory_error_says_shape_and_bytes() -> None:
    x = ndl.Tensor([1.0], dtype="float32").broadcast_to((10**15,))
    with pytest.raises(MemoryError) as caught:
        x * 2
    assert str(caught.value) == (
        "cannot allocate 4000000000000000 bytes for an array of shape (1000000000000000,) "
        "and dtype float32"
    )


def test_everything_public_is_documented() -> None:
    for name in ndl.__all__:
        assert getattr(ndl, name).__doc__, name
    for name in ("backward", "detach", "numpy", "grad", "data", "shape", "dtype", "sum", "reshape"):
        assert getattr(ndl.Tensor, name).__doc__, name
    assert "(" in ndl.Tensor.backward.__text_signature__
    assert ndl.__version__.count(".") == 2
