"""Registry of tasks by name. Another package adds a task with ``TASKS["name"] = task``."""

from typing import TYPE_CHECKING

from ann2sdnn.eval.tasks.pose.task import PoseTask

if TYPE_CHECKING:
    from ann2sdnn.eval.tasks.task import Task

TASKS: "dict[str, Task]" = {"pose": PoseTask()}
