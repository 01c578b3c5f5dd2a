"""Registry of tasks by name, and the choice of one for a network and its frames.

Another package adds a task with ``TASKS["name"] = task``.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ann2sdnn.eval.tasks.classify.task import ClassifyTask
from ann2sdnn.eval.tasks.output.task import OutputTask
from ann2sdnn.eval.tasks.pose.task import PoseTask
from ann2sdnn.eval.tasks.regress.task import RegressTask

if TYPE_CHECKING:
    from ann2sdnn.data.sources.frames import Frames
    from ann2sdnn.eval.tasks.task import Task
    from ann2sdnn.sdnn.spec.spec import Spec

# Asked from the last to the first; the first scores any output.
TASKS: "dict[str, Task]" = {
    "output": OutputTask(),
    "regress": RegressTask(),
    "classify": ClassifyTask(),
    "pose": PoseTask(),
}


def task_for(spec: "Spec", sequences: "Sequence[Frames]") -> str:
    """Name of the task that recognises the outputs of ``spec`` and the labels of ``sequences``.

    "output" where none does. Raises DataError for labels that cannot be read.
    """
    names = reversed(TASKS)
    return next((name for name in names if TASKS[name].recognises(spec, sequences)), "output")
