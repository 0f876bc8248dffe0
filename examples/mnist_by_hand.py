"""A network of two layers on MNIST, with nothing but tensors, `backward` and an update.

Pictures are the rows of X, flattened to 784 numbers in [0, 1]. The network computes

    H = relu(X W1 + b1),    Z = H W2 + b2

and the ten numbers Z of a picture become probabilities by softmax: p_k = exp(Z_k) / sum_j exp(Z_j).
The loss is the mean of -log p_y over the pictures of a batch, where y is the true class:

    loss = mean(log sum_j exp(Z_j) - Z_y)

`loss.backward()` leaves the derivative by each weight in its `.grad`, and a step of stochastic
gradient descent goes a little against it: w <- w - lr dloss/dw. The weights start at random with
variance 2 / (inputs of the layer), which keeps the size of the numbers from layer to layer
(He et al. 2015).

    python examples/mnist_by_hand.py --plot curve.svg

MNIST is looked for in --data, in the folder that NEEDLE_DATA names and in the user's cache folder,
and is downloaded otherwise. Without a network, or with --quick, it is the 8 x 8 digits of
scikit-learn.
"""

import argparse
import time

import numpy as np

import needle as ndl
from needle.data import DataError, DataLoader, NDArrayDataset, find_mnist, load_digits, load_mnist


def load(folder, quick):
    """Training and test pictures, and their labels."""
    if quick:
        return load_digits()
    try:
        return load_mnist(find_mnist(folder, progress=True))
    except DataError as error:
        if folder is not None:
            raise SystemExit(f"error: {error}") from None
        print(f"no MNIST ({error}); the 8 x 8 digits instead")
        return load_digits()


def start(features, hidden, classes, rng):
    """Weights and biases at their start, in the order W1, b1, W2, b2."""
    first = rng.normal(scale=(2 / features) ** 0.5, size=(features, hidden))
    second = rng.normal(scale=(2 / hidden) ** 0.5, size=(hidden, classes))
    arrays = (first, np.zeros(hidden), second, np.zeros(classes))
    return [ndl.Tensor(array, dtype="float32") for array in arrays]


def network(x, weights):
    w1, b1, w2, b2 = weights
    return ndl.relu(x @ w1 + b1) @ w2 + b2


def softmax_loss(logits, labels):
    """The mean of -log p[label]; a row of the identity picks the logit of the label."""
    one_hot = np.eye(logits.shape[1], dtype=np.float32)[labels]
    return (ndl.logsumexp(logits, axes=1) - (logits * one_hot).sum(axes=1)).mean()


def test_error(data, weights):
    """The fraction of test pictures that the network answers wrongly."""
    with ndl.no_grad():
        logits = network(ndl.from_numpy(data.test_images), weights)
    return float(np.mean(logits.numpy().argmax(axis=1) != data.test_labels))


def train(data, weights, epochs, lr, batch, rng):
    """Stochastic gradient descent; gives the loss and the test error after each epoch."""
    pictures = NDArrayDataset(data.train_images, data.train_labels)
    loader = DataLoader(pictures, batch_size=batch, shuffle=True, rng=rng)
    for epoch in range(1, epochs + 1):
        losses = []
        for x, y in loader:
            loss = softmax_loss(network(x, weights), y.numpy())
            loss.backward()
            for w in weights:
                w.data = w - lr * w.grad  # new values in the same object, and no history
            losses.append(loss.item())
        yield epoch, np.mean(losses), test_error(data, weights)


def plot(path, data, weights, curve):
    """The learning curve, and test pictures that are answered wrongly."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.fonttype"] = "none"  # text stays text, and the file small
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.15, 1])
    axes = left.add_subplot(xlabel="epoch", ylabel="loss, error", yscale="log")
    epochs, losses, errors = zip(*curve, strict=True)
    axes.plot(epochs, losses, "o-", label="training loss")
    axes.plot(epochs, errors, "s-", label="test error (fraction wrong)")
    axes.legend()
    axes.grid(which="both", alpha=0.25)
    logits = network(ndl.from_numpy(data.test_images), weights)
    answers = logits.numpy().argmax(axis=1)
    wrong = np.flatnonzero(answers != data.test_labels)[:15]
    right.suptitle("some wrong answers: answer (truth)", fontsize="medium")
    for axes, i in zip(right.subplots(3, 5).flat, [*wrong, *[None] * 15], strict=False):
        axes.axis("off")
        if i is not None:
            axes.imshow(data.test_images[i].reshape(data.rows, data.columns), cmap="gray_r")
            axes.set_title(f"{answers[i]} ({data.test_labels[i]})", fontsize="small")
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="the folder with the four files of MNIST")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--hidden", type=int, default=100, help="units of the hidden layer")
    parser.add_argument("--lr", type=float, default=0.2, help="learning rate")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", metavar="FILE", help="draw the result: .png, .svg or .pdf")
    parser.add_argument("--quick", action="store_true", help="the 8 x 8 digits")
    options = parser.parse_args()

    data = load(options.data, options.quick)
    rng = np.random.default_rng(options.seed)
    weights = start(data.features, options.hidden, data.classes, rng)
    print(f"{data.name}: {len(data.train_labels)} to train, {len(data.test_labels)} to test")
    began, curve = time.perf_counter(), []
    for epoch, loss, error in train(data, weights, options.epochs, options.lr, options.batch, rng):
        print(f"epoch {epoch}: loss {loss:.4f}, test error {error:.2%}")
        curve.append((epoch, loss, error))
    print(f"test error {curve[-1][2]:.2%} after {time.perf_counter() - began:.1f} s")
    if options.plot:
        plot(options.plot, data, weights, curve)


if __name__ == "__main__":
    main()
