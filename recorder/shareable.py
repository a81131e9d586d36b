"""What is known to be no content: the tables by which `sharing` lets things pass.

Every table is an allow-list, by the name of the member that a value stands under. A name that
is in none of them is unknown, and its member goes. Names come from the protocol, from the
recorder's own events, and from the results of the projections.

Laws:

1. `WORDS` are closed sets: a string passes if it is one of them. `SHAPES` are for names that
   providers make up (codes, models, voices): a string passes if it looks like one and like
   nothing else.
2. `TEXTS` are where people's words stand. They never pass; they are there so that their length
   may be told.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from .dialects.names import ALIASES, GA_NAMES, PASSED_ON


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


INSIDE: Final = _names(
    """
    session item items response responses content part audio input output input_audio_buffer
    input_audio_transcription input_audio_noise_reduction noise_reduction turn_detection
    transcription error status_details incomplete_details usage input_token_details
    output_token_details cached_tokens_details rate_limits limits tools truncation
    conversation token_limits reasoning include client server recorder origins configs config
    raw function format detail reported detector
    """
)
"""Objects and arrays that are walked; strings in them never pass."""

NUMBERS: Final = _names(
    """
    audio_start_ms audio_end_ms played_ms content_index output_index threshold prefix_padding_ms
    silence_duration_ms idle_timeout_ms interrupt_response create_response rate speed temperature
    max_output_tokens max_response_output_tokens expires_at seconds start end limit remaining
    reset_seconds total_tokens input_tokens output_tokens text_tokens audio_tokens image_tokens
    cached_tokens reasoning_tokens grok_tokens output_audio_seconds billable_audio_seconds
    audio_duration_ms speech_duration_ms elapsed_ms sample_rate channels retention_ratio
    parallel_tool_calls approve code status clean seq at_ns count bytes first_ns last_ns dialled_ns
    connected_ns secured_ns requested_ns answered_ns received_at input_audio_sampling_rate
    total text audio image cached transcription input output exec_ms start_ns end_ns hangover_ms
    """
)
"""Members whose numbers pass. Truth values pass under every known name."""

TEXTS: Final = _names(
    """
    delta transcript text instructions arguments output message reason error prompt image_url
    audio name description body title event param why speaker server_label answer
    """
)
"""Where people's and programs' words stand."""


def _one_of(words: str) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, words.split())))


_CODES = """
    invalid_value invalid_event unknown_parameter missing_required_parameter
    input_audio_buffer_commit_empty response_cancel_not_active
    conversation_already_has_active_response item_truncate_invalid_item_id
    item_retrieve_invalid_item_id item_delete_invalid_item_id item_create_duplicate_item_id
    session_expired insufficient_quota credit_balance_exhausted inference_rate_limit_exceeded
    invalid_api_key model_not_found beta_api_shape_disabled rate_limit_exceeded server_error
    invalid_request_error authentication_error
"""
_FORMATS = "pcm16 pcm g711_ulaw g711_alaw audio/pcm audio/pcmu audio/pcma"
_MODALITIES = "text audio image video"
_REASONS = """
    turn_detected client_cancelled max_output_tokens content_filter suspect unanswered greeting
    failed cancelled incomplete text_only function_only out_of_band non_realtime_input no_speech
    no_audio no_tools no_output no_trigger no_created no_continuation no_server_vad no_offset
    no_client_commit no_client_create no_user_speech no_user_input no_input_on_this_wire
    silence_window_unknown offset_beyond_input nothing_was_playing nothing_was_interrupted
    not_stopped not_heard
"""
_PHRASES = frozenset(status.phrase for status in HTTPStatus)

WORDS: Final[dict[str, re.Pattern[str]]] = {
    "role": _one_of("user assistant system developer tool"),
    "speaker": _one_of("user assistant system developer tool recorder server"),
    "status": _one_of(
        "completed in_progress incomplete cancelled failed searching calling queued "
        "answered unanswered unheard open"
    ),
    "reason": re.compile("|".join(map(re.escape, [*_REASONS.split(), *sorted(_PHRASES)]))),
    "modality": _one_of(_MODALITIES),
    "modalities": _one_of(_MODALITIES),
    "output_modalities": _one_of(_MODALITIES),
    "format": _one_of(_FORMATS),
    "input_audio_format": _one_of(_FORMATS),
    "output_audio_format": _one_of(_FORMATS),
    "encoding": _one_of(_FORMATS),
    "max_output_tokens": _one_of("inf"),
    "max_response_output_tokens": _one_of("inf"),
    "eagerness": _one_of("low medium high auto"),
    "effort": _one_of("none minimal low medium high xhigh"),
    "detail": _one_of("low high auto"),
    "tool_choice": _one_of("auto none required"),
    "truncation": _one_of("auto disabled"),
    "name": _one_of("requests tokens input_tokens output_tokens"),
    "anchor": _one_of("created_at audio server_vad"),
    "conversation": _one_of("auto none"),
    "kind": _one_of(
        "websocket http realtime transcription text audio image function mcp speech tool note "
        "error gap"
    ),
    "vantage": _one_of("client proxy imported"),
    "times": _one_of("none"),
    "capture": _one_of("full no-audio metadata"),
    "initiator": _one_of("client server network recorder"),
    "state": _one_of("started playing stopped cleared completed failed in_progress"),
    "dialect": _one_of("ga beta mixed"),
    "vad": _one_of("server_vad semantic_vad azure_semantic_vad none"),
    "by": _one_of("client server"),
    "source": _one_of("done deltas item response.done transcription"),
    "label": _one_of("measured reported estimated modelled"),
    "stopped_by": _one_of("marked buffer truncated cancelled assumed"),
    "trigger": _one_of("vad_commit client_create idle_timeout"),
    "severity": _one_of("error warning notice"),
    "how": _one_of("stopped cleared open"),
}
"""By name: the strings that pass."""

_SLUG = r"(?!.*[0-9]{5})[a-z][a-z0-9]*(?:[_.][a-z0-9]+){0,12}"

SHAPES: Final[dict[str, re.Pattern[str]]] = {
    "type": re.compile(rf"(?=.{{1,80}}$)(?:{_SLUG}|audio/pcm[ua]?)"),
    "object": re.compile(r"(?:realtime|list|model)(?:\.[a-z_]{1,40})?"),
    "code": re.compile(rf"(?=.{{2,64}}$){_SLUG}"),
    "model": re.compile(
        r"(?=.{2,64}$)(?!.*[0-9]{9})[A-Za-z][A-Za-z0-9]*(?:[-._:/][A-Za-z0-9]+){0,10}"
    ),
    "voice": re.compile(
        r"alloy|ash|ballad|coral|echo|sage|shimmer|verse|marin|cedar|fable|onyx|nova|"
        r"[Aa]ra|[Rr]ex|[Ss]al|[Ee]ve|[Ll]eo|[a-z]{2,3}-[A-Z]{2}-[A-Za-z]{2,30}(?::[A-Za-z]+)?Neural"
    ),
    "language": re.compile(r"[a-z]{2,3}(?:-[A-Z]{2})?"),
    "languages": re.compile(r"[a-z]{2,3}(?:-[A-Z]{2})?"),
    "subprotocol": re.compile(r"realtime|openai-beta\.realtime-v1"),
    # Of the results of our own projections: made here, never read from a wire.
    "rule": re.compile(_SLUG),
    "owner": re.compile(r"[a-z][a-z ]{0,30}"),
    "flags": re.compile(_SLUG),
    "of": re.compile(_SLUG),
    "command": re.compile(r"[a-z]{2,12}(?: --[a-z\-]{2,12}(?: [0-9.\-]{1,12}m?s?)?){0,3}"),
}
"""By name: what the strings that pass look like."""

RESULT_WORDS: Final[dict[str, re.Pattern[str]]] = {
    "transcript": _one_of("completed partial failed none"),
    "transcription": SHAPES["model"],
    "model_asked": SHAPES["model"],
}
"""The same where a result of ours names something else than the wire does."""

IDS: Final = _names(
    """
    id event_id item_id response_id previous_item_id conversation_id call_id session_id
    approval_request_id client_event_id server_session request_id conversation call
    """
)
"""Names of ids. They pass, because one needs them to talk to a provider about a session."""

COUNTED: Final = _names(
    "by_origin by_type unknown redactions tombstones values underruns responses"
)
"""Objects in results of ours whose own keys are types and names of figures."""

ID_LISTS: Final = frozenset({"items", "responses", "calls", "user_items"})
"""Arrays of ids in results of ours."""

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4,12}){4}"

HEADERS: Final[dict[str, re.Pattern[str]]] = {
    "connection": re.compile("(?i)upgrade|keep-alive|close"),
    "upgrade": re.compile("(?i)websocket"),
    "sec-websocket-version": re.compile("13"),
    "sec-websocket-protocol": re.compile(r"realtime|openai-beta\.realtime-v1"),
    "openai-beta": re.compile(r"realtime=v1"),
    "openai-version": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "openai-processing-ms": re.compile(r"[0-9]{1,9}"),
    "content-type": re.compile(r"[a-z]{2,20}/[a-z0-9.+\-]{2,40}"),
    "date": re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT"),
    "x-request-id": re.compile(rf"req_[A-Za-z0-9_]{{1,64}}|[0-9a-f]{{32}}|{_UUID}"),
    "apim-request-id": re.compile(_UUID),
    "x-ms-region": re.compile(r"[A-Za-z0-9 ]{2,30}"),
}  # fmt: skip
"""Handshake headers that pass, and what they look like. The others go, their names too."""

HOSTS: Final = _names(
    """
    api.openai.com eu.api.openai.com us.api.openai.com api.x.ai api.dgrid.ai
    127.0.0.1 localhost ::1
    """
)
DOMAINS: Final = ("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com")
"""Hosts of which everybody knows, and domains whose subdomains are customers."""

PATHS: Final = _names(
    "v1 realtime openai translations client_secrets sessions calls voice-live voice-agent live"
)
QUERIES: Final[dict[str, re.Pattern[str]]] = {
    "model": SHAPES["model"],
    "api-version": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:-preview)?|v1|preview"),
    "intent": _one_of("transcription"),
}

VERSIONS: Final = frozenset({"realtime-recorder", "format", "python"})

KNOWN: Final = (
    INSIDE | NUMBERS | TEXTS | IDS | COUNTED | frozenset(WORDS) | frozenset(SHAPES)
    | {"headers", "url", "evidence"}
)  # fmt: skip
"""Every name that is known at all."""

TYPES: Final = frozenset(
    {
        *ALIASES, *ALIASES.values(), *GA_NAMES, *PASSED_ON, "error", "session.update",
        "session.created", "session.updated", "conversation.created", "rate_limits.updated",
        "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear",
        "input_audio_buffer.committed", "input_audio_buffer.cleared",
        "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped",
        "output_audio_buffer.clear", "output_audio_buffer.started", "output_audio_buffer.stopped",
        "output_audio_buffer.cleared", "conversation.item.create", "conversation.item.retrieve",
        "conversation.item.retrieved", "conversation.item.truncate", "conversation.item.truncated",
        "conversation.item.delete", "conversation.item.deleted", "response.create",
        "response.cancel", "response.created", "response.done", "response.output_item.added",
        "response.output_item.done", "response.content_part.added", "response.content_part.done",
        "response.function_call_arguments.delta", "response.function_call_arguments.done",
        *(f"conversation.item.input_audio_transcription.{end}"
          for end in ("delta", "completed", "failed", "updated")),
        *(f"recorder.{end}" for end in (
            "opened", "handshake", "closed", "gap", "note", "tag", "playback")),
    }
)  # fmt: skip
"""Types of events that everybody knows."""

CODES: Final = frozenset(_CODES.split())

VOCABULARY: Final = (
    KNOWN
    | TYPES
    | CODES
    | frozenset(HEADERS)
    | frozenset(_FORMATS.split())
    | frozenset(_REASONS.split())
    | _PHRASES
)
"""Words of protocol and program: wherever they turn up, they tell nothing about a session."""
