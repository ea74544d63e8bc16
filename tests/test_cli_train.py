"""``lifesim train``: trains once, says how well and where; mistakes are one line and exit status 2."""

import gzip
import struct

import numpy as np
import pytest

from lifesim.cli import main
from lifesim.network.datasets import load_dataset


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("LIFESIM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    load_dataset.cache_clear()


BRIEF = ["train", "mlp", "mnist5k", "--set", "epochs=1"]


def test_it_trains_once_and_says_how_well(tmp_path, capsys):
    assert main(BRIEF) == 0
    first = capsys.readouterr().out
    assert "mlp on mnist5k, seed 0: trained (" in first and "52,544 weights" in first
    accuracy = float(first.split("spec")[1].split("%")[0])
    assert accuracy > 70 and "of 1,000 pictures" in first
    (path,) = (tmp_path / "cache").glob("*.safetensors")
    assert first.endswith(f"Kept in {path}\n")
    assert main([*BRIEF, "--format", "per_layer"]) == 0
    again = capsys.readouterr().out
    assert "from the cache" in again
    assert float(again.split("spec")[1].split("%")[0]) == pytest.approx(accuracy, abs=0.5)
    assert "fc1           Q0.15  784 x 64, 1 positions, 0.0" in first


def test_it_reads_a_directory_and_tells_how_a_network_of_ones_own_does(tmp_path, capsys):
    rng = np.random.default_rng(1)
    for part, count in (("train", 20), ("t10k", 4)):
        labels = np.repeat(np.arange(10, dtype=np.uint8), count)
        pictures = rng.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
        for what, array in (("images-idx3", pictures), ("labels-idx1", labels)):
            head = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (tmp_path / f"{part}-{what}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    (tmp_path / "own_nets_for_train.py").write_text(
        "from torch import nn\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"
    )
    command = ["train", "own_nets_for_train:make", "mnist", "--data-dir", "."]
    assert main([*command, "--set", "epochs=1"]) == 0
    assert "of 20 pictures" in capsys.readouterr().out
    assert main([*command, "--set", "pretrained=true"]) == 0
    out = capsys.readouterr().out
    assert "not trained: its own weights" in out and "Kept" not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mpl", "mnist5k"], 'preset = "mpl": no such network preset'),
        (["mlp", "mnist5"], "did you mean 'mnist5k'"),
        (["mlp", "cifar10"], "mlp takes 1 x 28 x 28; allowed: mnist5k, mnist"),
        (["mlp", "mnist5k", "--format", "Q2.2"], 'format = "Q2.2": must be "global"'),
        (["mlp", "mnist5k", "--set", "epochs=0"], "epochs = 0: must be a whole number from 1 up to 10000"),
        (["mlp", "mnist5k", "--set", "epoch=3"], "did you mean 'epochs'"),
        (["nobody.has:this", "mnist5k"], "no module 'nobody'"),
        (["mlp", "mnist", "--data-dir", "nowhere"], "no such directory: nowhere"),
    ],
)
def test_mistakes_are_one_line(arguments, says, capsys):
    assert main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lifesim: error: ") and error.count("\n") == 1 and says in error
