"""The command line, in a process of a training that may be told to fail (`FAIL=RANK:HOW`)
or to write the digest of its weights (`DIGESTS=FOLDER`).
"""

import hashlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from ann2sdnn.cli.app import main
from ann2sdnn.support.errors import DataError


def fail(how: str) -> None:
    """End as a process may end in the middle of a step."""
    if how == "raises":
        raise DataError("recording S1_session1_mov1 cannot be read; copy it again")
    if how == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "has a bug":
        raise RuntimeError("a bug")
    time.sleep(3600)


def fail_in_step(step: int, how: str) -> None:
    """Let the trainer of this process fail in ``step``."""
    from ann2sdnn.ann.training.trainer import PoseTrainer

    original = PoseTrainer.learn

    def learn(trainer: PoseTrainer, batch: Any) -> None:
        if trainer.state.step == step:
            fail(how)
        original(trainer, batch)

    PoseTrainer.learn = learn  # type: ignore[assignment, method-assign]


def write_digest(folder: Path) -> None:
    """Let this process write the digest of its weights after the training."""
    from ann2sdnn.ann.training.trainer import PoseTrainer

    original = PoseTrainer.run

    def run(trainer: PoseTrainer) -> None:
        original(trainer)
        weights = trainer.learner.module.state_dict()
        content = b"".join(weights[name].numpy().tobytes() for name in sorted(weights))
        own = folder / f"rank{trainer.fabric.global_rank}"
        own.write_text(hashlib.sha256(content).hexdigest(), encoding="utf-8")

    PoseTrainer.run = run  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    if "DIGESTS" in os.environ:
        write_digest(Path(os.environ["DIGESTS"]))
    rank, _, how = os.environ.get("FAIL", "").partition(":")
    if rank and rank == os.environ.get("LOCAL_RANK", "0"):
        if how == "never starts":
            raise SystemExit(3)
        fail_in_step(5, how)
    main()
