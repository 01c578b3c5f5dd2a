"""Kills commands at random moments and fills their disk: `python benchmarks/interruption.py`.

Each command runs undisturbed, then again and again with `kill -9` after a random part of that
time, and on disks with room for a part of what it writes (a small tmpfs as root, else a limit on
the size of files, and then nothing else may use shared memory meanwhile). Afterwards:

- what the command writes as a whole is not there, is the old one or the new one; every file that
  is there is whole, and, except in trainings, the old one or the new one (hidden files, which
  begin with a dot, are what a killed process was writing);
- no process and no shared memory of it is left;
- the same command, with --resume where a training has a state, ends in what the undisturbed run
  wrote: the same arrays and weights bit for bit.

A command is a fork of this process, which has imported everything, so that the moments lie in its
work and not in its imports; with --new-interpreters it is started as a shell does. Prints a row
per command and exits with 1 where anything else was found.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process that forks has one thread

import argparse
import random
import sys
from pathlib import Path

from interrupted.commands import COMMANDS, make_world
from interrupted.starting import Forks, NewInterpreters, Starter, own_folder
from interrupted.trials import HEADER, Trials, own_mounts

_ROOM = (0.05, 0.4, 0.9)  # of what a command writes


def main() -> int:
    """Disturb the commands that the arguments name, all by default."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="COMMAND", help=f"of {', '.join(COMMANDS)}")
    arguments.add_argument("--trials", type=int, default=15, help="kills per command (15)")
    arguments.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    arguments.add_argument("--new-interpreters", action="store_true", help="start as a shell does")
    given = arguments.parse_args()
    unknown = set(given.names) - set(COMMANDS)
    if unknown:
        arguments.error(f"there is no command {', '.join(sorted(unknown))}")
    starter = NewInterpreters() if given.new_interpreters else Forks()
    with own_folder() as world:
        return _disturb(given.names or list(COMMANDS), world, starter, given)


def _disturb(names: list[str], world: Path, starter: Starter, given: argparse.Namespace) -> int:
    rng = random.Random(given.seed)
    mounts = own_mounts()
    make_world(world, starter)
    kills = fills = faults = 0
    _print(HEADER)
    for name in names:
        trials = Trials(COMMANDS[name], world, starter)
        for _ in range(given.trials):
            trials.kill(rng.uniform(0, trials.result.seconds))
        for share in _ROOM:
            trials.fill(share, with_limit=not mounts)
        _print(str(trials.result))
        kills, fills = kills + trials.result.trials, fills + trials.result.full
        faults += len(trials.result.faults)
    _print(f"{kills} kills, {fills} full disks, {faults} faults")
    return int(faults > 0)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
