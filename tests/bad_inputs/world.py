"""A folder with one good example of everything that commands read, made through the commands."""

import hashlib
import os
from pathlib import Path

import h5py
import numpy as np
from netx_files import write_experiment
from raw_recordings import labels, moving_scene, write_raw
from recordings import write_network, write_recordings
from typer.testing import CliRunner

from ann2sdnn.ann.architectures import DHP19
from ann2sdnn.cli.app import app

TINY_TRAINING = ("--epochs", "1", "--batch-size", "2", "--crop", "32x32")


def make_world(folder: Path) -> Path:
    """Recordings, networks, a conversion, an evaluation, training runs, raw files, user's files."""
    write_recordings(folder / "data", subjects=4)
    write_network(folder / "model.onnx")
    write_experiment(folder / "old.net")
    _write_keras(folder / "weights.model")
    scene = moving_scene(1)
    scene.special(10_000, 10_001, 1_900_000)
    write_raw(folder / "raw", scene, labels(1, 200))
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("years of work\n")
    (folder / "note.txt").write_text("a file\n")
    here = Path.cwd()
    os.chdir(folder)
    try:
        _command("convert", "model.onnx", "--calibrate", "data", "--out", "sdnn", "--frames", "4")
        _command("evaluate", "sdnn", "--data", "data", "--frames", "2")
        run = ("--data", "data", "--out", "run", "--validation-frames", "1")
        _command("train-ann", *run, *TINY_TRAINING)
        fine = ("--data", "data", "--out", "fine", "--validation-frames", "2", "--workers", "0")
        sizes = ("--verified-frames", "2", "--chunk-frames", "2", "--chunks", "1")
        _command("train-sdnn", "sdnn", *fine, *sizes, *TINY_TRAINING)
        small = ("--subjects", "1", "--movements", "1", "--frames", "8", "--kinds", "walk")
        _command("synth", "sequences.pt", "--format", "dhp19-sdnn", *small)
        overlapping = ("--hop-events", "15000", "--normalise", "fixed")
        _command("synth", "hops", *small, *overlapping)
    finally:
        os.chdir(here)
    return folder


def contents(folder: Path) -> dict[str, str]:
    """What lies in ``folder``: a hash of every file, the target of every link, "/" for a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_dir():
            found[name] = "/"
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _command(*arguments: str) -> None:
    done = CliRunner().invoke(app, arguments)
    if done.exit_code:
        raise AssertionError(f"{' '.join(arguments)}: {done.output} {done.exception!r}")


def _write_keras(path: Path) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for layer in DHP19.layers:
            channels = (layer.in_channels, layer.out_channels)
            shape = (3, 3, *(reversed(channels) if layer.transposed else channels))
            kernel = rng.normal(size=shape).astype(np.float32)
            file[f"model_weights/{layer.name}/{layer.name}/kernel:0"] = kernel
