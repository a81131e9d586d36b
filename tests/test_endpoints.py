"""Where a session goes, and that no key goes anywhere else."""

from __future__ import annotations

import pytest

from recorder.errors import UsageError
from recorder.live.endpoints import (
    DGRID_URL,
    default_url,
    documents_beta,
    endpoint,
    found_key,
    is_loopback,
    model_of,
    realtime_url,
)

KEY = "sk-0123456789abcdef"


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("wss://api.openai.com", "wss://api.openai.com/v1/realtime?model=m"),
        ("wss://api.openai.com/", "wss://api.openai.com/v1/realtime?model=m"),
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?model=m"),
        ("https://api.openai.com/v1/", "wss://api.openai.com/v1/realtime?model=m"),
        ("wss://api.openai.com/v1/realtime", "wss://api.openai.com/v1/realtime?model=m"),
        ("wss://api.openai.com/v1/realtime/", "wss://api.openai.com/v1/realtime?model=m"),
        ("wss://api.openai.com/v1/realtime?model=m", "wss://api.openai.com/v1/realtime?model=m"),
        ("wss://api.openai.com/v1/realtime?model=x", "wss://api.openai.com/v1/realtime?model=m"),
        ("http://127.0.0.1:8765/v1", "ws://127.0.0.1:8765/v1/realtime?model=m"),
        ("ws://[::1]:8765", "ws://[::1]:8765/v1/realtime?model=m"),
        ("wss://api.dgrid.ai", "wss://api.dgrid.ai/v1/realtime?model=m"),
        ("wss://gate.example/openai/v1", "wss://gate.example/openai/v1/realtime?model=m"),
        ("wss://gate.example/api", "wss://gate.example/api/realtime?model=m"),
        ("https://r.openai.azure.com", "wss://r.openai.azure.com/openai/v1/realtime?model=m"),
        (
            "https://r.openai.azure.com/openai",
            "wss://r.openai.azure.com/openai/v1/realtime?model=m",
        ),
        (
            "https://r.openai.azure.com/openai/v1/",
            "wss://r.openai.azure.com/openai/v1/realtime?model=m",
        ),
        (
            "wss://r.openai.azure.com/openai/realtime?api-version=2024-10-01-preview&deployment=d",
            "wss://r.openai.azure.com/openai/realtime?deployment=m&api-version=2024-10-01-preview",
        ),
        (
            "wss://api.openai.com/v1/realtime/translations",
            "wss://api.openai.com/v1/realtime/translations?model=m",
        ),
        ("wss://api.openai.com/v1/live/sessions", "wss://api.openai.com/v1/live/sessions?model=m"),
    ],
)
def test_every_form_of_an_endpoint_leads_to_the_same_place(named: str, expected: str) -> None:
    """Origin, base and full URL; never /v1/v1, never /realtime/realtime."""
    assert realtime_url(named, "m") == expected
    assert realtime_url(realtime_url(named, "m"), "m") == expected


def test_a_url_that_says_its_own_subject_is_left_alone() -> None:
    """Without a model the query stays as it was, to the character."""
    url = "wss://api.openai.com/v1/realtime?call_id=rtc_1&x=a%2Fb"
    assert realtime_url(url) == url
    assert model_of("wss://h/v1/realtime?deployment=d") == "d"


@pytest.mark.parametrize(
    "bad",
    ["", "api.openai.com", "ftp://h/v1", "wss://", "wss://h:99999", "wss://h:0", "wss://h/#x"],
)
def test_what_is_no_url_is_said_with_what_was_expected(bad: str) -> None:
    """A clear error, not a dial to somewhere."""
    with pytest.raises(UsageError, match=r"URL|wss://|fragment"):
        realtime_url(bad)


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("wss://api.dgrid.ai/v1", {"DGRID_API_KEY": KEY, "OPENAI_API_KEY": "other"}, KEY),
        ("wss://api.openai.com/v1", {"DGRID_API_KEY": "other", "OPENAI_API_KEY": KEY}, KEY),
        ("wss://eu.api.openai.com/v1", {"OPENAI_API_KEY": KEY}, KEY),
        ("wss://r.openai.azure.com", {"AZURE_OPENAI_API_KEY": KEY}, KEY),
        ("wss://api.x.ai/v1", {"XAI_API_KEY": KEY}, KEY),
        ("ws://127.0.0.1:1/v1", {"OPENAI_API_KEY": KEY}, None),
        ("wss://gate.example/v1", {}, None),
    ],
)
def test_a_key_goes_to_its_own_host(
    url: str, environ: dict[str, str], expected: str | None
) -> None:
    """DGrid's to DGrid, OpenAI's to OpenAI; to this machine none unless named."""
    assert found_key(url, environ) == expected


@pytest.mark.parametrize(
    "url",
    [
        "wss://gate.example/v1",
        "wss://openai.com.evil.example/v1",
        "wss://notopenai.com/v1",
        "wss://api.openai.com@evil.example/v1",
        "wss://evil.example/openai.com",
    ],
)
def test_a_key_goes_to_no_other_host_unless_it_is_named(url: str) -> None:
    """The refusal names the variable and the way; the key is not in it."""
    environ = {"OPENAI_API_KEY": KEY}
    with pytest.raises(UsageError, match="--api-key-env OPENAI_API_KEY") as caught:
        found_key(url, environ)
    assert KEY not in str(caught.value)
    assert found_key(url, environ, "OPENAI_API_KEY") == KEY


def test_a_variable_that_is_not_set_is_said() -> None:
    """Naming a variable that is not there is a mistake, not a session without a key."""
    with pytest.raises(UsageError, match="NOT_THERE"):
        found_key("wss://gate.example/v1", {}, "NOT_THERE")


def test_a_key_never_travels_over_plain_ws() -> None:
    """Except on loopback."""
    with pytest.raises(UsageError, match="plain ws"):
        endpoint("ws://gate.example/v1", model="m", api_key=KEY)
    assert endpoint("ws://127.0.0.1:1", model="m", api_key=KEY).headers
    assert is_loopback("::1")
    assert not is_loopback("127.0.0.1.example")


@pytest.mark.parametrize(
    ("auth", "headers", "protocols"),
    [
        ("bearer", (("Authorization", f"Bearer {KEY}"),), ()),
        ("api-key", (("api-key", KEY),), ()),
        ("subprotocol", (), ("realtime", f"openai-insecure-api-key.{KEY}")),
        ("none", (), ()),
    ],
)
def test_the_ways_to_present_a_key(auth, headers, protocols) -> None:
    """Header, Azure's header, subprotocol, or not at all; never shown by repr."""
    place = endpoint("wss://h.example/v1", model="m", api_key=KEY, auth=auth)
    assert place.headers == headers
    assert place.subprotocols == protocols
    assert KEY not in repr(place)


@pytest.mark.parametrize(
    ("url", "beta"),
    [
        ("wss://api.dgrid.ai/v1", True),
        ("wss://r.openai.azure.com/openai/realtime?api-version=1&deployment=d", True),
        ("wss://r.openai.azure.com/openai/v1", False),
        ("wss://api.openai.com/v1", False),
        ("ws://127.0.0.1:1", False),
    ],
)
def test_the_beta_marker_goes_where_it_is_documented(url: str, beta: bool) -> None:
    """DGrid and Azure's preview ask for it; OpenAI closes 4000 on it."""
    assert documents_beta(realtime_url(url)) is beta
    marked = ("OpenAI-Beta", "realtime=v1") in endpoint(url, model="m").headers
    assert marked is beta
    assert ("OpenAI-Beta", "realtime=v1") in endpoint(url, model="m", dialect="beta").headers
    assert ("OpenAI-Beta", "realtime=v1") not in endpoint(url, model="m", dialect="ga").headers


def test_a_key_with_a_line_end_is_refused() -> None:
    """A key pasted with its newline would split the header."""
    with pytest.raises(UsageError, match="characters"):
        endpoint("wss://h.example", model="m", api_key=KEY + "\n")


def test_where_to_go_when_nothing_is_said() -> None:
    """RECORDER_URL first; DGrid only where its key is the only one."""
    assert default_url({}) is None
    assert default_url({"DGRID_API_KEY": KEY}) == DGRID_URL
    assert default_url({"DGRID_API_KEY": KEY, "OPENAI_API_KEY": KEY}) is None
    assert default_url({"RECORDER_URL": "wss://h", "DGRID_API_KEY": KEY}) == "wss://h"
