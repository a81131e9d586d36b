"""How each client is pointed at a proxy: the lines to paste, and what to look out for."""

from __future__ import annotations

from typing import Final, NamedTuple


class Howto(NamedTuple):
    """One client."""

    name: str
    what: str
    lines: str
    """With {http}, {ws} for the base URL, {host} for host and port."""
    trap: str = ""

    @property
    def shown_trap(self) -> str:
        """The trap, for an address that is not known yet."""
        return self.trap.format(
            http="http://HOST", https="https://HOST", ws="ws://HOST", host="HOST"
        )


_ROWS: Final = (
    Howto(
        "openai-python",
        "openai for Python, 2.x and newer",
        'client = AsyncOpenAI(base_url="{http}/v1")   # or OPENAI_BASE_URL={http}/v1\n'
        'async with client.realtime.connect(model="gpt-realtime") as connection: ...',
        "`client.beta.realtime`, and every 1.x version, only obey "
        'websocket_base_url="{ws}/v1": with base_url alone they insist on TLS.',
    ),
    Howto(
        "openai-agents-python",
        "openai-agents for Python",
        'await runner.run(model_config={{"url": "{ws}/v1/realtime?model=gpt-realtime"}})',
        "The URL is taken as it stands: the model has to be in it.",
    ),
    Howto(
        "openai-node",
        "openai for JavaScript",
        'const client = new OpenAI({{ baseURL: "{https}/v1" }})\n'
        "const rt = new OpenAIRealtimeWS({{ model: 'gpt-realtime' }}, client)",
        "It always speaks wss: run the proxy with --dev-cert (or --cert and --key), and start "
        "node with NODE_EXTRA_CA_CERTS=FILE.",
    ),
    Howto(
        "openai-agents-js",
        "@openai/agents-realtime",
        'await session.connect({{ apiKey, url: "{ws}/v1/realtime?model=gpt-realtime" }})',
        "From a page the origin has to be allowed: --allow-origin ORIGIN.",
    ),
    Howto(
        "pipecat",
        "pipecat, OpenAIRealtimeLLMService",
        'OpenAIRealtimeLLMService(api_key=..., base_url="{ws}/v1/realtime")',
        "It appends ?model= itself: leave the query out of base_url.",
    ),
    Howto(
        "livekit",
        "livekit-plugins-openai, RealtimeModel",
        'openai.realtime.RealtimeModel(base_url="{http}/v1")   # or OPENAI_BASE_URL={http}/v1',
        "After an error it dials four times: four sessions are then in the log.",
    ),
    Howto(
        "browser",
        "a page, with the plain WebSocket",
        'new WebSocket("{ws}/v1/realtime?model=gpt-realtime&recorder.call=LABEL",\n'
        '              ["realtime", "openai-insecure-api-key." + token])',
        "The page's origin has to be allowed: --allow-origin ORIGIN. A page from https:// needs "
        "wss:// here too.",
    ),
    Howto(
        "openai-realtime-api",
        "openai-realtime-api for JavaScript (beta protocol)",
        'new RealtimeClient({{ url: "{ws}/v1/realtime" }})',
    ),
    Howto(
        "websockets",
        "websockets for Python, and anything else that takes a URL",
        'websockets.connect("{ws}/v1/realtime?model=gpt-realtime",\n'
        '                   additional_headers={{"Authorization": "Bearer " + key}})',
    ),
    Howto(
        "wscat",
        "wscat",
        "wscat -c '{ws}/v1/realtime?model=gpt-realtime' "
        '-H "Authorization: Bearer $OPENAI_API_KEY"',
    ),
    Howto(
        "websocat",
        "websocat",
        "websocat -B 4000000 '{ws}/v1/realtime?model=gpt-realtime' "
        '-H="Authorization: Bearer $OPENAI_API_KEY"',
        "Without -B long messages are cut into pieces.",
    ),
)

HOWTOS: Final = {row.name: row for row in _ROWS}
"""Every client that was tried, by the name it goes by here."""


def told(howto: Howto, host: str, *, secure: bool) -> list[str]:
    """The lines for this client, for a proxy that listens on `host` (`name:port`)."""
    places = {
        "http": f"https://{host}" if secure else f"http://{host}",
        "ws": f"wss://{host}" if secure else f"ws://{host}",
        "https": f"https://{host}",
        "host": host,
    }
    lines = [f"{howto.what}:", *(f"  {line}" for line in howto.lines.format(**places).split("\n"))]
    if howto.trap:
        lines.append(f"  Mind: {howto.trap.format(**places)}")
    return lines
