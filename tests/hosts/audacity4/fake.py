"""A strict stand-in for the part of Audacity 4 that runs extensions.

The scripts run in Qt's own JavaScript engine, of the version that Audacity 4 is built with, and the
extension's real library is called through its C interface. Every touch of the API is checked
against the API's own data: unknown names, number and types of arguments. So are the rules that
Audacity trusts an extension to keep; breaking one is a fault, even if the script catches it. What
nobody knows of Audacity 4 yet is a switch (`project.Semantics`).
"""

from __future__ import annotations

import json
import math
import os
import platform
import queue
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import Property, QCoreApplication, QObject, Slot
from PySide6.QtQml import QJSEngine, QJSValue

from tests.hosts.audacity4.api import Bytes, Reference, against, kinds
from tests.hosts.audacity4.kinds import (
    INTERNAL,
    MODULES,
    Edit,
    Fault,
    Native,
    Refusal,
    Session,
    Task,
    Thing,
)
from tests.hosts.audacity4.native import STATUSES, Answer
from tests.hosts.audacity4.project import AudioTrack, Project, Semantics

PRELUDE = Path(__file__).with_name("prelude.js").read_text()
POLL = 0.01  # seconds between polls; 0.05 in Audacity
POLLS_AFTER_CANCEL = 100
GROUPS = ("effect", "generate", "analyze", "tools")
Range = tuple[float, float, list[AudioTrack]]


class UnmodelledError(Exception):
    """The fake lacks something that Audacity has: no fault of the extension's."""


class Gate(QObject):
    """Where the scripts' calls come in."""

    def __init__(self, instance: Instance) -> None:
        super().__init__()
        self._instance = instance

    @Slot(int, str, str, result=str)
    def call(self, number: int, name: str, given: str) -> str:
        return self._instance.answer(lambda: self._instance.call(number, name, json.loads(given)))

    @Slot(int, str, result=str)
    def read(self, number: int, name: str) -> str:
        return self._instance.answer(lambda: self._instance.read(number, name))

    @Slot(str, str)
    def missing(self, kind: str, name: str) -> None:
        self._instance.host.faults.append(f"{kind} has no {name}")


class Report(QObject):
    """Hears how a Promise ends."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    @Slot(bool, str, str)
    def ended(self, went: bool, text: str, message: str) -> None:
        shown = message if self._run.host.semantics.shown == "message" else text
        self._run.settled = (went and text != "false", shown)


class Loader(QObject):
    """`require` and `module`, as the framework has them: one `exports` for all files."""

    def __init__(self, instance: Instance, script: Path) -> None:
        super().__init__()
        self._instance = instance
        self._files = [script]

    @Slot(str, result=QJSValue)
    def require(self, name: str) -> QJSValue:
        instance = self._instance
        if name.startswith(("MuseInternal.", "api.")):
            instance.host.faults.append(f"{name} is required")
            return QJSValue()
        if name in instance.host.modules:
            return instance.give(instance.host.modules[name](instance))
        path = self._files[-1].parent / (name if name.endswith(".js") else f"{name}.js")
        if not path.is_file():
            return QJSValue()
        self._files.append(path)
        result = instance.js.evaluate("(function() { \n" + path.read_text() + "}());", str(path))
        self._files.pop()
        if result.isError():
            instance.host.faults.append(_where(result))
            return QJSValue()
        return instance.js.globalObject().property("exports")

    def _get(self) -> QJSValue:
        return self._instance.js.globalObject().property("exports")

    def _set(self, value: QJSValue) -> None:
        self._instance.js.globalObject().setProperty("exports", value)

    exports = Property(QJSValue, _get, _set)


def _where(error: QJSValue) -> str:
    file = Path(error.property("fileName").toString()).name
    return f"{file}:{error.property('lineNumber').toInt()}: {error.toString()}"


class Instance:
    """An effect that was opened: an engine of its own, and what its script made in it."""

    def __init__(self, host: Host, about: dict[str, str]) -> None:
        self.host = host
        self.about = about
        self.run: Run | None = None
        self.flying = 0  # native calls on worker threads
        self._things: list[Thing] = []
        self._numbers: dict[Thing, int] = {}
        self.js = QJSEngine()
        self.js.installExtensions(QJSEngine.Extension.ConsoleExtension)
        self._gate, script = Gate(self), host.bundle / about["script"]
        self._loader = Loader(self, script)
        self.far = self.js.evaluate(PRELUDE).call([self._own(self._gate)])
        assert not self.far.isError(), _where(self.far)
        globals_, loader = self.js.globalObject(), self._own(self._loader)
        globals_.setProperty("require", loader.property("require"))
        globals_.setProperty("exports", self.js.newObject())
        globals_.setProperty("module", loader)
        result = self.js.evaluate(script.read_text(), str(script))
        assert not result.isError(), _where(result)
        factory = globals_.property("exports").property(about.get("factory", "createEffect"))
        assert factory.isCallable(), f"{script.name} has no factory"
        self.effect = factory.call()
        assert not self.effect.isError(), _where(self.effect)
        assert self.effect.isObject(), "the factory made nothing"

    def _own(self, thing: QObject) -> QJSValue:
        QJSEngine.setObjectOwnership(thing, QJSEngine.ObjectOwnership.CppOwnership)
        return self.js.newQObject(thing)

    # What the scripts call.

    def answer(self, work: Callable[[], Any]) -> str:
        try:
            return json.dumps(self.pack(work()))
        except Fault as fault:
            self.host.faults.append(str(fault))
            return json.dumps(["type error", str(fault)])
        except Refusal as refusal:
            return json.dumps(["error", str(refusal)])
        except Exception as error:  # the fake's own: must not get lost in Qt
            self.host.broken.append(error)
            return json.dumps(["error", repr(error)])

    def call(self, number: int, name: str, packed: list[Any]) -> Any:
        thing, given = self._things[number], [self.unpack(one) for one in packed]
        kind = kinds().get(thing.kind)
        if name not in INTERNAL:
            assert kind is not None
            wrong = against(kind.methods[name], given)
            if wrong:
                raise Fault(f"{thing.kind}.{name}: {wrong}")
        method = getattr(thing, name, None)
        if method is None:
            raise UnmodelledError(f"{thing.kind}.{name}")
        return method(*[self.resolve(one) for one in given])

    def read(self, number: int, name: str) -> Any:
        thing = self._things[number]
        if not hasattr(thing, name):
            raise UnmodelledError(f"{thing.kind}.{name}")
        return getattr(thing, name)

    # Values on their way.

    def unpack(self, packed: list[Any]) -> Any:
        tag, *rest = packed
        if tag == "none":
            return None
        if tag == "number":
            return float(rest[0])
        if tag == "odd":
            return float(rest[0].replace("Infinity", "inf"))
        if tag == "thing":
            return Reference(rest[0], self._things[rest[0]].kind)
        if tag == "list":
            return [self.unpack(one) for one in rest[0]]
        if tag == "map":
            return {key: self.unpack(one) for key, one in rest[0].items()}
        if tag == "bytes":
            return Bytes(bytes(rest[0]))
        if tag == "function":
            raise Fault("a function is given to the API")
        return rest[0]

    def resolve(self, value: Any) -> Any:
        if isinstance(value, Reference):
            return self._things[value.number]
        return [self.resolve(one) for one in value] if isinstance(value, list) else value

    def pack(self, value: Any) -> list[Any]:
        if value is None:
            return ["null"]
        if isinstance(value, float) and not math.isfinite(value):
            return ["nan"]
        if isinstance(value, Thing):
            if value not in self._numbers:
                self._numbers[value] = len(self._things)
                self._things.append(value)
            kind = kinds().get(value.kind)
            methods = list(kind.methods) if kind else []
            properties = list(kind.properties) if kind else []
            return ["thing", self._numbers[value], value.kind, methods, properties]
        if isinstance(value, list):
            return [self.host.semantics.lists, [self.pack(one) for one in value]]
        if isinstance(value, Bytes):
            return ["bytes", list(value.data)]
        return ["value", value]

    def give(self, value: Any) -> QJSValue:
        return self.far.property("wrap").call([QJSValue(json.dumps(self.pack(value)))])

    def settle(self, answer: Answer) -> None:
        self.flying -= 1
        went = answer.status == 0
        value = answer.value if went or isinstance(answer.value, str) else STATUSES[answer.status]
        text = json.dumps(self.pack(value) if value is not None else ["none"])
        self.far.property("settle").call([QJSValue(answer.key), QJSValue(went), QJSValue(text)])

    # What Audacity calls.

    def has(self, method: str) -> bool:
        return bool(self.effect.property(method).isCallable())

    def invoke(self, method: str, *given: QJSValue) -> QJSValue:
        return self.effect.property(method).callWithInstance(self.effect, list(given))

    def parameters(self) -> list[dict[str, Any]]:
        found = self.invoke("parameters")
        assert not found.isError(), _where(found)
        return found.toVariant()  # type: ignore[no-any-return]

    def settings(self, **given: Any) -> dict[str, Any]:
        """Return all settings: those that are given, else as the dialog shows them at first."""
        known = {one["id"]: one["defaultValue"] for one in self.parameters()}
        assert set(given) <= set(known), given
        found = {**known, **given}
        if self.host.semantics.numbers == "string":
            return {k: str(v) if isinstance(v, (int, float)) else v for k, v in found.items()}
        return found

    def validate(self, settings: dict[str, Any]) -> str:
        if not self.has("validate"):
            return ""
        said = self.invoke("validate", self.js.toScriptValue(settings))
        if said.isError():
            return said.toString()
        if said.isBool() and not said.toBool():
            return "(refused)"
        return said.toString() if said.isString() else ""

    def close(self) -> None:
        if self.host.semantics.destroys and self.has("destroy"):
            said = self.invoke("destroy")
            assert not said.isError(), _where(said)


class Run:
    """One call of `process` and what follows from it. `range` is what it sees as selected."""

    def __init__(
        self,
        instance: Instance,
        settings: dict[str, Any],
        range_: Range,
        *,
        preview: bool = False,
    ) -> None:
        self.host = instance.host
        self.preview = preview
        self.instance = instance
        self.range = range_
        self.session = Session(instance)
        self.scope: Session | None = None  # while an edit may begin
        self.edit: Edit | None = None
        self.task = Task(instance)
        self.over = False
        self.went = False
        self.text = ""
        self.settled: tuple[bool, str] | None = None
        self.polls = 0
        self._cancelled_at = -1
        self._polled = time.monotonic()
        self._report = Report(self)
        instance.run = self
        given = [instance.js.toScriptValue(settings), instance.give(self.session)]
        self.scope = self.session
        answer = instance.invoke("process", *given, instance.give(self.task))
        self.scope = None
        if answer.isError():
            self._end(False, answer.toString())
        elif answer.property("then").isCallable():
            instance.far.property("watch").call([answer, instance._own(self._report)])
        else:
            self._end(not (answer.isBool() and not answer.toBool()), "")

    def cancel(self) -> None:
        """What the button does."""
        self.task.cancelled = True
        if self._cancelled_at < 0:
            self._cancelled_at = self.polls

    def step(self) -> None:
        """Do what is due, and return."""
        self.host.turn()
        if self.over:
            return
        if self.settled is not None:
            self._end(*self.settled)
        elif time.monotonic() - self._polled >= POLL:
            self._polled = time.monotonic()
            self.polls += 1
            self.scope = self.session
            said = self.instance.invoke("poll", self.instance.give(self.task))
            self.scope = None
            if said.isError():
                self._end(False, said.toString())
            elif self.task.cancelled and self.polls - self._cancelled_at > POLLS_AFTER_CANCEL:
                self.host.faults.append("nothing came of Cancel for 100 polls")
                self._end(False, "")

    def _end(self, went: bool, text: str) -> None:
        self.over = True
        edit = self.edit
        if went and edit is not None and not edit.committed:
            self.host.faults.append("an edit was begun and not committed")
            went, text = False, "The edit was not committed"
        if self.task.cancelled:
            went, text = False, ""  # nobody is told
        if went and edit is not None and self.host.project.closed:
            went, text = False, "The project is not open any more"
        self.went, self.text = went, text


class Host:
    """Audacity 4 with one extension and one project."""

    def __init__(self, bundle: Path, project: Project, semantics: Semantics | None = None) -> None:
        self.app = QCoreApplication.instance() or QCoreApplication([])
        self.bundle = bundle
        self.project = project
        self.semantics = semantics or Semantics()
        self.modules: dict[str, Any] = {**MODULES, self.semantics.native: Native}
        self.pool = ThreadPoolExecutor(self.semantics.workers)
        self.ended: queue.Queue[Answer] = queue.Queue()
        self.faults: list[str] = []
        self.broken: list[Exception] = []
        self.log: list[str] = []
        self.blocking: list[str] = []  # native calls on the main thread
        self.holding = False  # the answers of native calls come later
        self.watchers: list[Callable[[str], None]] = []
        self.instances: list[Instance] = []
        self.effects = self._manifest()

    def _manifest(self) -> dict[str, dict[str, str]]:
        """Read the manifest as strictly as any of Audacity's readers does."""
        about = json.loads((self.bundle / "manifest.json").read_text())
        for field in ("uri", "type", "title", "description", "version", "vendor"):
            assert about[field], f"the manifest's {field} is empty"
        assert re.fullmatch(r"[a-z]+://[a-z0-9/-]+", about["uri"]), about["uri"]
        assert not about["uri"].split("://")[1].startswith("extensions/dev/")
        assert isinstance(about["actions"], list)
        if about["actions"]:
            assert about["uri"].startswith(self.semantics.scheme)
        effects = {one["id"]: one for one in about["contributes"]["audacity.effects"]}
        for id_, one in effects.items():
            assert re.fullmatch(r"[a-z0-9-]+", id_), id_
            assert one["group"] in GROUPS
            assert all(one[field] for field in ("title", "script", "vendor", "description"))
            assert (self.bundle / one["script"]).resolve().is_relative_to(self.bundle.resolve())
        return effects

    def library(self, name: str) -> Path | None:
        machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
        path = self.bundle / "platform" / "linux" / machine / f"{name}.so"
        return path if path.is_file() else None

    def called(self, name: str) -> None:
        for watcher in list(self.watchers):
            watcher(name)

    def open(self, effect: str) -> Instance:
        """Open an effect, as its menu entry does."""
        self.instances.append(Instance(self, self.effects[effect]))
        return self.instances[-1]

    def turn(self) -> None:
        """Let the event loop turn once: Promise jobs, and answers of native calls."""
        self.app.processEvents()
        while not (self.holding or self.ended.empty()):
            answer = self.ended.get()
            for memory in answer.memories:
                memory.users -= 1
            answer.owner.settle(answer)
        self.app.processEvents()
        if self.broken:
            raise self.broken.pop()

    def ranges(self) -> list[Range]:
        """Return what each call of `process` sees as selected."""
        project = self.project
        start, end = project.start, project.end
        tracks = [track for track in project.audio if track.selected]
        if not tracks and self.semantics.nothing == "all":
            tracks = project.audio
            start, end = 0.0, max((track.stop / track.rate for track in tracks), default=0.0)
        if not self.semantics.by_clip:
            return [(start, end, tracks)]
        return [
            (clip.start / track.rate, clip.stop / track.rate, [track])
            for track in tracks
            for clip in track.clips
            if clip.start / track.rate < end and clip.stop / track.rate > start
        ]

    def apply(self, title: str, edits: list[Edit]) -> None:
        """Put what the edits hold into the project, as one undo step."""
        for edit in edits:
            self.project.tracks += edit.order
        self.project.undo.append(title)
