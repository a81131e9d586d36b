"""The response object, nested as in GA or flat as in beta, and its usage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from recorder.sandbox.config import Config
from recorder.sandbox.conversation import Item
from recorder.sandbox.dialect import Dialect
from recorder.sandbox.fields import FORMAT, MODALITIES
from recorder.sandbox.usage import Tokens, text_tokens, tokens_of

Json = dict[str, Any]


def response_json(
    dialect: Dialect, config: Config, head: Mapping[str, Any], tail: Mapping[str, Any]
) -> Json:
    """`head` (id, status, output …), then what the response is set to, then `tail` (usage …)."""
    shape = "ga" if dialect.nested else "beta"
    modalities = MODALITIES.show(config.output_modalities, shape)
    audio = FORMAT.show(config.output_format, shape)
    limit = {"max_output_tokens": config.max_output_tokens}
    if dialect.nested:
        output = {"output": {"format": audio, "voice": config.voice}}
        middle: Json = {"output_modalities": modalities, **limit, "audio": output}
    else:
        spoken = {"voice": config.voice, "output_audio_format": audio}
        middle = {"modalities": modalities, **spoken, "temperature": config.temperature, **limit}
    return {"object": "realtime.response", **head, **middle, **tail}


def read_tokens(config: Config, context: Iterable[Item]) -> Tokens:
    """What the model reads: instructions, tools, the items."""
    tools = orjson.dumps(config.tools).decode() if config.tools else ""
    return tokens_of(context).plus(text_tokens(config.instructions) + text_tokens(tools), 0)
