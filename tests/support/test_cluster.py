"""Jobs on a Dask cluster of two local workers: the same files and values, and one sentence."""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import COMMANDS
from recordings import write_network, write_recordings

from ann2sdnn.calibration.thresholds.rules import Fixed
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.data.raw.options import PrepareOptions
from ann2sdnn.data.raw.prepare import prepare
from ann2sdnn.data.synthetic.generate import synthesise
from ann2sdnn.data.synthetic.options import SynthOptions
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.support.errors import DataError, ProcessError, UsageError
from ann2sdnn.support.processes.pool import Advance, run_in_order, run_jobs

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a scheduler with two worker processes, which gives no job to a third."""
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=50,
        ) as cluster,
    ):
        yield cluster.scheduler_address


def square(job: int, count: Advance) -> tuple[int, int]:
    """The square, and the process that computed it."""
    for _ in range(job):
        count(1)
    return job * job, os.getpid()


def refuse(job: int, count: Advance) -> int:
    if job == 2:
        raise DataError(f"recording {job} cannot be read; copy it again")
    return job


def die(job: int, count: Advance) -> int:
    if job == 2:
        os._exit(1)
    return job


def test_jobs_run_in_the_workers_and_are_counted(scheduler: str) -> None:
    counted: list[int] = []
    jobs = [3, 1, 4, 1, 5, 9, 2, 6]
    results = list(run_in_order(square, jobs, 1, counted.append, scheduler=scheduler))
    assert [result for result, _ in results] == [job * job for job in jobs]
    assert sum(counted) == sum(jobs)
    processes = {process for _, process in results}
    assert os.getpid() not in processes
    assert 1 <= len(processes) <= 2


def test_the_error_of_a_job_ends_the_run(scheduler: str) -> None:
    with pytest.raises(DataError, match="recording 2 cannot be read; copy it again"):
        list(run_jobs(refuse, [0, 1, 2, 3], 1, lambda _n: None, scheduler=scheduler))
    # The workers stay for the next run.
    assert sorted(run_jobs(refuse, [0, 1, 3], 1, lambda _n: None, scheduler=scheduler)) == [0, 1, 3]


def test_no_scheduler_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ann2sdnn.support.processes.cluster._CONNECT_S", 1)
    address = "tcp://127.0.0.1:9"
    with pytest.raises(UsageError, match=f"--scheduler {address}: no Dask scheduler answers"):
        list(run_jobs(square, [1], 1, lambda _n: None, scheduler=address))


def test_without_the_package_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'ann2sdnn\[dask\]'"):
        list(run_jobs(square, [1], 1, lambda _n: None, scheduler="tcp://127.0.0.1:9"))


def test_recordings_are_made_and_prepared_as_in_one_process(scheduler: str, tmp_path: Path) -> None:
    made: dict[str, Any] = {"subjects": 1, "movements": 2, "frames": 2}
    one, other = tmp_path / "one", tmp_path / "cluster"
    synthesise(one / "made", SynthOptions(**made), raw=one / "raw")
    synthesise(other / "made", SynthOptions(**made, scheduler=scheduler))
    prepare(one / "raw", one / "prepared")
    prepare(one / "raw", other / "prepared", PrepareOptions(scheduler=scheduler))
    # The log, and the list of the folder's files, are in the order in which recordings ended.
    ordered = {"prepare.log", ".ann2sdnn"}
    assert_same_files(one / "made", other / "made", 5, but=ordered)
    assert_same_files(one / "prepared", other / "prepared", 4, but=ordered)


def assert_same_files(one: Path, other: Path, n: int, but: Collection[str] = ()) -> None:
    """The folders hold the same ``n`` files, besides those on the run; not compared: ``but``."""
    names = [
        sorted(path.name for path in folder.iterdir() if path.name not in but)
        for folder in (one, other)
    ]
    assert names[0] == names[1]
    assert sum(not name.startswith((".", "prepare")) for name in names[0]) == n
    for name in names[0]:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_cluster_without_workers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ann2sdnn.support.processes.cluster._ALONE_S", 0.5)
    with (
        distributed.LocalCluster(
            n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as cluster,
        pytest.raises(ProcessError, match=r"has had no worker for .* seconds; start some with"),
    ):
        list(run_jobs(square, [1], 1, lambda _n: None, scheduler=cluster.scheduler_address))


def test_values_of_an_evaluation_are_those_of_one_process(scheduler: str, tmp_path: Path) -> None:
    data = write_recordings(tmp_path / "data", subjects=2, frames=5)
    write_network(tmp_path / "model.onnx")
    options = ConvertOptions(Fixed(0.05), max_frames=4)
    convert(tmp_path / "model.onnx", data, tmp_path / "sdnn", options)
    texts = []
    for how in (None, scheduler):
        out = tmp_path / ("one" if how is None else "cluster")
        evaluate(tmp_path / "sdnn", data, EvaluateOptions(split="all", scheduler=how, out=out))
        text = (out / "evaluation.json").read_text(encoding="utf-8")
        texts.append(re.sub(r'"seconds_per_frame": [^,\n]*', "", text))
    assert texts[0] == texts[1]


# The last, because it costs the cluster its workers for some seconds.
def test_workers_that_die_end_the_run(scheduler: str) -> None:
    with pytest.raises(ProcessError, match="were killed, perhaps for want of memory"):
        list(run_jobs(die, [0, 1, 2, 3], 1, lambda _n: None, scheduler=scheduler))


@pytest.mark.parametrize("command", ["synth", "prepare", "evaluate"])
def test_workers_of_this_machine_and_of_a_cluster_exclude_each_other(
    command: str, tmp_path: Path
) -> None:
    (tmp_path / "sdnn").mkdir()
    arguments = {
        "synth": [str(tmp_path / "new")],
        "prepare": [str(tmp_path), str(tmp_path / "new")],
        "evaluate": [str(tmp_path / "sdnn"), "--data", str(tmp_path)],
    }[command]
    both = ["--workers", "2", "--scheduler", "tcp://127.0.0.1:9"]
    with pytest.raises(UsageError, match="--workers"):
        COMMANDS[command].main([*arguments, *both], standalone_mode=False)
