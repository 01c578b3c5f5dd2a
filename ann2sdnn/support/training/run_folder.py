"""Folder of a training run: its files, when it may be used, and how a run is resumed from it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from ann2sdnn.support.errors import OutputError, UsageError
from ann2sdnn.support.files.marker import listed
from ann2sdnn.support.files.targets import check_files, refuse_use
from ann2sdnn.support.files.writing import files_in, remove_own, write_text
from ann2sdnn.support.training.options import RunOptions
from ann2sdnn.support.training.state import RunState, read_state, write_state

_State = TypeVar("_State", bound=RunState)


class RunFolder(Generic[_State]):
    """Folder of a run; a subclass says which files lie in it.

    ``record_name``: JSON file with options and history, by which the command's runs are recognised.
    ``others``: names or patterns of the run's other files.
    """

    state_type: type[_State]
    record_name: str
    record_schema = 1
    others: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / "state.safetensors"
        self.record = path / self.record_name

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of a run."""
        files = [self.state, self.record]
        for name in self.others:
            files += sorted(self.path.glob(name)) if "*" in name else [self.path / name]
        return tuple(files)

    def check(
        self, *, resume: bool, force: bool, more: Iterable[str] = (), inputs: Iterable[Path] = ()
    ) -> None:
        """Raise OutputError for a folder that is in use, or that holds no state to resume.

        With ``force``, in a folder that holds such a run, or ``resume`` the run's files are
        replaced, unless somebody else wrote them. A run of a version that wrote no marker can be
        resumed. ``more``: names of further files that the run will write; ``inputs``: files that it
        reads and must not overwrite.
        """
        folder, record = self.path, self.record
        if resume and not self.state.is_file():
            raise OutputError(
                f"{folder} holds no training run to resume (no {self.state.name}); start one"
                " without --resume"
            )
        if resume and not record.is_file() and any(folder.glob("train*.json")):
            raise OutputError(
                f"{folder} holds a run of another training command (no {record.name}); name a run"
                " of this one"
            )
        if not resume:
            refuse_use(folder, record, force=force)
        unmarked = resume and listed(folder) is None
        names = [*(str(path.relative_to(folder)) for path in self.files), *more]
        check_files(folder, () if unmarked else names, force=resume or force, inputs=inputs)

    def clear(self, more: Iterable[str] = ()) -> None:
        """Remove an earlier run's files, which could be taken for new ones, and no others."""
        remove_own((*self.files, *(self.path / name for name in more)))

    def write(self, state: _State, entries: Mapping[str, Any] | None = None) -> None:
        """Replace the state and the record, which also gets the ``entries``."""
        content = {"schema": self.record_schema, **(entries or {}), **state.plain()}
        with files_in(self.path):
            write_state(self.state, state)
            write_text(self.record, json.dumps(content, indent=2) + "\n")

    def read(self) -> _State:
        """The state after the last finished epoch; raises ModelError where it is damaged."""
        return read_state(self.state, self.state_type)

    def chosen_options(self, changes: Mapping[str, Any], *, resume: bool) -> Any:
        """The default options, or with ``resume`` those of the run here, with ``changes``.

        Raises UsageError for options that cannot work, OutputError where there is no run to resume,
        and ModelError where its state is damaged.
        """
        if not resume:
            kind: type[RunOptions] = get_type_hints(self.state_type)["options"]
            return kind.with_changes(changes)
        self.check(resume=True, force=False)
        return replace(self.read().options, **changes)

    def resumed(self, options: RunOptions | None, data: Mapping[str, int]) -> _State:
        """The state of the run here, to be continued with ``options`` (None: the recorded ones).

        Raises UsageError where ``data`` (number of frames per sequence) or ``options`` differ from
        the run's, besides its changeable options, and ModelError where the state is damaged.
        """
        state = self.read()
        if state.data != data:
            raise UsageError(
                f"{self.path} was trained on other recordings ({len(state.data)} of them, now"
                f" {len(data)}); resume with the same --data or start a new run"
            )
        if options is not None:
            state.options.refuse_changes(options, self.path)
            if options.epochs < state.epoch:
                raise UsageError(
                    f"--epochs {options.epochs}; the run in {self.path} has made {state.epoch}"
                    " already: ask for more"
                )
            if options.max_steps is not None and options.max_steps < state.step:
                raise UsageError(
                    f"--max-steps {options.max_steps}; the run in {self.path} has made"
                    f" {state.step} already: ask for more"
                )
            state.options = options
        return state
