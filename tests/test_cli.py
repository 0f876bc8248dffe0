"""The console command: what it prints, writes and refuses."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tqdm

import needle as ndl
from needle.apps.training import Settings, Trainer
from needle.cli import main, run
from needle.data import load_mnist
from needle.files import written_whole


def one_line_error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr, without its beginning, when nothing was trained."""
    output = capsys.readouterr()
    assert "epoch" not in output.out
    lines = output.err.splitlines()
    assert len(lines) == 1, output.err
    assert lines[0].startswith("needle: error: ")
    return lines[0].removeprefix("needle: error: ")


def test_lines_of_a_run(train, tiny_mnist, capsys):
    assert train() == 0
    output = capsys.readouterr()
    assert output.err == ""
    lines = output.out.splitlines()
    assert lines[0] == f"MNIST from {tiny_mnist}: 250 training and 60 test images of 6 x 5"
    assert lines[1] == "30-8-10 ReLU network, softmax loss, SGD lr 0.1, batch 100, seed 0"
    reports = list(Trainer(load_mnist(tiny_mnist), Settings(hidden=8, epochs=2, lr=0.1)).run())
    for line, report in zip(lines[2:4], reports, strict=True):
        assert re.fullmatch(
            rf"epoch {report.epoch}/2  loss {report.loss:.4f}  "
            rf"test error {100 * report.test_error:.2f} %  \d+\.\d\d s",
            line,
        )
    assert lines[4:] == [f"test error {100 * reports[1].test_error:.2f} %"]


def test_the_posts_values_are_the_defaults():
    assert Settings() == Settings(hidden=100, epochs=5, lr=0.2, batch=100, seed=0)


def test_options_reach_the_training(train, tiny_mnist, tmp_path, capsys):
    saved = tmp_path / "weights.npz"
    assert train("--batch", "70", "--seed", "9", "--save", str(saved)) == 0
    trainer = Trainer(
        load_mnist(tiny_mnist), Settings(hidden=8, epochs=2, lr=0.1, batch=70, seed=9)
    )
    list(trainer.run())
    weights = ndl.load(saved)
    assert sorted(weights) == ["W1", "W2"]
    for name, weight in trainer.model.state_dict().items():
        assert weights[name].dtype == np.float32
        np.testing.assert_array_equal(weights[name].numpy(), weight.numpy())
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == f"weights after 8 steps written to {saved}"
    assert lines[-1].startswith("test error ")


def test_lazy_mode_gives_the_same_weights(train, tmp_path, capsys):
    files = tmp_path / "eager.npz", tmp_path / "lazy.npz"
    assert train("--save", str(files[0])) == 0
    assert train("--save", str(files[1]), "--lazy") == 0
    assert "seed 0, lazy" in capsys.readouterr().out
    with np.load(files[0]) as eager, np.load(files[1]) as lazy:
        for name in ("W1", "W2"):
            np.testing.assert_allclose(eager[name], lazy[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors"])
def test_save_over_an_older_file(train, name, tmp_path):
    saved = tmp_path / name
    saved.write_text("older")
    assert train("--save", str(saved)) == 0
    assert ndl.load(saved)["W1"].shape == (30, 8)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny", name]


def test_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def interrupted_half_way() -> None:
        with written_whole(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_half_way()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
    with written_whole(path) as file:
        file.write(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


def test_plot(train, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "curve.png"
    assert train("--plot", str(picture)) == 0
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")
    # No backend with windows, nothing global.
    assert "matplotlib.pyplot" not in sys.modules


def test_plot_without_matplotlib(train, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert train("--plot", str(tmp_path / "curve.png")) == 1
    assert one_line_error(capsys) == (
        "--plot needs matplotlib; pip install 'needle-autodiff[plot]'"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch", "0"], "Invalid value for '--batch': 0 is not in the range x>=1"),
        (["--batch", "ten"], "Invalid value for '--batch': 'ten' is not a valid integer"),
        (["--epochs", "-1"], "Invalid value for '--epochs': -1 is not in the range x>=1"),
        (["--epochs", "0"], "Invalid value for '--epochs': 0 is not in the range x>=1"),
        (["--hidden", "0"], "Invalid value for '--hidden': 0 is not in the range x>=1"),
        (["--lr", "nan"], "Invalid value for '--lr': nan is not a finite number"),
        (["--lr", "inf"], "Invalid value for '--lr': inf is not a finite number"),
        (["--lr", "0"], "Invalid value for '--lr': 0.0 is not in the range x>0"),
        (["--lr", "-0.2"], "Invalid value for '--lr': -0.2 is not in the range x>0"),
        (["--seed", "-1"], "Invalid value for '--seed': -1 is not in the range"),
        (["--seed", "4294967296"], "Invalid value for '--seed': 4294967296 is not in the range"),
        (["--dataset", "cifar"], "Invalid value for '--dataset': 'cifar' is not one of"),
        (["--data", "nowhere"], "Invalid value for '--data': Directory 'nowhere' does not exist"),
        (["--dataset", "digits"], "--data is a folder with MNIST: it does not go with digits"),
        (["--save", "nowhere/w.npz"], "Invalid value for '--save': the folder "),
        (["--save", "."], "Invalid value for '--save': "),
        (["--save", os.devnull], f"Invalid value for '--save': {os.devnull} is not a regular file"),
        (["--plot", "nowhere/c.png"], "Invalid value for '--plot': the folder "),
        (["--plot", "curve.xyz"], "Invalid value for '--plot': curve.xyz: a file name that ends"),
        (["--save", "weights"], "Invalid value for '--save': weights: a file name that ends in"),
        (["--save", "w.npz", "--log", "w.npz"], "--save and --log name the same file"),
        (["--checkpoint", "w.npz", "--save", "./w.npz"], "--save and --checkpoint name the same"),
        (["--checkpoint", "run.json"], "Invalid value for '--checkpoint': run.json: a file name"),
        (["--resume", "nowhere.npz"], "Invalid value for '--resume': File 'nowhere.npz' does not"),
        (["--log", "."], "Invalid value for '--log': "),
        (["--model", "cnn"], "Invalid value for '--model': 'cnn' is not one of"),
        (["--optimizer", "newton"], "Invalid value for '--optimizer': 'newton' is not one of"),
        (["--schedule", "steps"], "Invalid value for '--schedule': 'steps' is not one of"),
        (["--weight-decay", "-1"], "Invalid value for '--weight-decay': -1.0 is not in the range"),
        (["--weight-decay", "nan"], "Invalid value for '--weight-decay': nan is not a finite"),
        (["--patience", "0"], "Invalid value for '--patience': 0 is not in the range x>=1"),
        (["--model", "softmax"], "--hidden does not go with --model softmax"),
        (["--bogus"], "No such option"),
        (["stray"], "Got unexpected extra argument"),
    ],
)
def test_bad_option_is_one_line_before_training(train, arguments, message, monkeypatch, capsys):
    monkeypatch.chdir(Path(__file__).parent)
    assert train(*arguments) == 2
    assert one_line_error(capsys).startswith(message)


def test_save_into_a_folder_that_is_not_writable(train, tmp_path, monkeypatch, capsys):
    # By a stand-in: root, as which tests run in containers, may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    assert train("--save", str(tmp_path / "w.npz")) == 2
    assert one_line_error(capsys).endswith(f"the folder {tmp_path} is not writable")


@pytest.mark.skipif(sys.platform == "win32", reason="no limit for sizes of files there")
@pytest.mark.parametrize("option", ["--save w.npz", "--checkpoint w.safetensors", "--log l"])
def test_no_room_for_a_file_is_one_line_that_names_it(option, train, tmp_path, capsys):
    import resource

    name, file = option.split()
    target = tmp_path / file
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        status = train(name, str(target))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 1
    assert capsys.readouterr().err == f"needle: error: {target}: File too large\n"
    assert {path.name for path in tmp_path.iterdir()} <= {"tiny", "l"}


def test_closed_stderr(tiny_mnist, run_python):
    code = f"""
import sys
sys.stderr = None  # as Python has it where the descriptor is closed
from needle.cli import run
sys.exit(run(["train", "mnist", "--epochs", "1", "--data", {str(tiny_mnist)!r}]))
"""
    done = run_python(code)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("test error ")


def test_unknown_command(capsys):
    assert run(["train", "minst"]) == 2
    assert "No such command 'minst'" in one_line_error(capsys)


def test_damaged_data_is_one_line(train, tiny_mnist, capsys):
    path = tiny_mnist / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    assert train() == 1
    assert one_line_error(capsys) == f"{path}: truncated: a complete gzip file was expected"


def test_empty_folder_in_the_environment_is_no_reason_to_fall_back(tmp_path, monkeypatch, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("NEEDLE_DATA", str(empty))
    assert run(["train", "mnist"]) == 1
    assert one_line_error(capsys).startswith(f"{empty}: train-images-idx3-ubyte.gz")


def test_not_enough_memory_is_one_line(train, capsys):
    assert train("--hidden", str(10**13)) == 1
    assert capsys.readouterr().err.startswith("needle: error: out of memory")


def test_loss_that_is_not_finite_is_one_line(train, tmp_path, capsys):
    saved = tmp_path / "w.npz"
    assert train("--lr", "1e30", "--save", str(saved)) == 1
    assert "try a smaller learning rate than 1e+30" in one_line_error(capsys)
    assert not saved.exists()


def test_defect_of_ours_is_one_line_too(train, monkeypatch, capsys):
    def broken(folder: Path) -> None:
        raise TypeError("two\nlines")

    monkeypatch.setattr("needle.cli.options.load_mnist", broken)
    assert train() == 1
    assert one_line_error(capsys) == "TypeError: two lines (NEEDLE_TRACEBACK=1 shows where)"
    monkeypatch.setenv("NEEDLE_TRACEBACK", "1")
    with pytest.raises(TypeError):
        train()


@pytest.fixture
def nothing_here(monkeypatch, tmp_path):
    """No MNIST on this machine, and no network."""
    pooch = pytest.importorskip("pooch")
    monkeypatch.delenv("NEEDLE_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "user" / project)


def test_falls_back_to_digits_and_says_so_in_one_line(nothing_here, capsys):
    assert run(["train", "mnist"]) == 0
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert line.startswith("no MNIST: cannot download train-images-idx3-ubyte.gz (http://127.0.0.1")
    assert line.endswith("taking the 8 x 8 digits instead")
    lines = output.out.splitlines()
    assert lines[0].startswith("digits from scikit-learn: 1437 training and 360 test images")
    assert lines[1].startswith("64-100-10 ReLU network")
    # They are real: a network that learnt nothing would be wrong nine times in ten.
    assert float(lines[-1].split()[2]) < 12


def test_dataset_mnist_never_falls_back(nothing_here, capsys):
    assert run(["train", "mnist", "--dataset", "mnist"]) == 1
    assert one_line_error(capsys).startswith("cannot download train-images-idx3-ubyte.gz")


def test_no_scikit_learn_to_fall_back_to(nothing_here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert run(["train", "mnist"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("needle: error: the 8 x 8 digits need scikit-learn")


def test_progress_bar_on_a_terminal_only(train, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("tqdm.tqdm", functools.partial(tqdm.tqdm, mininterval=0))
    assert train() == 0
    output = capsys.readouterr()
    assert "epoch 1/2:" in output.err
    shown = re.findall(
        r"epoch \d/2: [ \d]{3}%\|[^\r]*?\| [\d.k]+ images/s, \d\d:\d\d left, loss \d\.\d{4}, "
        r"error \d+\.\d\d %",
        output.err,
    )
    assert shown
    assert max(map(len, shown)) <= 85  # with a bar of 10, which has less where 80 is all there is
    assert len(output.out.splitlines()) == 5
    assert train("--no-progress") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [[], ["--help"], ["train"], ["train", "mnist", "-h"], ["eval", "-h"], ["predict", "-h"]],
)
def test_help(arguments, capsys):
    assert run(arguments) == 0
    assert capsys.readouterr().out.startswith("Usage: needle")


def test_main_exits_with_the_status(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["nonsense"])
    assert caught.value.code == 2


def test_python_m_needle():
    done = subprocess.run(
        [sys.executable, "-m", "needle", "--version"], capture_output=True, text=True, check=True
    )
    assert re.match(r"needle, version \d+\.\d+", done.stdout)


def test_a_circle_of_links_is_no_file_to_write(train, tmp_path, capsys):
    circle = tmp_path / "w.npz"
    circle.symlink_to("w.npz")
    for option in ("--save", "--checkpoint"):
        assert train(option, str(circle)) == 2
        assert "is a link in a circle of links" in one_line_error(capsys)
    assert train("--resume", str(circle)) == 2
    assert "does not exist" in one_line_error(capsys)
