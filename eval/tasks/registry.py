"""Registry of tasks by name. Another package adds a task with ``TASKS["name"] = task``."""

from ann2sdnn.eval.tasks.pose.task import PoseTask
from ann2sdnn.eval.tasks.task import Task

TASKS: dict[str, Task] = {"pose": PoseTask()}
