"""Nurseries that raise one plain exception: which one, and that nothing else is lost."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from recorder.transport import plain_errors, plain_nursery


class Ours(Exception):
    """Raised by the body."""


class Theirs(Exception):
    """Raised by a background task."""


async def failing_after(seconds: float, error: BaseException) -> None:
    """A background task that fails."""
    await trio.sleep(seconds)
    raise error


async def failing_when_cancelled(error: BaseException) -> None:
    """A background task that fails while it is being stopped."""
    try:
        await trio.sleep_forever()
    finally:
        raise error


async def test_the_bodys_error_is_itself(autojump_clock: MockClock) -> None:
    """The very object comes out, with its own cause and context."""
    error = Ours()
    error.__cause__ = ValueError("why")

    with pytest.raises(Ours) as caught:
        async with plain_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise error

    assert caught.value is error
    assert isinstance(error.__cause__, ValueError)
    assert error.__context__ is None


async def test_a_background_error_comes_out_plain(autojump_clock: MockClock) -> None:
    """The body was only cancelled because of it."""
    with pytest.raises(Theirs):
        async with plain_nursery() as nursery:
            nursery.start_soon(failing_after, 1, Theirs())
            await trio.sleep_forever()


async def test_the_body_goes_before_the_background(autojump_clock: MockClock) -> None:
    """Of two real errors the body's is raised."""
    with pytest.raises(Ours):
        async with plain_nursery() as nursery:
            nursery.start_soon(failing_when_cancelled, Theirs())
            await trio.sleep(1)
            raise Ours


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_an_interrupt_goes_before_everything(
    error: BaseException, autojump_clock: MockClock
) -> None:
    """Ctrl-C in a background task is not hidden by an error of the body."""
    with pytest.raises(type(error)) as caught:
        async with plain_nursery() as nursery:
            nursery.start_soon(failing_when_cancelled, error)
            await trio.sleep(1)
            raise Ours
    assert caught.value is error


async def test_several_background_errors(autojump_clock: MockClock) -> None:
    """The first is raised, the others hang on it."""
    with pytest.raises(Theirs) as caught:
        async with plain_nursery() as nursery:
            nursery.start_soon(failing_after, 1, Theirs())
            nursery.start_soon(failing_when_cancelled, OSError())
            await trio.sleep_forever()
    assert isinstance(caught.value.__context__, OSError | trio.Cancelled)


async def test_cancellation_goes_outwards(autojump_clock: MockClock) -> None:
    """A timeout outside is still a timeout, also where tasks were running."""
    with trio.move_on_after(1) as scope:
        async with plain_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == 1


async def test_nested_nurseries_are_plain_too(autojump_clock: MockClock) -> None:
    """A group of trio's own inside a background task is taken apart."""

    async def nest() -> None:
        async with trio.open_nursery() as inner:
            inner.start_soon(failing_after, 1, Theirs())

    with pytest.raises(Theirs):
        async with plain_nursery() as nursery:
            nursery.start_soon(nest)
            await trio.sleep_forever()


async def test_a_group_of_the_callers_own_is_left_alone() -> None:
    """What the body raises on purpose is not ours to take apart."""
    group = ExceptionGroup("mine", [Ours(), Theirs()])

    with pytest.raises(ExceptionGroup) as caught:
        async with plain_nursery():
            raise group

    assert caught.value is group


async def test_a_quiet_nursery_is_quiet(autojump_clock: MockClock) -> None:
    """Nothing is raised where nothing happened, and tasks are waited for."""
    async with plain_nursery() as nursery:
        nursery.start_soon(trio.sleep, 2)
    assert trio.current_time() == 2


def test_foreign_groups() -> None:
    """`plain_errors` does the same for a block whose nurseries are not ours."""
    with pytest.raises(KeyboardInterrupt), plain_errors():
        raise BaseExceptionGroup("x", [Theirs(), BaseExceptionGroup("y", [KeyboardInterrupt()])])
    with pytest.raises(Ours), plain_errors():
        raise Ours
