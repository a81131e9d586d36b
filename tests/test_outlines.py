"""What one fold gives to the read models, and the version that it carries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from recorder.sql import outlines
from recorder.sql.outlines import SOURCES, Made, made_of, version
from recorder.store import MemoryStore

from .talks import Talk, refused, spoken, texted

LOADED = """
import sys
from recorder.sql.outlines import made_of
from recorder.store import MemoryStore
from tests.talks import spoken
store = MemoryStore()
before = set(sys.modules)
talk = spoken(store)
assert not made_of(store, talk.id, 1, talk.recorder.last_seq).outline.trouble
for name, module in sys.modules.items():
    if name.startswith("recorder") and getattr(module, "__file__", None):
        print(module.__file__)
"""

HAS_NO_SAY = (
    "__init__.py", "errors.py", "store.py", "recording.py", "secrets.py", "capturing.py",
    "selecting", "sql", "reporting/__init__.py",
)  # fmt: skip
"""What is loaded too and changes nothing that is kept: the log itself, how it is written and asked
for. (Of `selecting` and `sql` the modules that do have a say are in `SOURCES` by name.)"""


def test_the_version_covers_all_code_that_has_a_say() -> None:
    """Everything that is imported for a fold is in the digest, or is known to have no say."""
    root = Path(outlines.__file__).parent.parent
    told = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parent.parent,
    ).stdout.split()  # fmt: skip
    loaded = {Path(name).relative_to(root) for name in told}
    covered = {Path(name) for name in (*SOURCES, *HAS_NO_SAY)}

    left = {str(each) for each in loaded if not covered & {each, *each.parents}}
    assert left == set()
    assert all((root / name).exists() for name in SOURCES)
    assert {Path("projections/analysis.py"), Path("sql/turn_table.py")} < loaded


def test_the_version_follows_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One character in one file of it, and what was kept is no longer taken for ours."""
    for name in SOURCES:
        place = tmp_path / name
        if not name.endswith(".py"):
            place = place / "module.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("x = 1\n")
    monkeypatch.setattr(outlines, "__file__", str(tmp_path / "sql" / "outlines.py"))
    before = version.__wrapped__()
    assert version.__wrapped__() == before

    (tmp_path / SOURCES[0] / "module.py").write_text("x = 2\n")
    after = version.__wrapped__()
    assert after != before

    (tmp_path / SOURCES[0] / "module.py").rename(tmp_path / SOURCES[0] / "other.py")
    assert version.__wrapped__() not in (before, after)

    (tmp_path / "wire.py").unlink()
    assert version.__wrapped__() == "0.1.0"


def made(talk: Talk, store: MemoryStore) -> Made:
    """What the fold of this session gives."""
    return made_of(store, talk.id, 1, talk.recorder.last_seq)


def test_labels_are_folded_and_say_what_globs_are_held_against() -> None:
    """Models asked for and stated, call, tags; each kind by itself."""
    store = MemoryStore()
    talk = spoken(store, call=" Support 17 ", tags=("Slow",), model="GPT-X")

    assert made(talk, store).labels == {
        ("model", "gpt-x"), ("model", "gpt-realtime-2025"), ("call", "support 17"),
        ("tag", "slow"),
    }  # fmt: skip


def test_every_kind_of_error_is_a_label() -> None:
    """Said on the wire, of a response, of the upgrade, of the close."""
    store = MemoryStore()
    talk = Talk(store).opened().created()
    talk.server(200, "error", error={"type": "tokens", "code": "Rate_Limit", "message": "m"})
    failed = {"id": "resp_f", "status": "failed", "output": [], "status_details": {
        "type": "failed", "error": {"type": "server_error", "code": "overloaded"}}}  # fmt: skip
    talk.server(300, "response.created", response={"id": "resp_f", "status": "in_progress"})
    talk.server(310, "response.done", response=failed)
    talk.closed(400, error="connection reset").kept()

    labels = {label for kind, label in made(talk, store).labels if kind == "error"}
    assert {"rate_limit", "tokens", "overloaded", "connection reset"} <= labels
    assert ("error", "401") in made(refused(store, seed=2), store).labels


def test_a_label_is_not_a_novel() -> None:
    """Some providers write a page into an error code."""
    store = MemoryStore()
    talk = Talk(store).opened().created()
    talk.server(200, "error", error={"code": "x" * 5000}).kept()

    assert ("error", "x" * 200) in made(talk, store).labels


def test_all_that_a_transcript_shows_can_be_searched_for() -> None:
    """Both speakers, notes, and tools with their arguments and outputs; never redacted secrets."""
    store = MemoryStore()
    talk = texted(store, "Where is my parcel?")
    call = {"id": "item_c", "type": "function_call", "name": "find_parcel", "call_id": "call_1",
            "arguments": '{"number":"A17"}', "status": "completed"}  # fmt: skip
    talk.server(600, "response.created", response={"id": "resp_c", "status": "in_progress"})
    talk.server(610, "response.output_item.done", response_id="resp_c", output_index=0, item=call)
    talk.server(620, "response.done",
                response={"id": "resp_c", "status": "completed", "output": [call]})  # fmt: skip
    output = {"type": "function_call_output", "call_id": "call_1", "output": '{"city":"Oslo"}'}
    talk.client(700, "conversation.item.create", item=output)
    talk.own("note", 800, text="echo on the line", at_ns=0).kept()

    text = made(talk, store).text

    for words in ("where is my parcel", "hi", "find_parcel", "a17", "oslo", "echo on the line"):
        assert f" {words} " in text.replace("\n", " "), words


def test_what_databases_refuse_is_replaced() -> None:
    """NUL and lone surrogates in what a server calls its model."""
    store = MemoryStore()
    talk = Talk(store).opened()
    talk.created(model="a\x00b").kept()

    assert made(talk, store).outline.model == "a\ufffdb"
    assert all("\x00" not in label for _, label in made(talk, store).labels)
