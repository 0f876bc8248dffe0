"""The examples run as their users run them, and reach good answers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
NUMBER = r"([-+.\de]+)"

# What each script needs, what it prints, and between which bounds that must be.
QUALITY = {
    "mnist_by_hand": ("sklearn", rf"^test error {NUMBER}% after", (0.0, 8.0)),
    "mlp_resnet": ("sklearn", rf"^test error {NUMBER}% after", (0.0, 5.0)),
    "poisson": ("scipy", rf"^largest error of u: {NUMBER} after", (0.0, 1e-3)),
    "lotka_volterra": ("scipy", rf"^chi\^2 {NUMBER} for", (0.5, 1.5)),
    "spaced_repetition": ("numpy", rf"^fitted: .* calibration error {NUMBER}%", (0.0, 3.0)),
}


def run(name: str, *arguments: str | Path, status: int = 0) -> str:
    """What the script prints; on stderr if it fails, as it is then expected to."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def found(pattern: str, output: str) -> float:
    match = re.search(pattern, output, flags=re.M)
    assert match is not None, output
    return float(match[1])


def test_every_example_is_tested() -> None:
    assert sorted(QUALITY) == sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", QUALITY)
def test_quality_and_picture(name: str, tmp_path: Path) -> None:
    needs, pattern, (low, high) = QUALITY[name]
    pytest.importorskip(needs)
    pytest.importorskip("matplotlib")
    output = run(name, "--quick", "--plot", tmp_path / "picture.svg")
    assert low <= found(pattern, output) <= high, output
    assert "</svg>" in (tmp_path / "picture.svg").read_text(encoding="utf-8")
    if name == "spaced_repetition":
        start, true, fitted = (
            found(rf"^{fit}: log-loss {NUMBER}", output)
            for fit in ("start", "true parameters", "fitted")
        )
        assert start > true + 0.1
        assert abs(fitted - true) < 0.005
    if name == "lotka_volterra":
        rows = re.findall(rf"^\w+ +{NUMBER} +{NUMBER} +{NUMBER} \+- {NUMBER}$", output, re.M)
        assert len(rows) == 6
        for _, true, value, error in rows:
            assert abs(float(value) - float(true)) < 4 * float(error), output


def test_the_resnet_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    file = tmp_path / "run.safetensors"
    whole = run("mlp_resnet", "--quick", "--epochs", "4")
    begun = run("mlp_resnet", "--quick", "--epochs", "4", "--checkpoint", file, "--stop", "2")
    rest = run("mlp_resnet", "--quick", "--epochs", "4", "--checkpoint", file)
    assert "going on after epoch 2" in rest

    def epochs(output: str) -> list[str]:
        return re.findall(r"^epoch .*$", output, flags=re.M)

    assert epochs(begun) + epochs(rest) == epochs(whole)
    assert len(epochs(whole)) == 4


@pytest.mark.parametrize("name", ["mnist_by_hand", "mlp_resnet"])
def test_a_folder_without_mnist_is_one_line(name: str, tmp_path: Path) -> None:
    output = run(name, "--data", tmp_path / "nowhere", status=1)
    assert output.startswith("error: ")
    assert output.count("\n") == 1
    assert "nowhere" in output


@pytest.mark.parametrize("name", QUALITY)
def test_the_docstring_says_how_to_run_it(name: str) -> None:
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    docstring = source.split('"""')[1]
    assert f"python examples/{name}.py" in docstring
    assert source.index("description=__doc__") > len(docstring)
