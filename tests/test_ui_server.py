"""`recorder ui` on the wire: who is let in, what the API answers, sound by ranges of bytes."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from recorder.library import RecordedSession
from recorder.sql.store import SqlStore
from recorder.sql.tiles import Key
from recorder.ui.hearing import Span, span_of, wav_head
from recorder.ui.making import Made
from recorder.ui.routes import ROUTES
from recorder.ui.sheets import Sheets

from .talks import Talk, process, refused, silence, spoken, texted, tone, unended
from .ui_kit import FOREVER, TOKEN, Served, served

LINE = re.compile(r"^(id|event|data): (.*)$")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server over a spoken call, a text, a refused one, one cut off, and an empty one."""
    with served(tmp_path_factory.mktemp("ui") / "calls.db") as found:
        spoken(found.store, seed=1)
        texted(found.store, "<script>alert(1)</script>", seed=2)
        refused(found.store, seed=3)
        unended(found.store, seed=4)
        Talk(found.store, seed=5)
        yield found


@pytest.fixture
def client(server: Served) -> Iterator[httpx.Client]:
    with server.client() as found:
        yield found


def id_of(server: Served, row: int) -> str:
    return [each.id for each in server.store.sessions()][row]


def api(server: Served, row: int, path: str = "") -> str:
    return f"/api/v1/sessions/{id_of(server, row)}{path}"


# ---- who is let in


def test_without_a_token_nothing_is_answered(server: Served) -> None:
    """Pages, files and API alike: 401, and no word of what is there."""
    for path in ("/", "/api", "/static/base.js", "/session/latest", api(server, 0), "/nothing"):
        answer = httpx.get(server.base + path)
        assert answer.status_code == 401
        assert id_of(server, 0) not in answer.text


def test_the_link_gives_a_cookie_and_takes_the_token_out_of_the_address(server: Served) -> None:
    """A redirect without the token, a cookie that no script and no other site can use."""
    with httpx.Client(base_url=server.base) as stranger:
        answer = stranger.get(f"/reports?q=tag%3Aslow&token={TOKEN}")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/reports?q=tag%3Aslow")
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        assert stranger.get("/").status_code == 200


def test_a_redirect_never_leads_to_another_host(server: Served) -> None:
    """Two slashes before a name would be an address of its own."""
    answer = httpx.get(f"{server.base}//evil.example/x?token={TOKEN}")
    assert answer.headers["Location"] == "/evil.example/x"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Cookie": "recorder_ui=; recorder_ui_1=x"},
        {"Authorization": "Bearer ä".encode().decode("latin-1")},
    ],
)
def test_a_wrong_token_is_refused(server: Served, headers: dict[str, str]) -> None:
    """In whatever place it stands."""
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    assert httpx.get(server.base, headers=raw).status_code == 401
    assert httpx.get(f"{server.base}/?token=wrong").status_code == 401
    assert httpx.get(f"{server.base}/?token={TOKEN}&token=wrong").status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "a@127.0.0.1", "["])
def test_another_name_for_this_machine_is_refused(client: httpx.Client, host: str) -> None:
    """DNS rebinding: the name resolves to loopback, but the browser says it in Host."""
    assert client.get("/", headers={"Host": host}).status_code in (400, 403)


def test_another_port_is_let_in(client: httpx.Client) -> None:
    """A tunnel may end at another port of ours."""
    assert client.get("/", headers={"Host": "localhost:9999"}).status_code == 200


def test_pages_of_other_origins_are_refused(server: Served, client: httpx.Client) -> None:
    """With a token even; and so are those that a browser says come from another site."""
    own = {"Origin": server.base}
    assert client.get("/api", headers=own).status_code == 200
    secure = server.base.replace("http:", "https:")
    for origin in ("http://evil.example", "null", "http://localhost:1", secure):
        assert client.get("/api", headers={"Origin": origin}).status_code == 403
    assert client.get("/api", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    led = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/api", headers=led).status_code == 200


def test_a_change_must_say_its_origin(server: Served) -> None:
    """A cookie alone changes nothing: any page could send it along."""
    with httpx.Client(base_url=server.base) as person:
        person.get(f"/?token={TOKEN}")
        path, body = api(server, 1, "/tags"), {"add": ["by-cookie"]}
        assert person.post(path, json=body).status_code == 403
        assert person.post(path, json=body, headers={"Origin": server.base}).status_code == 200
    assert RecordedSession(server.store, server.store.session(id_of(server, 1))).summary.tags == (
        "by-cookie",
    )


def test_every_answer_is_kept_in_its_place(client: httpx.Client) -> None:
    """The policy lets no inline script run, no frame hold us, no address leak."""
    for path in ("/", "/api", "/nothing", "/api/v1/nothing", "/static/base.js"):
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
    for path in ("/", "/api", "/session/latest", "/reports", "/compare"):
        page = client.get(path, follow_redirects=True).text
        assert not re.search(r"<style|<script(?! type=\"module\" src)", page)
        assert not re.search(r"\son\w+=|style=", page)


def test_files_are_served_by_name_only(client: httpx.Client) -> None:
    """No path leads out of the folders, no source is given away; an unchanged file is not sent."""
    for name in ("..%2f__init__.py", "serving.py", "%2e%2e%2fserving.py", "page.html", "."):
        assert client.get(f"/static/{name}").status_code == 404
    answer = client.get("/static/base.js")
    again = client.get("/static/base.js", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_methods_and_bodies_that_are_not_understood(server: Served, client: httpx.Client) -> None:
    """405 with what is allowed, 404, 400 and 413: JSON that says what is wrong."""
    answer = client.delete(api(server, 0))
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert client.get("/api/v2/sessions").status_code == 404
    for body in (b"{", b"[]", b"\xff"):
        assert client.post(api(server, 0, "/tags"), content=body).status_code == 400
    assert client.post(api(server, 0, "/tags"), content=bytes(100_000)).status_code == 413
    assert client.head("/").content == b""


# ---- the API


def test_the_table_of_routes_is_what_is_told(client: httpx.Client) -> None:
    """`/api` names every address of the API."""
    page = client.get("/api").text
    for route in ROUTES:
        if route.pattern.startswith("/api/"):
            assert f"<code>{route.pattern}</code>" in page


def test_facts_are_those_of_the_log(server: Served, client: httpx.Client) -> None:
    """Turns, transcript and sums agree with what Python says of the same session."""
    found = client.get(api(server, 0)).json()
    parts = dict(found["parts"])
    recorded = RecordedSession(server.store, server.store.session(id_of(server, 0)))
    assert [each["index"] for each in parts["turns"]] == [turn.index for turn in recorded.turns]
    assert [each["text"] for each in parts["lines"]] == [
        line.text for line in recorded.transcript.lines
    ]
    assert found["last_seq"] == parts["about"]["events"] == len(recorded.events)
    assert sum(found["log"]["client"]) + sum(found["log"]["server"]) == sum(
        event.origin < 2 for event in recorded.events.read(audio=False)
    )


def test_facts_that_are_known_are_not_sent_again(server: Served, client: httpx.Client) -> None:
    """204 where nothing came since."""
    last = client.get(api(server, 0)).json()["last_seq"]
    assert client.get(api(server, 0, f"?seq={last}")).status_code == 204
    assert client.get(api(server, 0, f"?seq={last - 1}")).status_code == 200


def test_outlines_lie_where_the_tone_is(server: Served, client: httpx.Client) -> None:
    """The user's tone of 0.3 of full scale from 0.2 s to 1.2 s, and nothing beside it."""
    tile = client.get(api(server, 0, "/peaks/0/0")).json()["user"]
    high = np.frombuffer(base64.b64decode(tile["high"]), np.int8)
    begin, end = int(0.25 * 24_000 / 256), int(1.15 * 24_000 / 256)
    assert (high[begin:end] == 38).all()  # 0.3 of 128, rounded down
    assert not high[int(1.3 * 24_000 / 256) : int(1.9 * 24_000 / 256)].any()


def test_a_tile_of_the_log_is_the_log(server: Served, client: httpx.Client) -> None:
    """Times add up, types and lengths of audio are those of the events."""
    block = client.get(api(server, 0, "/events/0")).json()
    messages = client.get(api(server, 0, "/messages/0")).json()
    events = list(server.store.read(id_of(server, 0)))
    assert list(np.cumsum(block["at"])) == [event.at_ns for event in events]
    assert [block["types"][row] for row in block["type"]] == [event.type for event in events]
    assert block["bytes"] == [len(event.audio or b"") for event in events]
    assert [messages[row] for row in block["head"]] == [event.head.decode() for event in events]
    row = next(i for i, event in enumerate(events) if event.audio)
    assert block["us"][row] == 100_000  # `says` sends pieces of 100 ms


def test_states_are_what_changed(server: Served, client: httpx.Client) -> None:
    """Put together they are the state at the end."""
    facts = client.get(api(server, 0)).json()
    assert facts["states"] == 1
    rows = client.get(api(server, 0, "/states/0")).json()
    state: dict[str, object] = {}
    for row in rows:
        state |= row
    assert state["phase"] == "closed"
    assert client.get(api(server, 0, "/states/1")).status_code == 404


def test_tiles_are_stored_once_and_sent_as_they_stand(server: Served, client: httpx.Client) -> None:
    """The second answer is what the first one left in the database, compressed."""
    first = client.get(api(server, 0, "/peaks/0/0"))
    assert first.headers["Content-Encoding"] == "gzip"
    with server.store.reading() as connection:
        query = "SELECT data FROM view_tiles WHERE kind='peaks-0' AND tile=0 AND number=1"
        stored = connection.exec_driver_sql(query).scalar()
    assert json.loads(gzip.decompress(stored)) == first.json()
    plain = client.get(api(server, 0, "/peaks/0/0"), headers={"Accept-Encoding": "identity"})
    assert plain.json() == first.json()
    assert "Content-Encoding" not in plain.headers


def test_a_session_is_folded_once_for_all_who_ask(server: Served) -> None:
    """Eight threads want its facts at the same moment."""

    class Counted(Sheets):
        folded = 0

        def _folded(self, *given: Any) -> Made:
            self.folded += 1
            time.sleep(0.2)  # so that all others come meanwhile
            return super()._folded(*given)

    talk = spoken(server.store, seed=40)
    sheets = Counted(server.store)
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: sheets.tile(talk.id, Key("facts")), range(8)))
    assert (len(found), sheets.folded) == (1, 1)


@pytest.mark.parametrize("path", ["/peaks/0/999", "/peaks/7/0", "/events/9", "/states/9"])
def test_tiles_that_are_not_there(server: Served, client: httpx.Client, path: str) -> None:
    """404 says so."""
    assert client.get(api(server, 0, path)).status_code == 404


@pytest.mark.parametrize("path", ["/peaks/x/0", "/events/-1", "/events/99999999999999999999999"])
def test_tiles_that_cannot_be(server: Served, client: httpx.Client, path: str) -> None:
    """400 says what was expected."""
    answer = client.get(api(server, 0, path))
    assert answer.status_code == 400
    assert "expected a whole number" in answer.json()["error"]["message"]


def test_no_such_session(client: httpx.Client) -> None:
    """404 from the API and on the page; text of the address is never markup."""
    for path in ("", "/now", "/peaks/0/0", "/events/0", "/messages/0", "/sound.wav", "/live"):
        assert client.get(f"/api/v1/sessions/nobody{path}").status_code == 404
    page = client.get("/session/%3Cscript%3E")
    assert page.status_code == 404
    assert "<script>" not in page.text


def test_a_session_goes_by_its_other_names(server: Served, client: httpx.Client) -> None:
    """`latest` and parts of an id lead to the page under its id."""
    tail = id_of(server, 0)[-8:]
    answer = client.get(f"/session/{tail}")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/session/{id_of(server, 0)}")


def test_sessions_without_sound_or_events(server: Served, client: httpx.Client) -> None:
    """A text, a refused one and an empty one: facts without sound, and no sound."""
    for row in (1, 2, 4):
        parts = dict(client.get(api(server, row)).json()["parts"])
        assert parts["sound"] is None
        assert client.get(api(server, row, "/sound.wav")).status_code == 404
    empty = client.get(api(server, 4)).json()
    assert empty["last_seq"] == 0
    assert client.get(api(server, 4, "/events/0")).status_code == 404


def test_what_depends_on_the_time_is_asked_apart(server: Served, client: httpx.Client) -> None:
    """A session that just stops: its status is not in the stored facts, its finding is ready."""
    assert client.get(api(server, 3, "/now")).json()["status"] == "interrupted"
    assert client.get(api(server, 0, "/now")).json()["status"] == "ended"
    assert client.get(api(server, 3)).json()["interrupted"]["rule"] == "interrupted"


# ---- sound


def test_the_sound_is_that_of_recorder_audio(
    server: Served, client: httpx.Client, tmp_path: Path
) -> None:
    """Sample for sample."""
    recorded = RecordedSession(server.store, server.store.session(id_of(server, 0)))
    recorded.audio.save(tmp_path / "call.wav")
    answer = client.get(api(server, 0, "/sound.wav"))
    assert answer.headers["Content-Type"] == "audio/wav"
    expected, _ = soundfile.read(tmp_path / "call.wav", dtype="int16")
    found, rate = soundfile.read(io.BytesIO(answer.content), dtype="int16")
    assert rate == 24_000
    assert np.array_equal(found, expected)


def test_ranges_are_exactly_what_was_asked_for(server: Served, client: httpx.Client) -> None:
    """From, to, the end, one byte: 206 with the place; beyond the end 416."""
    path = api(server, 0, "/sound.wav")
    whole = client.get(path).content
    size = len(whole)
    for asked, begin, end in (
        ("bytes=0-43", 0, 44), ("bytes=44-", 44, size), ("bytes=-100", size - 100, size),
        ("bytes=1000-1000", 1000, 1001), (f"bytes=0-{size * 2}", 0, size),
        ("bytes=300000-900000", 300_000, 900_001),
    ):  # fmt: skip
        answer = client.get(path, headers={"Range": asked})
        assert answer.status_code == 206
        assert answer.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{size}"
        assert answer.content == whole[begin:end]
    beyond = client.get(path, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")


def test_a_range_of_another_sound_is_the_whole(server: Served, client: httpx.Client) -> None:
    """`If-Range`: only a browser whose beginning is of the same sound gets the rest alone."""
    path = api(server, 0, "/sound.wav")
    tag = client.get(path, headers={"Range": "bytes=0-0"}).headers["ETag"]
    asked = {"Range": "bytes=10-19"}
    assert client.get(path, headers=asked | {"If-Range": tag}).status_code == 206
    assert client.get(path, headers=asked | {"If-Range": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None), ("bytes=0-9", Span(0, 10)), ("bytes=90-200", Span(90, 100)),
        ("bytes=-5", Span(95, 100)), ("bytes=-500", Span(0, 100)), ("bytes=-0", Span(0, 0)),
        ("bytes=100-", Span(0, 0)), ("bytes=9-3", None), ("bytes=-", None), ("items=0-1", None),
        ("bytes=0-1,5-6", None), ("bytes=x-", None), ("BYTES = 1-1", Span(1, 2)),
    ],
)  # fmt: skip
def test_what_a_range_asks_for(header: str | None, span: Span | None) -> None:
    """RFC 9110 §14.1.2; what is not understood is the whole."""
    assert span_of(header, 100) == span


def test_the_head_of_a_wav_file() -> None:
    """44 bytes with the sizes of what follows; a sound that no WAV file can hold says its most."""
    head = wav_head(1000)
    assert len(head) == 44
    assert struct.unpack_from("<I", head, 40) == (4000,)
    assert struct.unpack_from("<I", head, 4) == (4036,)
    assert struct.unpack_from("<I", wav_head(2**31), 40) == (2**32 - 1 - 44,)


# ---- growing


def told(lines: Iterator[str]) -> dict[str, str]:
    """The next event of a stream."""
    found: dict[str, str] = {}
    for line in lines:
        if match := LINE.match(line):
            found[match[1]] = match[2]
        elif not line and "event" in found:
            return found
    raise AssertionError("the stream ended")


def live(store: SqlStore, seed: int) -> Talk:
    """A session that a recorder with a lease is recording."""
    store.register(process("alive", FOREVER))
    return Talk(store, seed=seed, recorder="alive").opened().created().kept()


def test_a_session_that_grows_is_told_of(server: Served) -> None:
    """`grown` with the number of the last event, `over` at the close; and then it ends."""
    talk = live(server.store, 20)
    with server.client() as client, client.stream("GET", f"/api/v1/sessions/{talk.id}/live") as on:
        assert on.headers["Content-Type"] == "text/event-stream"
        lines = on.iter_lines()
        assert told(lines) == {"id": "3", "event": "grown",
                               "data": '{"last_seq":3,"at_ns":100000000}'}  # fmt: skip
        talk.says(200, tone(200)).kept()
        assert told(lines)["id"] == "5"
        talk.closed(600).kept()
        assert told(lines)["event"] == "grown"
        assert told(lines) == {"id": "6", "event": "over", "data": '{"last_seq":6}'}
        assert list(lines) == []


def test_a_stream_goes_on_where_it_was_cut_off(server: Served) -> None:
    """`Last-Event-ID`: what the browser knows is not told again."""
    talk = live(server.store, 21)
    path, known = f"/api/v1/sessions/{talk.id}/live", {"Last-Event-ID": "3"}
    with server.client() as client, client.stream("GET", path, headers=known) as on:
        lines = on.iter_lines()
        talk.closed(600).kept()
        assert told(lines)["id"] == "4"


def test_a_session_that_is_removed_says_so(server: Served) -> None:
    """While somebody looks at it."""
    talk = live(server.store, 22)
    with server.client() as client, client.stream("GET", f"/api/v1/sessions/{talk.id}/live") as on:
        lines = on.iter_lines()
        told(lines)
        server.store.remove(talk.id)
        assert told(lines)["event"] == "removed"


def test_a_growing_session_has_todays_facts(server: Served) -> None:
    """Facts, tiles and sound go with the log, and nothing of it is stored until it is over."""
    talk = live(server.store, 23)
    with server.client() as client:
        path = f"/api/v1/sessions/{talk.id}"
        assert dict(client.get(path).json()["parts"])["sound"] is None
        talk.says(200, tone(500) + silence(500)).kept()
        for _ in range(200):  # it is folded again a while after it was last
            if (answer := client.get(f"{path}?seq=3")).status_code == 200:
                break
            time.sleep(0.05)
        assert dict(answer.json()["parts"])["sound"]["samples"] == 24_000 * 12 // 10
        number = server.store.number(talk.id)
        with server.store.reading() as connection:
            query = f"SELECT count(*) FROM view_tiles WHERE number={number}"
            assert connection.exec_driver_sql(query).scalar() == 0


# ---- notes and tags


def test_notes_and_tags_become_events(server: Served, client: httpx.Client) -> None:
    """As those of the command line do; the facts then have them."""
    path = api(server, 0)
    noted = client.post(path + "/notes", json={"text": "an echo <b>", "at_ns": 2_000_000_000})
    assert noted.status_code == 200
    tagged = client.post(path + "/tags", json={"add": ["slow", "echo"]})
    assert tagged.json() == {"tags": ["slow", "echo"]}
    tagged = client.post(path + "/tags", json={"remove": ["slow"]})
    assert tagged.json() == {"tags": ["echo"]}
    notes = dict(client.get(path).json()["parts"])["notes"]
    assert [each["text"] for each in notes] == ["an echo <b>"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/notes", {}), ("/notes", {"text": " "}), ("/notes", {"text": "x" * 10_001}),
        ("/notes", {"text": "x", "at_ns": -1}), ("/notes", {"text": "x", "at_ns": 10**15}),
        ("/notes", {"text": "x", "at_ns": True}), ("/tags", {}), ("/tags", {"add": "slow"}),
        ("/tags", {"add": ["two words"]}), ("/tags", {"add": [""]}), ("/tags", {"add": [1]}),
        ("/tags", {"add": ["since:7d"]}), ("/tags", {"add": ["x" * 201]}),
    ],
)  # fmt: skip
def test_notes_and_tags_that_cannot_be(
    server: Served, client: httpx.Client, path: str, body: dict[str, object]
) -> None:
    """400, and nothing was written."""
    before = server.store.last_seq(id_of(server, 1))
    assert client.post(api(server, 1, path), json=body).status_code == 400
    assert server.store.last_seq(id_of(server, 1)) == before


def test_a_live_session_is_not_written_to(server: Served, client: httpx.Client) -> None:
    """It belongs to its recorder alone."""
    talk = live(server.store, 24)
    answer = client.post(f"/api/v1/sessions/{talk.id}/tags", json={"add": ["x"]})
    assert answer.status_code == 400
    assert "being recorded" in answer.json()["error"]["message"]


# ---- the command


def test_a_port_in_use_is_told_of(tmp_path: Path) -> None:
    """Exit code 2 and one line, not a traceback."""
    from .cli_kit import Recorder

    recorder = Recorder(tmp_path / "calls.db")
    recorder.filled(texted)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        told = recorder("ui", "--no-open", "--listen", where, code=2)
    assert f"{where} is in use by another process" in told.output


def test_only_this_machine_is_served(tmp_path: Path) -> None:
    """An address that others reach is refused, with the way to do it."""
    from .cli_kit import Recorder

    told = Recorder(tmp_path / "calls.db")("ui", "--listen", "0.0.0.0:0", code=2)
    assert "ssh -L" in told.output
