"""A residual network of linear layers on MNIST, with the parts of needle.nn and needle.optim.

A residual block adds to its input what a small network makes of it (He et al. 2016):

    x -> relu(x + f(x)),   f = Linear, BatchNorm, ReLU, Dropout, Linear, BatchNorm

so a block that has learned nothing yet passes its input on, and gradients reach the first layer
through the sums undiminished. Batch normalisation (Ioffe and Szegedy 2015) brings each feature to
mean 0 and variance 1 over the batch; dropout (Srivastava et al. 2014) sets a part of the features
to 0 while training. AdamW takes the steps, and their length first rises and then falls to 0 along
half a cosine. The network is that of needle.apps.mlp_resnet, which `needle train mnist` trains too.

    python examples/mlp_resnet.py --checkpoint run.safetensors

writes a checkpoint after each epoch. The same command again goes on from there, to the same weights
bit for bit as if it had never stopped. Where MNIST comes from is said in mnist_by_hand.py.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import needle as ndl
from needle import nn, optim
from needle.apps.mlp_resnet import MLPResNet
from needle.data import DataError, DataLoader, NDArrayDataset, find_mnist, load_digits, load_mnist


def load(folder, quick):
    """Training and test pictures, and their labels: MNIST, or the 8 x 8 digits."""
    if quick:
        return load_digits()
    try:
        return load_mnist(find_mnist(folder, progress=True))
    except DataError as error:
        raise SystemExit(f"error: {error}; --quick needs none") from None


def test_error(model, data):
    model.eval()
    with ndl.no_grad():
        logits = model(ndl.from_numpy(data.test_images)).numpy()
    model.train()
    return float(np.mean(logits.argmax(axis=1) != data.test_labels))


def train(model, loader, optimizer, schedule):
    """One epoch; the mean loss."""
    loss_fn, total = nn.SoftmaxLoss(), 0.0
    for x, y in loader:
        optimizer.reset_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
    return total / len(loader)


def plot(path, curve, rates):
    """Loss and test error by epoch, and the learning rate by step."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.fonttype"] = "none"  # text stays text, and the file small
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.6, 1])
    epochs = np.arange(1, len(curve) + 1)
    losses, errors = np.transpose(curve)
    left.semilogy(epochs, losses, "o-", label="training loss")
    left.semilogy(epochs, errors, "s-", label="test error (fraction wrong)")
    left.set(xlabel="epoch", title="progress")
    left.legend()
    left.grid(which="both", alpha=0.25)
    right.plot(np.linspace(0, epochs[-1], len(rates)), rates, color="tab:green")
    right.set(xlabel="epoch", title="learning rate")
    right.grid(alpha=0.25)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="the folder with the four files of MNIST")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.004, help="the highest learning rate")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", metavar="FILE", help="go on from it, and write it")
    parser.add_argument("--stop", type=int, metavar="EPOCH", help="end early, after this epoch")
    parser.add_argument("--plot", metavar="FILE", help="draw the result: .png, .svg or .pdf")
    parser.add_argument("--quick", action="store_true", help="the 8 x 8 digits")
    options = parser.parse_args()

    data = load(options.data, options.quick)
    np.random.seed(options.seed)
    model = MLPResNet(data.features, hidden_dim=128, num_classes=data.classes)
    pictures = NDArrayDataset(data.train_images, data.train_labels)
    loader = DataLoader(pictures, batch_size=options.batch, shuffle=True)
    steps = options.epochs * len(loader)
    optimizer = optim.AdamW(model.parameters(), lr=options.lr, weight_decay=0.02)
    schedule = optim.schedules.CosineLR(optimizer, steps, warmup_steps=steps // 10)
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    rates = [schedule.at(step, options.lr, 0) for step in range(steps)]
    done, curve = 0, []
    if options.checkpoint and Path(options.checkpoint).exists():
        checkpoint = ndl.load_checkpoint(options.checkpoint, **parts)
        done, curve = checkpoint.epoch, checkpoint.extra["curve"]
        print(f"going on after epoch {done}")
    parameters = sum(parameter.size for parameter in model.parameters())
    print(f"{data.name}: {len(pictures)} to train, {parameters} parameters")
    began = time.perf_counter()
    for epoch in range(done + 1, min(options.epochs, options.stop or options.epochs) + 1):
        loss = train(model, loader, optimizer, schedule)
        curve.append([loss, test_error(model, data)])
        print(f"epoch {epoch}: loss {loss:.4f}, test error {curve[-1][1]:.2%}")
        if options.checkpoint:
            ndl.save_checkpoint(options.checkpoint, **parts, epoch=epoch, extra={"curve": curve})
    print(f"test error {curve[-1][1]:.2%} after {time.perf_counter() - began:.1f} s")
    if options.plot:
        plot(options.plot, curve, rates[: len(curve) * len(loader)])


if __name__ == "__main__":
    main()
