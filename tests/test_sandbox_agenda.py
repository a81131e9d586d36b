"""The calendar of tasks: exact times, the order of equals, cancelling."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recorder.sandbox.agenda import Agenda


def noting(agenda, log, name, waits):
    """A task that notes its name and the time after each wait."""
    for wait in waits:
        yield wait
        log.append((name, agenda.now_ns))


def test_a_late_call_does_not_shift_what_follows():
    """Every step happens at the time it was due, however late the agenda is asked."""
    agenda, log = Agenda(), []
    agenda.start(noting(agenda, log, "a", [10, 10, 10]))

    agenda.run(1000)

    assert log == [("a", 10), ("a", 20), ("a", 30)]
    assert agenda.now_ns == 1000


def test_equals_run_in_the_order_in_which_they_were_planned():
    """Two tasks due at the same time keep their order."""
    agenda, log = Agenda(), []
    agenda.start(noting(agenda, log, "a", [10]))
    agenda.start(noting(agenda, log, "b", [10]))

    agenda.run(10)

    assert [name for name, _ in log] == ["a", "b"]


def test_a_cancelled_task_does_nothing_more():
    """Neither does it run, nor does anybody wait for it."""
    agenda, log = Agenda(), []
    task = agenda.start(noting(agenda, log, "a", [10, 10]))
    agenda.run(10)
    agenda.cancel(task)

    assert agenda.next_at() is None
    agenda.run(100)
    assert log == [("a", 10)]


def test_time_never_runs_backwards():
    """An earlier time than the last one is taken for the last one."""
    agenda, log = Agenda(), []
    agenda.run(50)
    agenda.run(20)
    agenda.start(noting(agenda, log, "a", [-5, 5]))
    agenda.run(60)

    assert log == [("a", 50), ("a", 55)]


@given(
    st.lists(st.lists(st.integers(0, 50), max_size=6), max_size=6),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_how_often_it_is_asked_changes_nothing(tasks, visits):
    """The log of all tasks is the same, whether time comes in one step or in many."""

    def run(times):
        agenda, log = Agenda(), []
        for at, waits in enumerate(tasks):
            agenda.start(noting(agenda, log, at, waits))
        for time in times:
            agenda.run(time)
        return log

    assert run([*sorted(visits), 400]) == run([400])
