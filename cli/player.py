"""How a command looks at a session: what it takes for granted where nothing tells."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import click

Function = TypeVar("Function", bound=Any)

_META: Final = "recorder.player"


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        context.meta.setdefault(_META, {})[str(parameter.name)] = value


def player_options(function: Function) -> Function:
    """The options; `assumed` gives what was said of them."""
    for option in (
        click.option(
            "--prebuffer",
            "prebuffer_ms",
            type=click.IntRange(0, 10_000),
            metavar="MS",
            help="What the player waits before it begins an answer; else 0.",
            expose_value=False,
            callback=_keep,
        ),
        click.option(
            "--assume-stop-on-speech",
            is_flag=True,
            help="Take speech_started for evidence that playback stopped.",
            expose_value=False,
            callback=_keep,
        ),
    ):
        function = option(function)
    return function


detector_option = click.option(
    "--detector",
    type=click.Choice(["energy", "silero"]),
    help="What finds speech in the user's audio; else energy. silero is an extra to install.",
    expose_value=False,
    callback=_keep,
)


def assumed() -> dict[str, Any]:
    """What was said of these: words for `analyse`."""
    context = click.get_current_context(silent=True)
    found: dict[str, Any] = dict(context.meta.get(_META, {})) if context is not None else {}
    return found
