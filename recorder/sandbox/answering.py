"""Who answers: at most one response at a time in the conversation, any number beside it.

Laws:

1. A second response in the conversation is refused to a client; one that the VAD wants waits until
   the first has ended.
2. A response out of band (`conversation: "none"`) touches neither conversation nor turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from recorder.sandbox import checks
from recorder.sandbox.answers import Repertoire, Situation
from recorder.sandbox.checks import Invalid
from recorder.sandbox.client_items import read_item
from recorder.sandbox.config import Config, merged_response
from recorder.sandbox.conversation import Item
from recorder.sandbox.responding import Request, Response
from recorder.sandbox.state import State

_OWN = ("conversation", "input", "metadata")
"""Members of `response.create` that are no settings."""
MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512


class Answering:
    """The responses of one session."""

    def __init__(self, state: State, quiet: Callable[[], None]) -> None:
        self._state, self._quiet = state, quiet
        self._repertoire = Repertoire(state.script)
        self._active: Response | None = None
        self._beside: dict[str, Response] = {}
        self._turn_waits = False
        self._turn = 0

    @property
    def is_active(self) -> bool:
        """A response is being given in the conversation."""
        return self._active is not None

    def create(self, patch: Mapping[str, Any]) -> None:
        """What a client asked for with `response.create`."""
        if self._state.config.type != "realtime":
            raise Invalid("A transcription session gives no responses.", param="type")
        out_of_band = self._is_out_of_band(patch.get("conversation"))
        if self._active is not None and not out_of_band:
            raise Invalid(
                f"Conversation already has an active response in progress: {self._active.id}. "
                "Wait until the response is finished before creating a new one.",
                code="conversation_already_has_active_response",
            )
        settings = {name: value for name, value in patch.items() if name not in _OWN}
        config = merged_response(self._state.config, settings, self._state.dialect)
        metadata = _read_metadata(patch.get("metadata"))
        context = self._read_input(patch.get("input"))
        self._begin(config, context, metadata=metadata, out_of_band=out_of_band)

    def answer_turn(self) -> None:
        """The user's turn is over, and the session says that the server answers by itself."""
        if self._active is None:
            self._begin(self._state.config, tuple(self._state.conversation))
        else:
            self._turn_waits = True

    def cancel(self, response_id: str | None) -> None:
        """What a client asked for with `response.cancel`."""
        response = self._active if response_id is None else self._find(response_id)
        if response is None:
            raise Invalid(
                "Cancellation failed: no active response found", code="response_cancel_not_active"
            )
        response.stop("client_cancelled")

    def interrupt(self) -> None:
        """The user began to speak: what is being given stops."""
        self._turn_waits = False
        if self._active is not None:
            self._active.stop("turn_detected")

    def _find(self, response_id: str) -> Response | None:
        if self._active is not None and self._active.id == response_id:
            return self._active
        return self._beside.get(response_id)

    def _begin(
        self,
        config: Config,
        context: tuple[Item, ...],
        *,
        metadata: Mapping[str, str] | None = None,
        out_of_band: bool = False,
    ) -> None:
        tool, output = self._newest_output(context)
        self._turn += tool is None and not out_of_band
        situation = Situation(
            config=config,
            user_words=self._user_words(context),
            turn=self._turn,
            after_tool=tool,
            out_of_band=out_of_band,
        )
        request = Request(
            situation=situation, context=context, metadata=metadata, tool_output=output
        )
        answer = self._repertoire.choose(situation)
        response = Response(self._state, request, answer, self._ended)
        if out_of_band:
            self._beside[response.id] = response
        else:
            self._active = response
        response.begin()

    def _ended(self, response: Response) -> None:
        self._beside.pop(response.id, None)
        if response is not self._active:
            return
        self._active = None
        if self._turn_waits:
            self._turn_waits = False
            self.answer_turn()
        else:
            self._quiet()

    def _is_out_of_band(self, value: object) -> bool:
        if value is None:
            return False
        choices = ("auto", "none", self._state.conversation_id)
        return checks.one_of(value, "response.conversation", choices) == "none"

    def _read_input(self, value: object) -> tuple[Item, ...]:
        """The items to answer: given with the request, or the conversation."""
        if value is None:
            return tuple(self._state.conversation)
        items = checks.array(value, "response.input")
        return tuple(self._read_one(item, f"response.input[{i}]") for i, item in enumerate(items))

    def _read_one(self, value: object, param: str) -> Item:
        given = checks.record(value, param)
        if given.get("type") != "item_reference":
            audio, dialect = self._state.config.input_format, self._state.dialect
            return read_item(given, self._state.ids.new("item"), audio, dialect, param=param)
        item_id = checks.text(checks.required(given, "id", f"{param}."), f"{param}.id")
        item = self._state.conversation.find(item_id)
        if item is None:
            raise Invalid(f"Item with id '{item_id}' not found.", param=f"{param}.id")
        return item

    def _newest_output(self, context: tuple[Item, ...]) -> tuple[str | None, str]:
        """The function whose output came last, and that output."""
        if not context or context[-1].body["type"] != "function_call_output":
            return None, ""
        body = context[-1].body
        return self._state.conversation.call_name(body["call_id"]) or "", body["output"]

    def _user_words(self, context: tuple[Item, ...]) -> str:
        """What the user said last."""
        for item in reversed(context):
            if item.body.get("role") == "user":
                return self._state.user_words.get(item.id) or " ".join(item.texts)
        return ""


def _read_metadata(value: object) -> Mapping[str, str] | None:
    param = "response.metadata"
    if value is None:
        return None
    members = checks.record(value, param)
    if len(members) > MAX_PAIRS:
        raise Invalid(f"Invalid '{param}': at most {MAX_PAIRS} pairs.", param=param)
    for name, each in members.items():
        if len(name) > MAX_KEY or len(checks.text(each, f"{param}.{name}")) > MAX_VALUE:
            raise Invalid(
                f"Invalid '{param}': keys have at most {MAX_KEY}, values {MAX_VALUE} characters.",
                param=f"{param}.{name[:MAX_KEY]}",
            )
    return members
