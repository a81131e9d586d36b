"""`recorder record`: hold a session and record it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from recorder.errors import UsageError

from .shared import Shared
from .shared import command as in_table

if TYPE_CHECKING:
    from recorder.live.caller import Turn

TURN_OPTIONS: Final = ("--text", "--audio", "--script")
"""Options that are turns: they are done in the order in which they were typed."""


class _InOrder(click.Command):
    """Keeps the order in which turns of different kinds were typed, which click forgets."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        turns: list[tuple[str, str]] = []
        skip = False
        for index, word in enumerate(args):
            name, equals, value = word.partition("=")
            if skip or name not in TURN_OPTIONS:
                skip = False
                continue
            if equals:
                turns.append((name[2:], value))
            elif index + 1 < len(args):
                turns.append((name[2:], args[index + 1]))
                skip = True
        ctx.meta["recorder.turns"] = turns
        return super().parse_args(ctx, args)


SCRIPT_STEPS: Final = (
    ('{"type": "response.cancel"}', "any client event, sent as it is"),
    ('{"text": "When do you open?"}', "a turn of text, and its answer"),
    ('{"audio": "question.wav"}', "a sound file, beside the script"),
    ('{"wait": 1.5}', "listen for so many seconds"),
    ('{"wait_for": "response.done", "timeout": 30}', "listen until that event"),
    ('{"mark": {"text": "it stutters"}}', "write a note, or another mark"),
)
"""The lines that a script is made of, an example of each, and what it does."""


def _turns(ctx: click.Context) -> list[Turn]:
    from recorder.live.caller import Turn, script_turns

    turns: list[Turn] = []
    for kind, value in ctx.meta.get("recorder.turns", []):
        match kind:
            case "text":
                turns.append(Turn("text", _filled("--text", value)))
            case "audio":
                turns.append(Turn("audio", value))
            case _:
                turns += script_turns(Path(value))
    return turns


def _filled(option: str, value: str) -> str:
    """The value, which a variable that is not set would have left empty. Raises `UsageError`."""
    if not value.strip():
        raise UsageError(f"{option} {value!r} is empty: give it some text, or leave it out")
    return value


def _check_names(options: dict[str, Any]) -> None:
    """A call and tags by which the session can be found again. Raises `UsageError`."""
    if options["call"] is not None:
        _filled("--call", options["call"])
    for tag in options["tags"]:
        if len(_filled("--tag", tag).split()) > 1:
            raise UsageError(f"--tag {tag!r}: a tag is one word without spaces")


_WHERE = (
    click.option("--url", metavar="URL", help="Origin, /v1 base or full URL; sandbox: starts one. "
                 "Else RECORDER_URL; else DGrid where DGRID_API_KEY is the only key."),
    click.option("--model", default="", help="The model to ask for."),
    click.option("--api-key-env", metavar="NAME", help="Variable that holds the key, for a host "
                 "that is not the key's own."),
    click.option("--auth", type=click.Choice(["auto", "bearer", "api-key", "subprotocol", "none"]),
                 default="auto", help="How the key is presented; auto: api-key on Azure."),
    click.option("--dialect", type=click.Choice(["auto", "ga", "beta"]), default="auto",
                 help="auto: the beta marker only where the endpoint documents it."),
    click.option("--header", "headers", metavar="NAME=VALUE", multiple=True,
                 help="One more header; secret ones as NAME=env:VARIABLE."),
    click.option("--ca", "ca_file", metavar="FILE", help="Certificate authority to trust."),
    click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=10.0,
                 help="Seconds to wait for the connection and for the handshake."),
)  # fmt: skip

_WHAT = (
    click.option("--text", metavar="TEXT", multiple=True, help="A turn of text. Repeatable."),
    click.option("--audio", metavar="FILE", multiple=True, help="A turn of speech: WAV, FLAC, or "
                 ".pcm with --rate. Repeatable; turns are done in the order typed."),
    click.option("--script", metavar="FILE", multiple=True,
                 help="Steps to go through: text, audio, wait, wait_for, mark, and client "
                 "events, a line each (above). Repeatable."),
    click.option("--mic", is_flag=True, help="Speak (extra: sound)."),
    click.option("--speaker", is_flag=True, help="Hear (extra: sound); writes playback marks."),
    click.option("--rate", type=click.IntRange(1000, 768000), help="Hz of raw PCM files; for "
                 "others it overrides the header."),
    click.option("--chunk-ms", type=click.IntRange(1, 1000), default=20, show_default=True,
                 help="Audio in each append."),
)  # fmt: skip

_HOW = (
    click.option("--vad", type=click.Choice(["none", "server", "semantic"]),
                 help="Who ends a turn; none for files unless said otherwise."),
    click.option("--voice", help="The assistant's voice."),
    click.option("--modalities", metavar="LIST", help="audio, text, or text,audio."),
    click.option("--instructions", metavar="TEXT", help="What the assistant should be."),
    click.option("--tools", "tools_file", metavar="FILE", type=click.Path(dir_okay=False),
                 help='JSON list of tools; "output" in one is what its calls are answered with.'),
    click.option("--session", "session_file", metavar="FILE", type=click.Path(dir_okay=False),
                 help="JSON session object, laid over the other options."),
    click.option("--transcribe", metavar="MODEL", help="Model that transcribes the user; none: "
                 "nobody. On by default for speech, where the endpoint takes it."),
    click.option("--format", "audio_format", type=click.Choice(["pcm", "ulaw", "alaw"]),
                 help="Audio both ways: PCM16 or G.711."),
)  # fmt: skip

_KEEPING = (
    click.option("--capture", type=click.Choice(["full", "no-audio", "metadata"]), default="full",
                 help="What is kept; lengths and times always are."),
    click.option("--on-stall", type=click.Choice(["gap", "wait"]), default="gap",
                 help="When the database does not keep up: lose messages and say so, or hold the "
                 "session back (after some 40 s the other side may give up)."),
    click.option("--call", metavar="LABEL", help="Ties sessions into one call."),
    click.option("--tag", "tags", metavar="TAG", multiple=True, help="Repeatable."),
    click.option("--max-duration", metavar="SECONDS", type=click.FloatRange(min=0, min_open=True),
                 help="Close the session after so long."),
    click.option("--quiet", is_flag=True, help="Do not show the conversation as it unfolds."),
)  # fmt: skip


def _all_options(function: Any) -> Any:
    for option in reversed((*_WHERE, *_WHAT, *_HOW, *_KEEPING)):
        function = option(function)
    return function


@in_table("record", _InOrder)
@_all_options
@click.pass_context
def command(ctx: click.Context, shared: Shared, /, **options: Any) -> int:
    """With none of --text, --audio, --script and --mic, on a terminal, it is a chat: type, and
    end with an empty line or Ctrl-D.

    A key found in the environment goes only to its own host: DGRID_API_KEY to dgrid.ai,
    OPENAI_API_KEY to openai.com, AZURE_OPENAI_API_KEY to openai.azure.com, XAI_API_KEY to x.ai.
    Any other host needs --api-key-env NAME. Keys are never arguments, and never travel over
    plain ws:// but on this machine.

    A script is a file with a JSON object on each line; they are done in order:
    """
    from .recording import run

    _check_names(options)
    return run(shared, _turns(ctx), options)


_WIDE: Final = max(len(example) for example, _ in SCRIPT_STEPS)
command.help = f"{command.help}\n\n\b\n" + "\n".join(
    f"{example:<{_WIDE}}  {meaning}" for example, meaning in SCRIPT_STEPS
)
