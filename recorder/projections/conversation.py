"""The conversation: items in their order, responses, tool calls, configuration, errors.

Built from the events alone, whatever dialect each was in (`words` for what was said, `order`
for where it stands). Out-of-band responses and their items are kept apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..dialects.facts import ErrorSeen, RateLimits, SessionAsked, SessionConfig, SessionStated
from .base import Fold, Together, on
from .board import Board
from .items import ItemsFold
from .memory import Memory
from .model import ConfigChange, Conversation, Item
from .responses import ResponsesFold
from .touching import ItemsMade
from .troubles import Troubles

if TYPE_CHECKING:
    from ..events import Event
    from .entries import ItemState, ResponseState
    from .inputs import Moment
    from .model import Response


class ConfigsFold(Fold[tuple[ConfigChange, ...]]):
    """The session's configuration over time, and what is left of the rate limits."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self.changes: list[ConfigChange] = []
        self.limits: list[dict[str, Any]] = []
        self._formats = board.formats
        self._last: SessionConfig | None = None
        self._stated_last: SessionConfig | None = None

    @on(SessionAsked)
    def _asked(self, event: Event, fact: SessionAsked) -> None:
        self._formats.asked(fact)
        self._change(event, "client", fact.config)

    @on(SessionStated)
    def _stated(self, event: Event, fact: SessionStated) -> None:
        self._formats.stated(fact)
        self._change(event, "server", fact.config)

    @on(ErrorSeen)
    def _refused(self, event: Event, fact: ErrorSeen) -> None:
        self._formats.refused(fact)

    def _change(self, event: Event, by: str, config: SessionConfig) -> None:
        """What the server states stands on what it stated before, not on what was asked for."""
        base = self._stated_last if by == "server" else self._last
        merged = base.merged(config) if base is not None else config
        self._last = merged
        if by == "server":
            self._stated_last = merged
        self.changes.append(ConfigChange(event.seq, event.at_ns, by, merged))

    @on(RateLimits)
    def _limits(self, event: Event, fact: RateLimits) -> None:
        if fact.limits:
            limits = [dict(limit) for limit in fact.limits]
            self.limits.append({"seq": event.seq, "at_ns": event.at_ns, "limits": limits})

    def result(self) -> tuple[ConfigChange, ...]:
        return tuple(self.changes)


class _Items(ItemsMade[Item]):
    """The items as they are told of; only those are made anew that an event touched."""

    def made(self) -> dict[str, Item]:
        """By id; some may not be a part of the conversation any more."""
        self._freshen()
        return self._made

    def _item(self, state: ItemState) -> Item:
        return state.item(self._board.responses.get(state.response))


class ConversationFold(Together):
    """The conversation, fed together with other folds."""

    def __init__(self) -> None:
        self._board = Board()
        self._configs = ConfigsFold(self._board)
        self._troubles = Troubles()
        self._items, self._memory = _Items(self._board), Memory()
        parts = (ResponsesFold(self._board), ItemsFold(self._board), self._items)
        super().__init__(self._configs, *parts, self._troubles)

    def conversation(self) -> Conversation:
        """The conversation as it stands."""
        board, made = self._board, self._items.made()
        return Conversation(
            tuple([made[item] for item in board.order if item in board.items]),
            tuple([made[name] for name, state in board.items.items() if state.out_of_band]),
            tuple([self._response(state) for state in board.responses.values()]),
            self._memory.same("calls", board.calls.all()),
            self._configs.result(),
            self._memory.same("errors", self._troubles.result()),
            tuple(self._configs.limits),
        )

    def _response(self, state: ResponseState) -> Response:
        """It is another one only if anything of its state is."""
        form = self._board.formats.output
        given = (state.created, state.done, state.asked, state.cancel, state.status, state.reason,
                 state.error, len(state.items), len(state.calls), state.first_delta,
                 state.first_audio, state.last_audio, state.audio_bytes, state.form or form,
                 state.out_of_band, state.modalities, state.voice, state.usage,
                 state.metadata)  # fmt: skip
        return self._memory.of(state.id, given, lambda: state.response(form))

    def unanswered(self) -> list[Moment]:
        """Requests for a response that no response answered."""
        return list(self._board.asked)


class ConversationProjection(Fold[Conversation]):
    """`ConversationFold` by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._fold = ConversationFold()
        self.handlers, self.every = self._fold.handlers, self._fold.every

    def result(self) -> Conversation:
        return self._fold.conversation()
