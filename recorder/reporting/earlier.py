"""The span before a selection: what `--vs previous` compares with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..errors import UsageError
from ..selecting.conditions import Need, Opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..selecting.conditions import Selection

PREVIOUS: Final = "previous"
"""The word for it."""


def check_comparable(by: Sequence[str], vs: str | None) -> None:
    """Raise `UsageError` where groups could have no partner in what they are compared with."""
    if vs == PREVIOUS and "day" in by:
        raise UsageError("--vs previous: the days before are other days; leave day out of --by")


def previous(selection: Selection, now_ns: int) -> Selection:
    """The same selection in the span of the same length that ends where this one begins.

    A selection without `until:` ends now. Raises `UsageError` where it does not say since when.
    """
    spans = list(_spans(selection))
    since = max((s.since_ns for s in spans if s.since_ns is not None), default=None)
    until = min((s.until_ns for s in spans if s.until_ns is not None), default=now_ns)
    if since is None:
        raise UsageError("--vs previous: before what? The selection needs a since:, as in since:7d")
    if since >= until:
        raise UsageError("--vs previous: the selection begins after it ends; look at its since:")
    rest = tuple(need for need in selection.needs if not _is_span(need))
    span = Need((Opened(since - (until - since), since),))
    return replace(selection, needs=(*rest, span))


def _is_span(need: Need) -> bool:
    return need.wanted and all(isinstance(test, Opened) for test in need.tests)


def _spans(selection: Selection) -> Iterator[Opened]:
    for need in selection.needs:
        if _is_span(need):
            yield from (test for test in need.tests if isinstance(test, Opened))
