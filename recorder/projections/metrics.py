"""The names of what is measured, and what each means: one table for help, tests and reports."""

from __future__ import annotations

from typing import Final

from ..audio.formats import MS

SUSPECT_NS: Final = 50 * MS
"""Under this a latency is nearly always a mis-joined turn: flagged, kept, not averaged."""

METRICS: Final = {
    "v2v_audible": "end of the user's speech to the first audible sample of the answer",
    "v2v_wire": "end of the user's speech to the arrival of the first audio",
    "v2v_heard": "end of the user's speech to the start of playback as it was reported",
    "time_to_answer": "end of the user's speech to the first audible sample of the last item",
    "dead_air": "longest silence inside the turn after the user's speech ended",
    "ttfa_stop": "arrival of speech_stopped to the first audio; hides the silence window",
    "ttfa_created": "response.created to the first audio",
    "ttfa_trigger": "commit or response.create to the first audio",
    "commit_to_audio": "the client's commit to the first audible sample",
    "create_to_audio": "the client's response.create to the first audible sample",
    "ttft": "response.created to the first text, transcript or audio",
    "endpointing": "end of the user's speech to the arrival of speech_stopped",
    "input_backlog": "end of the user's speech to the arrival of the audio at that moment",
    "onset_difference": "onset of speech by the server's offset less that found in the audio",
    "end_difference": "end of speech by the server's offset less that found in the audio",
    "transcription_delay": "end of the user's speech, else the commit, to the transcript",
    "transcription_commit": "committed to the transcript",
    "first_words": "onset of the user's speech to the first words of its transcript",
    "commit_ack": "the client's commit to committed",
    "response_start": "commit or response.create to response.created",
    "response_duration": "response.created to response.done of the first response",
    "tool_exec": "tool call complete to its output sent, all calls of the turn together",
    "tool_resume": "last tool output sent to the first audio of the continuation",
}
"""Latencies of a turn, by name. An N/A says why."""

JOINED: Final = frozenset(
    {
        "v2v_audible",
        "v2v_wire",
        "v2v_heard",
        "time_to_answer",
        "ttfa_stop",
        "ttfa_trigger",
        "commit_to_audio",
        "create_to_audio",
    }
)
"""Metrics that join a user's act to an answer, and so can be joined wrongly."""

QUALITIES: Final = {
    "overlap": "user speech and played assistant audio at the same time",
    "barge_in_stop": "onset of the interrupting speech to the last played sample",
    "barge_in_detection": "onset of the interrupting speech to the arrival of speech_started",
    "client_reaction": "speech_started to the client's truncate or cancel",
    "interrupt_server": "speech_started to response.done (cancelled)",
    "leak": "speech_started to the last audio of the response it interrupted",
    "unheard": "audio of this turn that was never played",
    "turn_gap": "end of what the assistant played before to the onset of the user's speech",
}
"""Qualities of a turn, by name."""

PARTS: Final = {
    "input_backlog": ("caller", "the caller's link held the audio up"),
    "endpointing_window": ("vad", "the silence window of the turn detection"),
    "endpointing_rest": ("network and server", "turn detection beyond its silence window"),
    "endpointing": ("vad", "turn detection without a known silence window"),
    "network": ("network", "there and back between recorder and server, by ping and pong"),
    "app_wait": ("application", "the application took its time to commit or to ask"),
    "response_start": ("provider", "from the request or the commit to response.created"),
    "tool_call": ("provider", "the model wrote a tool call"),
    "tool": ("tool", "the tool ran"),
    "tool_resume": ("provider", "from the tool's output to the first audio"),
    "failed_response": ("provider", "a response that failed or was cancelled"),
    "model_first_audio": ("provider", "from response.created to the first audio"),
    "queue": ("playback", "waiting behind earlier audio"),
    "leading_silence": ("provider", "silence at the beginning of the audio"),
}
"""Parts of the waterfall: their owner, and what happened in them."""
