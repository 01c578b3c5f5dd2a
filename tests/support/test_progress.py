"""Progress in plain lines."""

import io

from ann2sdnn.support.progress import NoteReporter, PlainReporter


def test_plain_lines_count_units_and_name_the_work() -> None:
    stream = io.StringIO()
    reporter = PlainReporter(stream, every_s=0.0)
    with reporter.task("Training", 3, "steps") as task:
        task.advance(note="loss 0.5")
        task.advance(2, note="loss 0.25")
    reporter.message("done")
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("Training: 1/3 steps")
    assert "s left" in lines[0]
    assert lines[0].endswith("loss 0.5")
    assert lines[-2].startswith("Training: 3/3 steps")
    assert lines[-2].endswith("loss 0.25")
    assert lines[-1] == "done"


def test_quick_work_says_one_line() -> None:
    stream = io.StringIO()
    with PlainReporter(stream).task("Work", 1000, "items") as task:
        for _ in range(1000):
            task.advance()
    assert len(stream.getvalue().splitlines()) == 1


def test_work_inside_work_is_told_beside_it() -> None:
    """Bars cannot be nested, so the inner count is the outer task's note."""
    stream = io.StringIO()
    with (
        PlainReporter(stream, every_s=0.0).task("evaluate", 2, "frames") as outer,
        NoteReporter(outer).task("lava-nc", 5, "time steps") as inner,
    ):
        inner.advance(3)
        outer.advance(2)
    first, last = stream.getvalue().splitlines()
    assert first.startswith("evaluate: 0/2 frames")
    assert first.endswith("lava-nc: 3/5 time steps")
    assert last.startswith("evaluate: 2/2 frames")
