"""The names of the protocol: which dialect says what how, and what we pass on knowingly."""

from __future__ import annotations

from typing import Final

ALIASES: Final = {
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "conversation.item.created": "conversation.item.added",
    "transcription_session.update": "session.update",
    "transcription_session.created": "session.created",
    "transcription_session.updated": "session.updated",
}
"""Seen on the wire -> the GA name under which it is decoded."""

BETA_NAMES: Final = frozenset(ALIASES)
"""Names that only the beta dialect uses."""

GA_NAMES: Final = frozenset(
    {
        "response.output_text.delta",
        "response.output_text.done",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.done",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.segment",
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.dtmf_event_received",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "mcp_list_tools.failed",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
    }
)
"""Names that only the GA dialect uses."""

_TRANSLATION: Final = "translation sessions speak a vocabulary of their own, recorded as it is"
_LIVE: Final = "the Live protocol is another one, recorded as it is"

PASSED_ON: Final = {
    "ping": "xAI's keep-alive between applications: it says nothing of the conversation",
    "pong": "the answer to that",
    "session.close": _TRANSLATION,
    "session.closed": _TRANSLATION,
    "session.input_audio_buffer.append": _TRANSLATION,
    "session.input_transcript.delta": _TRANSLATION,
    "session.output_transcript.delta": _TRANSLATION,
    "session.output_audio.delta": f"{_TRANSLATION}; {_LIVE}",
    "session.start": _LIVE,
    "session.started": _LIVE,
    "session.input_audio.append": _LIVE,
    "session.usage.updated": _LIVE,
}
"""Types that are known and deliberately have no meaning for the projections, and why."""

PASSED_ON_PREFIXES: Final = {"transport.": _LIVE}
"""Families of such types."""


def is_passed_on(kind: str) -> bool:
    """Whether the type is known and deliberately has no meaning for the projections."""
    return kind in PASSED_ON or kind.startswith(tuple(PASSED_ON_PREFIXES))


def dialect_of(kind: str) -> str:
    """`beta` or `ga` where the name alone tells, else empty."""
    if kind in BETA_NAMES:
        return "beta"
    return "ga" if kind in GA_NAMES else ""
