"""Every case that there must be a golden call of, by name; none without a test of its own."""

from __future__ import annotations

from pathlib import Path

from tests.golden import formats, interruptions, tools, trouble, turns
from tests.golden.kit import SESSIONS

CASES = {
    "GA VAD turn": "ga_vad_turn",
    "beta VAD turn": "beta_vad_turn",
    "mixed names": "mixed_names",
    "manual commit": "manual_commit",
    "transcription after done": "transcription_after_done",
    "two items in one response": "two_items",
    "cancel mid-stream": "cancel_mid_stream",
    "barge-in after done + truncate": "barge_in_after_done",
    "out-of-band in parallel": "out_of_band",
    "tool call + continuation": "tool_call",
    "MCP": "mcp_call",
    "failed response": "failed_response",
    "empty-commit error late": "empty_commit_error_late",
    "session_expired + 1001": "session_expired",
    "close 4000": "close_4000",
    "reconnect": "reconnect",
    "G.711": "g711",
    "format change mid-session": "format_change",
    "missing ids": "missing_ids",
    "xAI top-level usage": "xai_usage",
    "binary frame": "binary_frame",
    "burst input": "burst_input",
    "semantic VAD": "semantic_vad",
    "a client that ignores speech_started": "client_that_talks_on",
    "an uplink that stalls for 2 s": "uplink_stall",
    "a truncation that cannot be true": "truncation_that_cannot_be_true",
    "a reconnect that re-sends history": "reconnect_with_history",
    "a filler before a tool's answer": "filler_before_the_answer",
    "an unanswered turn": "unanswered_turn",
}
MORE = {
    "noise_that_interrupts",
    "speech_that_became_nothing",
    "a_nod",
    "marks_of_the_player",
    "pings_that_pass",
}
MODULES = (formats, interruptions, tools, trouble, turns)


def test_there_is_a_golden_call_of_every_case() -> None:
    """And of a few more."""
    assert {*CASES.values(), *MORE} == set(SESSIONS)
    assert {play.__module__ for play, _ in SESSIONS.values()} == {m.__name__ for m in MODULES}


def test_every_golden_call_is_looked_at() -> None:
    """Its name stands in the tests."""
    tests = Path(__file__).parent.glob("test_golden_*.py")
    text = "".join(each.read_text() for each in tests if each.name != Path(__file__).name)
    assert [name for name in SESSIONS if f'"{name}"' not in text] == []
