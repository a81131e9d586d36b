"""What becomes of the recorded caller's words in this run: ids, dialect, overrides.

Laws:

1. What needs no change goes out as the bytes that passed.
2. Ids that the recorded server gave become those of this run; ids that the client chose stay.
3. How much of an item was heard is what the recorded client believed, moved by how much later or
   earlier it is said now, and never more than has arrived.
4. What names something that this run has not is not sent; only a place in the conversation is
   left out, and the item comes last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from ..dialects.reading import integer, mapping, sequence, text
from ..errors import UsageError
from ..events import TEXT, Event, Origin
from ..replaying import causes
from .checking import WITH_SECRETS, check_secrets, whole
from .nouns import MS, Name, Options, Plan, Rules
from .overriding import first_update, later, overrides
from .requests import ANSWERS
from .translating import only_ga, to_ga
from .watching import Watch

if TYPE_CHECKING:
    from .nouns import JSON

_PLACE: Final = "previous_item_id"
_SUBJECTS: Final = ("item_id", "response_id")


class Worded(NamedTuple):
    """What is sent, and what a person should know of it."""

    message: bytes | None
    """None: it is not sent."""
    remarks: tuple[str, ...] = ()


class Wording:
    """Words one run."""

    def __init__(self, plan: Plan, options: Options, rules: Rules, live: Watch) -> None:
        self._plan, self._options, self._rules, self._live = plan, options, rules, live
        self._configured = False
        self._lost: set[str] = set()

    @property
    def extra(self) -> bool:
        """Whether a configuration must be sent that the recording does not begin with."""
        asks = overrides(self._options, beta=False).keys() - {"model"}
        acts, gates = self._plan.acts, self._plan.voice.gates
        first = bool(acts) and acts[0].kind == causes.UPDATE and (not gates or gates[0] > 0)
        return bool(asks) and not first

    def extra_update(self) -> bytes:
        """A configuration that holds the overrides and nothing else."""
        self._configured = True
        session = first_update({}, self._over, beta=self._beta)
        return orjson.dumps({"type": causes.UPDATE, "session": session})

    @property
    def _beta(self) -> bool:
        return bool(self._live.beta)

    @property
    def _over(self) -> JSON:
        return overrides(self._options, beta=self._beta)

    def of(self, event: Event, due_ns: int) -> Worded:
        """The recorded event as it is sent now. Raises `UsageError` where it cannot be said."""
        message = whole(event, self._live.axis.input)
        body = parsed(message)
        if body is None:
            return Worded(message)
        told, remarks = self._dialect(event, body)
        told = self._overridden(event.type, told)
        told, missing = self._renamed(told)
        if missing:
            return Worded(None, (*remarks, f"{_named(event)} is not sent: {missing}"))
        told, more = self._placed(event, told)
        told, none = self._shortened(event, told, due_ns)
        if none:
            return Worded(None, (*remarks, f"{_named(event)} is not sent: {none}"))
        message = message if told == body else orjson.dumps(told)
        check_secrets(event, message)
        return Worded(message, (*remarks, *more))

    def answer(self, event: Event, server_id: str, *, again: bool) -> Worded:
        """A recorded answer, to what this run asked for. `again`: it was given before."""
        message = whole(event, self._live.axis.input)
        body = parsed(message) or {}
        item = dict(mapping(body, "item"))
        item[ANSWERS[text(item, "type")]] = server_id
        if again:
            item.pop("id", None)
        told, remarks = self._placed(event, {**body, "item": item})
        return Worded(orjson.dumps(told), tuple(remarks))

    # ---- one change each

    def _dialect(self, event: Event, body: JSON) -> tuple[JSON, list[str]]:
        if self._live.beta:
            if self._plan.mixed:
                return body, []
            if foreign := only_ga(event.type, body):
                raise UsageError(
                    f"the endpoint speaks the beta protocol, and the recording that of GA "
                    f"({foreign} in event {event.seq}): it is not translated backwards. Name an "
                    "endpoint that speaks GA, or ask for it with --dialect ga"
                )
            return body, []
        if self._live.beta is None:
            return body, []
        told, lost = to_ga(event.type, body)
        new = [each for each in lost if each not in self._lost]
        self._lost.update(new)
        return told, [f"GA has no word for {each}: it is left out" for each in new]

    def _overridden(self, kind: str, body: JSON) -> JSON:
        over = self._over
        if not over:
            return body
        if causes.canonical(kind) == causes.UPDATE and not self._configured:
            self._configured = True
            session = first_update(mapping(body, "session"), over, beta=self._beta)
            return {**body, "session": session}
        return later(kind, body, over)

    def _renamed(self, body: JSON) -> tuple[JSON, str]:
        """With this run's ids; and what it names that this run has not."""
        found = dict(body)
        for member in _SUBJECTS:
            now, missing = self._id(text(body, member))
            if missing:
                return body, f"this run has nothing in the place of {member} {text(body, member)}"
            if now:
                found[member] = now
        asked = mapping(body, "response")
        if any(isinstance(each, dict) for each in sequence(asked, "input")):
            found["response"] = {
                **asked,
                "input": [self._reference(each) for each in asked["input"]],
            }
        return found, ""

    def _id(self, recorded: str) -> tuple[str, bool]:
        """What it is called now, and whether it should be there and is not."""
        name = self._plan.names.get(recorded)
        if not recorded or name is None:
            return recorded, False
        now = self._live.ids.get(name, "")
        return now, not now

    def _reference(self, part: Any) -> Any:
        if not isinstance(part, dict) or part.get("type") != "item_reference":
            return part
        now, missing = self._id(text(part, "id"))
        return part if missing else {**part, "id": now}

    def _placed(self, event: Event, body: JSON) -> tuple[JSON, list[str]]:
        now, missing = self._id(text(body, _PLACE))
        if missing:
            told = f"{_named(event)}: what it was put behind is not in this run, so it comes last"
            return {name: value for name, value in body.items() if name != _PLACE}, [told]
        return ({**body, _PLACE: now} if now else body), []

    def _shortened(self, event: Event, body: JSON, due_ns: int) -> tuple[JSON, str]:
        """A truncation at the place where this run's audio was when it was heard that far."""
        believed = integer(body, "audio_end_ms")
        if causes.canonical(event.type) != causes.TRUNCATE or believed is None:
            return body, ""
        name = self._plan.names.get(text(parsed(event.head) or {}, "item_id"))
        then, now = (
            self._first(self._plan.first_sound, name),
            self._first(self._live.first_sound, name),
        )
        if then is None:
            return body, ""
        if now is None or name is None:
            return body, "nothing of that item was said in this run"
        later_ns = self._rules.speed * (due_ns - now) - (event.at_ns - then)
        arrived_ms = self._live.received_ns.get(name, 0) // MS
        heard = min(max(0, believed + round(later_ns / MS)), arrived_ms)
        return {**body, "audio_end_ms": heard}, ""

    @staticmethod
    def _first(sounds: Any, name: Name | None) -> int | None:
        found: int | None = sounds.get(name)
        return found


def check_words(plan: Plan, options: Options, rules: Rules) -> None:
    """What shows before anybody is dialled: a secret that is missing. Raises `UsageError`."""
    wording = Wording(plan, options, rules, Watch())
    for act in plan.acts:
        if act.kind in WITH_SECRETS:
            wording.of(act.event, 0)


def parsed(message: bytes) -> JSON | None:
    """The message as a JSON object; None where it is none."""
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def client_event(kind: str, message: bytes, at_ns: int) -> Event:
    """A message of ours, as a watch is told of it."""
    return Event(0, at_ns, Origin.CLIENT, kind, TEXT, message)


def _named(event: Event) -> str:
    return f"{event.type or 'a message'} (event {event.seq})"
