"""The course's residual network: its layers, its random numbers, its epochs (CONTRACT 9.3)."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import needle as ndl
from needle import nn, optim
from needle.apps import mlp_resnet
from needle.apps.mlp_resnet import MLPResNet, ResidualBlock, epoch, train_mnist
from needle.data import DataError, DataLoader, MNISTDataset, NDArrayDataset


@pytest.fixture
def mnist(tiny_mnist):
    return MNISTDataset(
        tiny_mnist / "train-images-idx3-ubyte.gz", tiny_mnist / "train-labels-idx1-ubyte.gz"
    )


def kinds(module):
    return [type(inner).__name__ for inner in module]


def test_star_import_gives_the_names():
    names: dict[str, object] = {}
    exec("from needle.apps.mlp_resnet import *", names)
    assert {"ResidualBlock", "MLPResNet", "epoch", "train_mnist"} <= set(names)


@pytest.mark.parametrize(
    ("function", "defaults"),
    [
        (ResidualBlock, {"norm": nn.BatchNorm1d, "drop_prob": 0.1}),
        (
            MLPResNet,
            {
                "hidden_dim": 100,
                "num_blocks": 3,
                "num_classes": 10,
                "norm": nn.BatchNorm1d,
                "drop_prob": 0.1,
            },
        ),
        (epoch, {"opt": None}),
        (
            train_mnist,
            {
                "batch_size": 100,
                "epochs": 10,
                "optimizer": optim.Adam,
                "lr": 0.001,
                "weight_decay": 0.001,
                "hidden_dim": 100,
                "data_dir": "data",
            },
        ),
    ],
)
def test_defaults(function, defaults):
    parameters = inspect.signature(function).parameters.values()
    found = {p.name: p.default for p in parameters if p.default is not p.empty}
    assert list(found.items()) == list(defaults.items())


def test_layers_of_a_block():
    block = ResidualBlock(12, 5, nn.LayerNorm1d, 0.3)
    assert kinds(block) == ["Residual", "ReLU"]
    inner = block[0].fn
    assert kinds(inner) == ["Linear", "LayerNorm1d", "ReLU", "Dropout", "Linear", "LayerNorm1d"]
    assert [inner[0].weight.shape, inner[4].weight.shape] == [(12, 5), (5, 12)]
    assert (inner[1].dim, inner[5].dim, inner[3].p) == (5, 12, 0.3)


def test_layers_of_the_network():
    model = MLPResNet(30, 11, num_blocks=2, num_classes=4, norm=nn.LayerNorm1d, drop_prob=0.4)
    assert kinds(model) == ["Flatten", "Linear", "ReLU", "Sequential", "Sequential", "Linear"]
    assert model[3][0].fn[0].weight.shape == (11, 5)
    assert model[4][0].fn[3].p == 0.4
    assert isinstance(model[4][0].fn[1], nn.LayerNorm1d)
    model.eval()
    assert model(ndl.ones(7, 5, 6, 1)).shape == (7, 4)
    # By hand: what each layer has.
    block = (11 * 5 + 5) + 2 * 5 + (5 * 11 + 11) + 2 * 11
    count = sum(p.size for p in model.parameters())
    assert count == (30 * 11 + 11) + 2 * block + (11 * 4 + 4)


def test_weights_are_drawn_in_the_order_of_execution():
    np.random.seed(8)
    model = MLPResNet(6, 4, num_blocks=2, num_classes=3)
    np.random.seed(8)
    sizes = [(6, 4), (4, 2), (2, 4), (4, 2), (2, 4), (4, 3)]
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    for linear, (inputs, outputs) in zip(linears, sizes, strict=True):
        expected = nn.Linear(inputs, outputs)
        np.testing.assert_array_equal(linear.weight.numpy(), expected.weight.numpy())
        np.testing.assert_array_equal(linear.bias.numpy(), expected.bias.numpy())


def test_forward_by_hand():
    model = MLPResNet(6, 4, num_blocks=1, num_classes=3).eval()
    values = {name: tensor.numpy().astype(float) for name, tensor in model.state_dict().items()}
    x = np.random.RandomState(0).randn(5, 6)

    def linear(x, name):
        return x @ values[f"{name}.weight"] + values[f"{name}.bias"]

    scale = 1 / np.sqrt(1 + 1e-5)  # of a new BatchNorm1d in evaluation
    hidden = np.maximum(linear(x, "modules.1"), 0)
    inner = np.maximum(scale * linear(hidden, "modules.3.modules.0.fn.modules.0"), 0)
    inner = scale * linear(inner, "modules.3.modules.0.fn.modules.4")
    expected = linear(np.maximum(inner + hidden, 0), "modules.4")
    found = model(ndl.Tensor(x, dtype="float32")).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_evaluation_gives_error_rate_and_mean_of_batch_losses(mnist):
    loader = DataLoader(mnist, 100)
    model = MLPResNet(30, 8)
    before = model.state_dict()
    error, loss = epoch(loader, model)
    assert (type(error), type(loss)) == (float, float)
    assert not any(module.training for module in model.modules())
    logits = model(ndl.Tensor(mnist.images)).numpy().astype(float)
    assert error == np.mean(logits.argmax(axis=1) != mnist.labels)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(250), mnist.labels]
    # Of three batches the last is shorter, and counts as much.
    expected = np.mean([losses[:100].mean(), losses[100:200].mean(), losses[200:].mean()])
    assert loss == pytest.approx(expected, rel=1e-5)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())
    assert model.parameters()[0].grad is None


def test_a_training_epoch_is_its_steps_written_out(mnist):
    models, results = [], []
    for by_hand in (False, True):
        np.random.seed(1)
        model = MLPResNet(30, 8)
        optimizer = optim.Adam(model.parameters(), lr=0.01, weight_decay=0.1)
        loader = DataLoader(mnist, 50, shuffle=True)
        if by_hand:
            np.random.seed(4)
            losses, wrong = [], 0
            for x, y in loader:
                logits = model(x)
                loss = nn.SoftmaxLoss()(logits, y)
                loss.backward()
                optimizer.step()
                losses.append(float(loss.numpy()))
                wrong += (logits.numpy().argmax(axis=1) != y.numpy()).sum()
            results.append((wrong / 250, np.mean(losses)))
        else:
            model.eval()
            np.random.seed(77)  # the epoch seeds itself
            results.append(epoch(loader, model, optimizer))
            assert all(module.training for module in model.modules())
        models.append(model.state_dict())
    assert results[0] == pytest.approx(results[1])
    for name, value in models[0].items():
        np.testing.assert_array_equal(value.numpy(), models[1][name].numpy(), err_msg=name)


@pytest.mark.parametrize("trains", [True, False])
def test_a_loss_that_is_not_finite_ends_the_epoch(trains, mnist):
    pictures = mnist.images.copy()
    pictures[60] = np.nan
    model = MLPResNet(30, 8, norm=lambda dim: nn.Identity())
    optimizer = optim.SGD(model.parameters(), lr=0.1) if trains else None
    loader = DataLoader(NDArrayDataset(pictures, mnist.labels), 50)
    with pytest.raises(FloatingPointError, match="the loss is nan in batch 2: expected finite"):
        epoch(loader, model, optimizer)
    assert all(np.isfinite(parameter.numpy()).all() for parameter in model.parameters())


def test_train_mnist_is_its_epochs(tiny_mnist, mnist):
    found = train_mnist(50, 3, optim.SGD, 0.05, 0.001, 12, str(tiny_mnist))
    np.random.seed(4)
    model = MLPResNet(30, 12)
    optimizer = optim.SGD(model.parameters(), lr=0.05, weight_decay=0.001)
    loader = DataLoader(mnist, 50, shuffle=True)
    for _ in range(3):
        trained = epoch(loader, model, optimizer)
    test = MNISTDataset(
        tiny_mnist / "t10k-images-idx3-ubyte.gz", tiny_mnist / "t10k-labels-idx1-ubyte.gz"
    )
    assert found == (*trained, *epoch(DataLoader(test, 50), model))


def test_train_mnist_learns(tiny_mnist):
    train_error, train_loss, test_error, test_loss = train_mnist(
        25, 20, lr=0.01, hidden_dim=20, data_dir=tiny_mnist
    )
    assert max(train_error, test_error) < 0.1
    assert max(train_loss, test_loss) < 0.5


def test_bad_arguments_of_train_mnist(tiny_mnist, tmp_path):
    with pytest.raises(ValueError, match="epochs of 1 or more, got 0"):
        train_mnist(epochs=0, data_dir=tiny_mnist)
    with pytest.raises(ValueError, match="batch_size: expected 1 or more, got 0"):
        train_mnist(batch_size=0, data_dir=tiny_mnist)
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte\.gz"):
        train_mnist(data_dir=tmp_path)
    labels = tiny_mnist / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:-8])
    with pytest.raises(DataError, match="t10k-labels"):
        train_mnist(data_dir=tiny_mnist)


def test_no_name_too_many():
    assert sorted(mlp_resnet.__all__) == ["MLPResNet", "ResidualBlock", "epoch", "train_mnist"]
