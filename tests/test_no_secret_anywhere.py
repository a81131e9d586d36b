"""Every kind of secret is planted, then searched for in all bytes that recording leaves behind.

A real `recorder record` runs against a server that echoes what it was given wherever it can, and
is killed, so that the WAL is still there. Searched: database, WAL, shared memory, stdout, stderr.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import orjson
import trio

from .serving import CREATED, respond, send, serving

SECRETS = {
    "key in the environment": "sk-proj-Planted0Key1Bearer2",
    "secret header from env": "planted-header-value-777",
    "cookie that the server sets": "planted-cookie-abcdef",
    "client secret of the session": "ek_planted68af296e8e408191a1120ab6383263c2",
    "MCP authorization": "planted-mcp-authorization",
    "MCP header": "planted-mcp-header",
    "MCP server url": "planted-url-password",
    "tunnel": "planted-tunnel-id",
    "key of another in an error": "sk-svcacct-Planted9Other8Key7Zz",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJwbGFudGVkIjoxfQ.c2lnbmF0dXJlcGxhbnRlZA",
    "bearer in a text": "PlantedBearer0123456789",
    "query of the URL": "planted-query-key-42",
    "reason of the close": "sk-planted-in-close-reason-1",
}


async def leaky(socket) -> None:
    """Sends every secret back where real servers have been seen to, or could."""
    tool = {
        "type": "mcp",
        "server_label": "x",
        "server_url": f"https://u:{SECRETS['MCP server url']}@mcp.test/?k=v",
        "authorization": SECRETS["MCP authorization"],
        "headers": {"X-Any": SECRETS["MCP header"]},
        "tunnel_id": SECRETS["tunnel"],
    }
    session = {
        **CREATED["session"],
        "client_secret": {"value": SECRETS["client secret of the session"], "expires_at": 1},
        "tools": [tool],
    }
    await send(socket, {**CREATED, "session": session})
    count = 0
    while True:
        event = orjson.loads(await socket.get_message())
        if event["type"] == "session.update":
            await send(socket, {"type": "session.updated", "session": session})
        elif event["type"] == "response.create":
            count += 1
            key, other = SECRETS["key in the environment"], SECRETS["key of another in an error"]
            messages = (
                f"Incorrect API key provided: {key}.",
                f"the key {other} has no access",
                f"token {SECRETS['JWT']} expired",
                f"header was Bearer {SECRETS['bearer in a text']}",
                f"url had {SECRETS['query of the URL']}",
            )
            late = {"code": "response_cancel_not_active"}
            for message in messages:
                await send(socket, {"type": "error", "error": {**late, "message": message}})
            await respond(socket, f"resp_{count}", f"you sent {key}")
            if count == 2:
                await socket.aclose(4001, SECRETS["reason of the close"])


async def test_no_secret_reaches_a_file_or_a_terminal(tmp_path: Path) -> None:
    """Not one of them, in no file, not even with --debug; what was replaced is said."""
    db = tmp_path / "secret.db"
    headers = (
        ("Set-Cookie", f"session={SECRETS['cookie that the server sets']}"),
        ("x-request-id", "req_visible"),
    )
    tools = [{"type": "mcp", "server_label": "x", "authorization": SECRETS["MCP authorization"]}]
    (tmp_path / "tools.json").write_bytes(orjson.dumps(tools))
    environ = {
        **{k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")},
        "MY_KEY": SECRETS["key in the environment"],
        "MY_HEADER": SECRETS["secret header from env"],
        "RECORDER_DEBUG": "1",
    }
    async with serving(leaky, headers) as (url, handler):
        command = [
            sys.executable, "-m", "recorder.cli", "record", "--db", str(db),
            "--url", f"{url}?api-key={SECRETS['query of the URL']}", "--model", "m",
            "--api-key-env", "MY_KEY", "--header", "X-Custom-Token=env:MY_HEADER",
            "--tools", str(tmp_path / "tools.json"),
            "--text", "one", "--text", "two", "--text", "three",
        ]  # fmt: skip
        done = await trio.run_process(
            command, env=environ, capture_stdout=True, capture_stderr=True, check=False
        )
    assert done.returncode == 3, done.stderr.decode()
    request = handler.requests[0]
    assert SECRETS["key in the environment"] in str(request.header("Authorization"))
    assert request.header("X-Custom-Token") == SECRETS["secret header from env"]
    files = {path.name: path.read_bytes() for path in tmp_path.glob("secret.db*")}
    files["stdout"], files["stderr"] = done.stdout, done.stderr
    assert b"req_visible" in files["secret.db"]
    assert b"[redacted:" in files["secret.db"]
    for what, secret in SECRETS.items():
        for name, data in files.items():
            assert secret.encode() not in data, f"{what} is in {name}"
