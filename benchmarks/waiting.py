"""Times how threads wait for each other: `python benchmarks/waiting.py --busy 1`, minutes.

By default torch's OpenMP threads spin while they wait for each other. This runs the same work in
one process per setting, alternating, and prints medians: ten convolutions of 32 channels at
130x172, training steps of a small network, compiled passes of numba, and the same convolutions in
ONNX Runtime, whose threads have a setting of their own. ``--busy`` starts other processes that use
a core each. Where the machine is not idle, `chrt -f 10` before the command shows what idle cores
would give.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

CHANNELS, HEIGHT, WIDTH, LAYERS = 32, 130, 172, 10


@dataclass(frozen=True)
class Setting:
    """Variables of the environment that a process starts with."""

    label: str
    variables: dict[str, str]


SETTINGS = (
    Setting("OpenMP's default", {}),
    Setting("GOMP_SPINCOUNT=0", {"GOMP_SPINCOUNT": "0"}),
    Setting("OMP_WAIT_POLICY=passive", {"OMP_WAIT_POLICY": "passive"}),
    Setting("one thread", {"OMP_NUM_THREADS": "1"}),
)
_OF_THREADS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "OMP_NUM_THREADS")


def convolutions() -> Callable[[], object]:
    """Ten convolutions of one picture."""
    import torch

    x = torch.randn(1, CHANNELS, HEIGHT, WIDTH)
    weight = torch.randn(CHANNELS, CHANNELS, 3, 3)

    def run() -> None:
        with torch.no_grad():
            for _ in range(LAYERS):
                torch.nn.functional.conv2d(x, weight, padding=1)

    return run


def training_steps() -> Callable[[], object]:
    """Two steps of a small network on crops of 96x96, eight at a time."""
    import torch

    layers = [torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.ReLU()]
    for _ in range(5):
        layers += [torch.nn.Conv2d(16, 16, 3, padding=1), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers)
    optimiser = torch.optim.Adam(network.parameters())
    x = torch.rand(8, 1, 96, 96)

    def run() -> None:
        for _ in range(2):
            optimiser.zero_grad()
            network(x).square().mean().backward()
            optimiser.step()

    return run


def compiled_passes() -> Callable[[], object]:
    """Fifty parallel passes of numba over the values of one layer."""
    import numba

    from ann2sdnn.sdnn.engine.threads import follow_torch

    @numba.njit(parallel=True)  # type: ignore[untyped-decorator]
    def add(values: Any) -> None:
        for i in numba.prange(len(values)):
            values[i] = values[i] * 0.5 + 1

    follow_torch()
    values = np.zeros(CHANNELS * HEIGHT * WIDTH, np.float32)

    def run() -> None:
        for _ in range(50):
            add(values)

    return run


def onnxruntime_convolutions(*, spinning: bool = True) -> Callable[[], object]:
    """The ten convolutions in ONNX Runtime."""
    import onnx
    import onnxruntime
    import torch
    from onnx import helper, numpy_helper

    weight = np.random.default_rng(0).normal(size=(CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", [f"x{i}", "w"], [f"x{i + 1}"], pads=[1, 1, 1, 1])
        for i in range(LAYERS)
    ]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, CHANNELS, HEIGHT, WIDTH])
        for name in ("x0", f"x{LAYERS}")
    ]
    graph = helper.make_graph(
        nodes, "convolutions", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    x = np.zeros((1, CHANNELS, HEIGHT, WIDTH), np.float32)
    return lambda: session.run(None, {"x0": x})


WORK: dict[str, Callable[[], Callable[[], object]]] = {
    "ten convolutions, torch": convolutions,
    "two training steps, torch": training_steps,
    "fifty passes, numba": compiled_passes,
    "ten convolutions, ONNX Runtime": onnxruntime_convolutions,
    "the same, ONNX Runtime without spinning": lambda: onnxruntime_convolutions(spinning=False),
}


def measure(times: int) -> None:
    """Print the median milliseconds of every piece of work in this process, as JSON."""
    import torch  # noqa: F401  # before ann2sdnn, which then leaves the setting alone

    medians = {}
    for name, prepare in WORK.items():
        run = prepare()
        run()
        ms = []
        for _ in range(times):
            start = time.perf_counter()
            run()
            ms.append((time.perf_counter() - start) * 1e3)
        medians[name] = statistics.median(ms)
    sys.stdout.write(json.dumps(medians))


def in_a_process(setting: Setting, times: int) -> dict[str, float]:
    """What ``measure`` prints in a process of its own with ``setting``."""
    environment = {name: text for name, text in os.environ.items() if name not in _OF_THREADS}
    environment |= setting.variables
    command = [sys.executable, __file__, "--measure", "--times", str(times)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """Processes that use a core each, for as long as the block lasts."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def main() -> None:
    """Measure every setting, alternating, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, default=0, help="busy processes beside it")
    parser.add_argument("--rounds", type=int, default=3, help="processes per setting")
    parser.add_argument("--times", type=int, default=3, help="runs per process")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.times)
        return
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(given.rounds):
        with busy_processes(given.busy):
            for setting in SETTINGS:
                for work, ms in in_a_process(setting, given.times).items():
                    found.setdefault((work, setting.label), []).append(ms)
    rows = [("ms", *(setting.label for setting in SETTINGS)), ("---",) * (len(SETTINGS) + 1)]
    for work in WORK:
        medians = [statistics.median(found[work, setting.label]) for setting in SETTINGS]
        rows.append((work, *(f"{ms:.1f}" for ms in medians)))
    sys.stdout.writelines(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    main()
