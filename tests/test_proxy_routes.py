"""Where requests go, and what of them is meant for the recorder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import UsageError
from recorder.proxy.routes import Routes, Wishes, parse_upstream, wishes_of

OPENAI = ("https://api.openai.com", "https://api.openai.com/v1", "https://api.openai.com/v1/",
          "wss://api.openai.com/v1/realtime", "wss://api.openai.com")  # fmt: skip


@pytest.mark.parametrize("upstream", OPENAI)
@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/v1/realtime", "/v1/realtime"),
        ("/realtime", "/v1/realtime"),
        ("/v1/realtime/client_secrets", "/v1/realtime/client_secrets"),
        ("/realtime/translations", "/v1/realtime/translations"),
        ("/v1/live/sessions", "/v1/live/sessions"),
        ("/live/sessions", "/v1/live/sessions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
    ],
)
def test_every_form_of_an_upstream_leads_to_the_same_place(upstream, path, there):
    """Origin, base and full URL, whatever path the client brings: never /v1/v1."""
    route = Routes([parse_upstream(upstream)]).find(path, "model=m")
    assert route is not None
    assert route.url(websocket=True) == f"wss://api.openai.com{there}?model=m"
    assert route.url(websocket=False) == f"https://api.openai.com{there}?model=m"


@pytest.mark.parametrize(
    ("upstream", "path", "there"),
    [
        ("https://x.openai.azure.com/openai/v1", "/v1/realtime", "/openai/v1/realtime"),
        ("https://x.openai.azure.com/openai/v1", "/realtime", "/openai/v1/realtime"),
        ("https://x.openai.azure.com/openai/v1", "/openai/v1/realtime", "/openai/v1/realtime"),
        ("https://x.openai.azure.com/openai/v1", "/openai/realtime", "/openai/realtime"),
        ("https://x.openai.azure.com", "/openai/realtime", "/openai/realtime"),
        ("https://gw.example/a/b", "/v1/realtime", "/a/b/v1/realtime"),
        ("https://gw.example/a/v1", "/v1/models", "/a/v1/models"),
        ("https://gw.example/v1", "/", "/v1/"),
        ("https://gw.example", "/", "/"),
        ("https://gw.example", "/whatever/else", "/whatever/else"),
    ],
)
def test_bases_of_other_providers(upstream, path, there):
    """The overlap of base and path stands once; unknown paths pass as they are."""
    route = Routes([parse_upstream(upstream)]).find(path, "")
    assert route is not None
    assert route.target == there


def test_the_query_of_a_full_url_fills_in_what_the_client_leaves_out():
    """What the client says wins."""
    named = "wss://h/openai/realtime?api-version=2024-10-01-preview&deployment=d"
    routes = Routes([parse_upstream(named)])
    assert routes.find("/realtime", "deployment=mine").query == (
        "deployment=mine&api-version=2024-10-01-preview"
    )
    assert routes.find("/realtime", "").query == "api-version=2024-10-01-preview&deployment=d"


def test_named_upstreams_stand_first_in_the_path():
    """Each under its name; what names none goes to the one without a name, or nowhere."""
    routes = Routes(
        [parse_upstream("a=https://a.example/v1"), parse_upstream("b=https://b.example")]
    )
    assert routes.find("/a/v1/realtime", "").url(websocket=True) == "wss://a.example/v1/realtime"
    assert routes.find("/b/realtime", "").url(websocket=True) == "wss://b.example/v1/realtime"
    assert routes.find("/v1/realtime", "") is None
    both = Routes([parse_upstream("a=https://a.example"), parse_upstream("https://main.example")])
    assert both.find("/v1/realtime", "").upstream.netloc == "main.example"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("ftp://h", "expected something like"),
        ("api.openai.com", "expected something like"),
        ("https://", "expected something like"),
        ("https://h:99999", "is no URL"),
        ("https://user:sk-secret-0123456789abcdef@h", "--api-key-env"),
        ("v1=https://h", "version"),
        ("_recorder=https://h", "_recorder"),
    ],
)
def test_what_is_no_upstream_is_refused_without_showing_secrets(named, said):
    """The message says what was expected."""
    with pytest.raises(UsageError) as caught:
        parse_upstream(named)
    assert said in str(caught.value)
    assert "sk-secret" not in str(caught.value)


def test_two_upstreams_need_two_names():
    """And at least one has to be there."""
    with pytest.raises(UsageError, match="twice"):
        Routes([parse_upstream("https://a"), parse_upstream("https://b")])
    with pytest.raises(UsageError, match="missing"):
        Routes([])


def test_wishes_in_headers_and_query_are_obeyed_and_taken_out():
    """Everything else of the query stays byte for byte."""
    headers = (("X-Recorder-Call", "c-7"), ("x-recorder-tag", "a, b"), ("Accept", "x"))
    wishes, query = wishes_of(headers, "model=m%20x&recorder.tag=c&recorder.record=off&a=&b")
    assert wishes == Wishes(record=False, call="c-7", tags=("a", "b", "c"))
    assert query == "model=m%20x&a=&b"


@pytest.mark.parametrize("query", ["recorder.record=maybe", "recorder.unknown=1"])
def test_a_wish_that_is_not_understood_is_an_error(query):
    """A misspelt wish must not record what should not be recorded."""
    with pytest.raises(UsageError):
        wishes_of((), query)


segment = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._~%", min_size=1, max_size=8)


@given(st.lists(segment, min_size=1, max_size=5), st.lists(segment, max_size=3))
def test_no_part_of_a_clients_path_is_lost(parts, base):
    """Whatever the upstream's base, the path ends as the client's does."""
    url = "https://h/" + "/".join(base)
    if parts[0] in base or parts[0] in ("realtime", "live") or base[-1:] == ["realtime"]:
        return
    route = Routes([parse_upstream(url)]).find("/" + "/".join(parts), "")
    assert route is not None
    assert route.path == "/" + "/".join([*base, *parts])
