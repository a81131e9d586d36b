"""A test to start from: it plays the cassette to its own caller, until an application is put in.

Whatever stands in it of a session is written as a Python literal in plain ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final


def slug(name: str) -> str:
    """The name of a cassette as a part of Python names."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower() or "call"


def starter(name: str, marker: str, about: str, transcript: Sequence[str], *, history: bool) -> str:
    """The test file. `marker` is what names the cassette in it, `about` where it is from, and
    `transcript` what the recorded caller gets of it."""
    lines = [
        f'"""{about}"""',
        "",
        "import pytest",
        "",
        "",
        f"@pytest.mark.realtime_cassette({_literal(marker)})",
        f"def test_{slug(name)}(realtime_mock):",
        '    """The application does what it did in the recorded call."""',
        "    # Put your application here, in the place of the recorded caller. OPENAI_BASE_URL and",
        "    # OPENAI_API_KEY point to the mock while the test runs; so do realtime_mock.http_url,",
        "    # .url and .api_key. What the user said is in realtime_mock.utterances.",
        *(_HISTORY if history else ()),
        "    realtime_mock.repeat_caller()",
        "",
        "    assert realtime_mock.run.transcript == [",
        *(f"        {_literal(line)}," for line in transcript),
        "    ]",
    ]
    return "\n".join(lines) + "\n"


_HISTORY: Final = (
    "    # First of all it creates the items of realtime_mock.history: they stand for what was",
    "    # said before.",
)


def _literal(text: str) -> str:
    """The text as a Python literal, in double quotes where that needs no escapes."""
    told = ascii(text)
    return told if '"' in told or "\\" in told else f'"{told[1:-1]}"'
