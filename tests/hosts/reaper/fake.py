# ruff: noqa: N802, N815
"""A strict stand-in for REAPER, under a real Lua 5.4.

Each call of `reaper.*` is checked against the API's own data: unknown name, number and types of
arguments, dangling pointers. So are the rules that REAPER trusts a script to keep: undo and
interface blocks balanced in each cycle, no change of the project outside an undo block, every
accessor closed, a cycle's work short. Only what a function of the API does for Tweeze is modelled;
calling another is an error as well.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from lupa.lua54 import LuaRuntime, lua_type  # type: ignore[import-not-found]

from tests.hosts.reaper.api import Parameter, signatures
from tests.hosts.reaper.project import Item, Project, Semantics, Source, Take, Thing, Track

CYCLE = 0.020  # seconds of work that a script may do in one defer cycle
_ARRAY_LIMIT = 4194304
_children: list[subprocess.Popen[bytes]] = []  # kept, or Python warns of each that still runs

_LUA = """
local call, is_thing, number_of, gfx_call, dirty = ...
local things = {}   -- one userdata a pointer, so that == and table keys work as in REAPER

local function own(value, ...)
  if select('#', ...) > 0 then return own(value), own(...) end
  if is_thing(value) then
    local number = number_of(value)
    if things[number] == nil then things[number] = value end
    return things[number]
  end
  return value
end

local arrays = setmetatable({}, {__mode = 'k'})

local function new_array(first, size)
  local content, count = {}, size
  if type(first) == 'table' then
    for i = 1, #first do content[i] = first[i] end
    count = size or #first
  else
    count = first
  end
  assert(math.type(count) == 'integer' and count >= 1 and count <= LIMIT,
    'reaper.new_array: bad size ' .. tostring(count))
  for i = 1, count do content[i] = content[i] or (dirty and 0.7 - i % 3 or 0.0) end
  local array = {}
  function array.clear(value, offset, length)
    offset = offset or 1
    for i = offset, offset + (length or count - offset + 1) - 1 do content[i] = value or 0.0 end
  end
  function array.table(offset, length)
    offset = offset or 1
    length = length or count - offset + 1
    assert(offset >= 1 and offset + length - 1 <= count, 'array.table: out of range')
    return table.move(content, offset, offset + length - 1, 1, {})
  end
  function array.resize(n) assert(n >= 0 and n <= count) count = n end
  function array.get_alloc() return count end
  arrays[array] = content
  return setmetatable(array, {
    __index = function(_, k) assert(k >= 1 and k <= count, 'array index') return content[k] end,
    __newindex = function(_, k, v) assert(k >= 1 and k <= count, 'array index') content[k] = v end,
    __len = function() return count end,
  })
end

local function fill(array, bytes, mask)
  local content, at, value = arrays[array], 1, nil
  assert(#bytes // 8 <= array.get_alloc(), 'GetAudioAccessorSamples: the buffer is too small')
  for i = 1, #bytes // 8 do
    value, at = string.unpack('<d', bytes, at)
    if mask:byte(i) == 1 then content[i] = value end
  end
end

local functions = {}
reaper = setmetatable({}, {
  __index = function(_, name)
    if name == 'new_array' then return new_array end
    if not functions[name] then
      local target = call(name)
      functions[name] = function(...) return own(target(...)) end
    end
    return functions[name]
  end,
  __newindex = function(_, name) error('a script writes to reaper.' .. name) end,
})
local fields = {x = 0, y = 0}
gfx = setmetatable({}, {
  __index = function(_, name)
    if fields[name] ~= nil then return fields[name] end
    local target = gfx_call(name)
    return function(...) return target(...) end
  end,
  __newindex = function(_, name, value)
    assert(fields[name] ~= nil and type(value) == 'number', 'gfx.' .. name)
    fields[name] = value
  end,
})
return fill, function(a) return arrays[a] ~= nil end
"""


class ReaperError(AssertionError):
    """A script did what REAPER would refuse, or what would harm it."""


class UnmodelledError(Exception):
    """The fake lacks something that REAPER has: no fault of the script's."""


class Accessor(Thing):
    kind = "AudioAccessor"

    def __init__(self, of: Take | Track) -> None:
        super().__init__()
        self.of = of
        self.changed = False


def _no_attributes(thing: object, name: str, setting: bool) -> str:
    raise AttributeError(f"a script looks into a pointer ({name})")


class Script:
    """One running ReaScript: a Lua state, its deferred functions, its window."""

    def __init__(self, reaper: FakeReaper, path: Path) -> None:
        self.reaper = reaper
        self.path = path
        self.deferred: list[Any] = []
        self.exits: list[Any] = []
        self.accessors: list[Accessor] = []
        self.interface = 0
        self.undo_of: Project | None = None
        self.before: Any = None
        self.window = False
        self.keys: list[Any] = []
        self.drawn: list[str] = []
        self.shown: list[str] = []
        self.work = 0.0
        self.longest = 0.0
        self.ended = False
        self.lua = LuaRuntime(
            unpack_returned_tuples=True, register_eval=False, attribute_filter=_no_attributes
        )
        boot = self.lua.eval("function(source, ...) return load(source)(...) end")
        self.fill, self.is_array = boot(
            _LUA.replace("LIMIT", str(_ARRAY_LIMIT)),
            self.wrap,
            lambda value: isinstance(value, Thing),
            lambda thing: thing.number,
            self.wrap_gfx,
            reaper.semantics.dirty_arrays,
        )
        self.lua.globals().python = None
        self._real_open = self.lua.globals().io.open

    # What happens around a script.

    def begin(self) -> None:
        with self._watched():
            run = self.lua.eval("function(path) return assert(loadfile(path))() end")
            run(str(self.path))
        if not self.deferred:
            self.end()

    def cycle(self) -> None:
        waiting, self.deferred = self.deferred, []
        for function in waiting:
            with self._watched():
                function()
        if not self.deferred and not self.ended:
            self.end()

    def end(self) -> None:
        """What REAPER does when a script has nothing deferred, or the user ends it."""
        self.ended = True
        self.deferred = []
        leaving, self.exits = self.exits, []
        for function in leaving:
            with self._watched():
                function()
        open_ = [accessor for accessor in self.accessors if accessor.alive]
        if open_:
            raise ReaperError(f"{self.path.name} left {len(open_)} audio accessors open")
        self.reaper.scripts = [other for other in self.reaper.scripts if other is not self]

    @contextmanager
    def _watched(self) -> Iterator[None]:
        self.work = 0.0
        try:
            yield
        except UnicodeDecodeError as error:
            raise ReaperError(f"{self.path.name} hands over text that is no UTF-8") from error
        self.longest = max(self.longest, self.work)
        if self.work > CYCLE:
            raise ReaperError(f"{self.path.name} worked {self.work * 1000:.0f} ms in one cycle")
        if self.interface != 0:
            raise ReaperError("PreventUIRefresh is not balanced")
        if self.undo_of is not None:
            raise ReaperError("an undo block was left open")
        if len(self.deferred) > 1:
            raise ReaperError("more than one function is deferred")

    # What a script can call.

    def wrap(self, name: str) -> Callable[..., Any]:
        signature = signatures().get(name)
        if signature is None:
            raise ReaperError(f"reaper.{name}: there is no such function in REAPER 7.77")
        implementation = getattr(self, f"api_{name}", None)
        if implementation is None:
            raise UnmodelledError(f"reaper.{name} exists, and the fake does not model it")
        needed = sum(not parameter.optional for parameter in signature.parameters)

        def call(*arguments: Any) -> Any:
            self.reaper.calls[name] = self.reaper.calls.get(name, 0) + 1
            self.reaper.hook(name)
            if not needed <= len(arguments) <= len(signature.parameters):
                raise ReaperError(f"{name}: {len(arguments)} arguments, it takes {needed}")
            values = [
                self._checked(name, value, parameter)
                for value, parameter in zip(arguments, signature.parameters, strict=False)
            ]
            answer = implementation(*values)
            got = len(answer) if isinstance(answer, tuple) else int(answer is not None)
            if got > len(signature.returns):
                raise UnmodelledError(f"the fake's {name} returns {got} values: mend the fake")
            return answer

        return call

    def _checked(self, function: str, value: Any, parameter: Parameter) -> Any:
        wanted = parameter.type

        def bad() -> ReaperError:
            got = f"{lua_type(value) or type(value).__name__} {value!r}"
            return ReaperError(
                f"bad argument '{parameter.name}' to {function}: {wanted} expected, got {got}"
            )

        if wanted == "ReaProject":
            if value is None or value == 0:
                return self.reaper.project
            if not isinstance(value, Project):
                raise bad()
            if not value.alive and function != "ValidatePtr2":
                raise ReaperError(f"{function}: a closed project")
            return value
        if wanted in ("number", "integer"):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise bad()
            if wanted == "integer" and value != int(value):
                raise bad()
            return int(value) if wanted == "integer" else float(value)
        python_types: dict[str, type] = {"boolean": bool, "string": str}
        if wanted in python_types:
            if not isinstance(value, python_types[wanted]):
                raise bad()
            return value
        if wanted == "function":
            if lua_type(value) != "function":
                raise bad()
            return value
        if wanted == "reaper.array":
            if not self.is_array(value):
                raise bad()
            return value
        if wanted in ("any", "identifier"):
            return value
        if not isinstance(value, Thing) or value.kind != wanted:
            raise bad()
        if not value.alive:
            raise ReaperError(f"{function}: a dangling {wanted}")
        return value

    def _changes(self, thing: Thing) -> None:
        while not isinstance(thing, Track):
            thing = thing.item if isinstance(thing, Take) else thing.track  # type: ignore[attr-defined]
        if self.undo_of is not thing.project:
            raise ReaperError("a script changes a project outside an undo block of it")

    # Scripts, time, settings, files.

    def api_defer(self, function: Any) -> None:
        self.deferred.append(function)

    def api_atexit(self, function: Any) -> None:
        self.exits.append(function)

    def api_time_precise(self) -> float:
        return self.reaper.now() + self.work

    def api_get_action_context(self) -> tuple[Any, ...]:
        return (False, str(self.path), 0, 40000, -1, -1, -1, "")

    def api_ShowConsoleMsg(self, text: str) -> None:
        self.reaper.console.append(text)

    def api_ShowMessageBox(self, text: str, title: str, kind: int) -> int:
        self.reaper.boxes.append(text)
        if kind == 0:
            return 1
        if not self.reaper.answers:
            raise ReaperError(f"nobody answers the question {text!r}")
        return self.reaper.answers.pop(0)

    def api_GetOS(self) -> str:
        return "Other"

    def api_GetAppVersion(self) -> str:
        return "7.77/fake"

    def api_GetResourcePath(self) -> str:
        return str(self.reaper.resource)

    def api_genGuid(self, unused: str) -> str:
        return "{" + str(uuid.uuid4()).upper() + "}"

    def api_SetExtState(self, section: str, key: str, value: str, persist: bool) -> None:
        self.reaper.settings[section, key] = (value, persist)

    def api_GetExtState(self, section: str, key: str) -> str:
        return self.reaper.settings.get((section, key), ("", False))[0]

    def api_SetProjExtState(self, project: Project, name: str, key: str, value: str) -> int:
        project.notes[name, key] = value
        return len(value)

    def api_GetProjExtState(self, project: Project, name: str, key: str) -> tuple[int, str]:
        value = project.notes.get((name, key), "")
        return len(value), value

    def api_RecursiveCreateDirectory(self, path: str, ignored: int) -> int:
        try:
            Path(path).mkdir(parents=True, exist_ok=True)
        except OSError:
            return 0
        return 1

    def api_file_exists(self, path: str) -> bool:
        return Path(path).is_file()

    def api_EnumerateFiles(self, path: str, index: int) -> str | None:
        listed = self.reaper.listed
        if index == -1:
            listed.pop(path, None)
            return None
        if path not in listed:
            try:
                names = [entry.name for entry in os.scandir(path) if entry.is_file()]
            except OSError:
                names = []
            if not self.reaper.semantics.lists_hidden:
                names = [name for name in names if not name.startswith(".")]
            listed[path] = names
        return listed[path][index] if index < len(listed[path]) else None

    def api_ExecProcess(self, command: str, timeout: int) -> str:
        if timeout not in (-1, -2):
            raise ReaperError("ExecProcess would wait, and REAPER with it")
        null = subprocess.DEVNULL
        process = subprocess.Popen(shlex.split(command), stdout=null, stderr=null)
        _children.append(process)
        self.reaper.started.append(command)
        return "0"

    # Projects.

    def api_EnumProjects(self, index: int) -> tuple[Any, ...] | None:
        if index == -1:
            return self.reaper.project, self.reaper.project.file
        if 0 <= index < len(self.reaper.projects):
            return self.reaper.projects[index], self.reaper.projects[index].file
        return None

    def api_EnumProjectMarkers3(
        self, project: Project, index: int
    ) -> tuple[int, bool, float, float, str, int, int]:
        if not 0 <= index < len(project.markers):
            return 0, False, 0.0, 0.0, "", 0, 0
        in_order = sorted(project.markers, key=lambda marker: marker[0])
        if not self.reaper.semantics.markers_in_order:
            in_order = project.markers
        start, stop, name = in_order[index]
        end = start + 1.0 if stop is None else stop  # a marker has none: whatever stands there
        return index + 1, stop is not None, start, end, name, index + 1, 0

    def api_AddProjectMarker2(
        self, project: Project, isrgn: bool, pos: float, rgnend: float, name: str, wantidx: int,
        color: int,
    ) -> int:  # fmt: skip
        if not isinstance(isrgn, bool) or (isrgn and not 0 <= pos < rgnend):
            raise ReaperError("a region that is none")
        if wantidx != -1 or color != 0:
            raise ReaperError("a script chooses a region's number or colour")
        project.markers.append((float(pos), float(rgnend) if isrgn else None, name))
        return len(project.markers)

    def api_DeleteProjectMarker(self, project: Project, number: int, isrgn: bool) -> bool:
        del project.markers[number - 1]
        return True

    def api_ValidatePtr2(self, project: Project, pointer: Any, kind: str) -> bool:
        if not isinstance(pointer, Thing) or f"{pointer.kind}*" != kind:
            return False
        return pointer.alive

    def api_GetProjectPathEx(self, project: Project) -> str:
        return str(project.folder)

    def api_GetSetProjectInfo(
        self, project: Project, name: str, value: float, setting: bool
    ) -> float:
        if setting:
            raise ReaperError("a script changes the project's settings")
        known = {"PROJECT_SRATE": project.rate, "PROJECT_SRATE_USE": float(project.rate_used)}
        return known[name]

    def api_GetAudioDeviceInfo(self, attribute: str) -> tuple[bool, str]:
        rate = self.reaper.device_rate
        return (True, str(rate)) if attribute == "SRATE" and rate else (False, "")

    def api_GetSet_LoopTimeRange2(
        self, project: Project, setting: bool, loop: bool, first: float, last: float, seek: bool
    ) -> tuple[float, float]:
        if setting:
            project.time_selection = (first, last)
        return project.time_selection

    def api_Main_OnCommand(self, command: int, flag: int) -> None:
        if command == 40859:  # New project tab
            self.reaper.open(Project(self.reaper.resource / "scratch"))
        elif command != 40047:  # Peaks: Build any missing peaks
            raise UnmodelledError(f"the fake does not model the action {command}")

    # Undo and the interface.

    def api_PreventUIRefresh(self, by: int) -> None:
        self.interface += by

    def api_Undo_BeginBlock2(self, project: Project) -> None:
        if self.undo_of is not None:
            raise ReaperError("an undo block within another")
        self.undo_of, self.before = project, project.state()

    def api_Undo_EndBlock2(self, project: Project, label: str, flags: int) -> None:
        if self.undo_of is not project:
            raise ReaperError("an undo block ends that did not begin here")
        self.undo_of = None
        project.undo.append((label, flags, self.before, project.state()))

    def api_UpdateArrange(self) -> None:
        pass

    def api_TrackList_AdjustWindows(self, minor: bool) -> None:
        pass

    def api_UpdateItemInProject(self, item: Item) -> None:
        pass

    # Tracks and items.

    def api_CountTracks(self, project: Project) -> int:
        return len(project.tracks)

    def api_GetTrack(self, project: Project, index: int) -> Track | None:
        return project.tracks[index] if 0 <= index < len(project.tracks) else None

    def api_GetTrackGUID(self, track: Track) -> str:
        return track.guid

    def _selected_tracks(self, project: Project) -> list[Track]:
        return [track for track in project.tracks if track.values["I_SELECTED"]]

    def api_CountSelectedTracks(self, project: Project) -> int:
        return len(self._selected_tracks(project))

    def api_GetSelectedTrack(self, project: Project, index: int) -> Track | None:
        return dict(enumerate(self._selected_tracks(project))).get(index)

    def api_IsTrackSelected(self, track: Track) -> bool:
        return bool(track.values["I_SELECTED"])

    def api_SetTrackSelected(self, track: Track, selected: bool) -> None:
        self._changes(track)
        track.values["I_SELECTED"] = float(selected)

    def api_CountMediaItems(self, project: Project) -> int:
        return len(project.items)

    def api_GetMediaItem(self, project: Project, index: int) -> Item | None:
        return dict(enumerate(project.items)).get(index)

    def _selected_items(self, project: Project) -> list[Item]:
        return [item for item in project.items if item.values["B_UISEL"]]

    def api_CountSelectedMediaItems(self, project: Project) -> int:
        return len(self._selected_items(project))

    def api_GetSelectedMediaItem(self, project: Project, index: int) -> Item | None:
        return dict(enumerate(self._selected_items(project))).get(index)

    def api_CountTrackMediaItems(self, track: Track) -> int:
        return len(track.items)

    def api_GetTrackMediaItem(self, track: Track, index: int) -> Item | None:
        return dict(enumerate(track.items)).get(index)

    def api_GetMediaItem_Track(self, item: Item) -> Track:
        return item.track

    def api_GetMediaItemTake_Item(self, take: Take) -> Item:
        return take.item

    def api_GetActiveTake(self, item: Item) -> Take | None:
        return item.takes[0] if item.takes else None

    def api_TakeIsMIDI(self, take: Take) -> bool:
        return take.midi

    def api_TakeFX_GetCount(self, take: Take) -> int:
        return take.effects

    def api_CountTakeEnvelopes(self, take: Take) -> int:
        return take.envelopes

    def api_GetTakeNumStretchMarkers(self, take: Take) -> int:
        return take.stretch_markers

    def api_TrackFX_GetCount(self, track: Track) -> int:
        return track.effects

    def api_CountTrackEnvelopes(self, track: Track) -> int:
        return track.envelopes

    def api_InsertTrackAtIndex(self, index: int, defaults: bool) -> None:
        project = self.reaper.project
        track = Track(project)
        self._changes(track)
        if defaults:
            track.effects = 1
        if self.reaper.semantics.selects_new:
            for other in project.tracks:
                other.values["I_SELECTED"] = 0.0
            track.values["I_SELECTED"] = 1.0
        project.tracks.insert(max(0, min(index, len(project.tracks))), track)

    def api_DeleteTrack(self, track: Track) -> None:
        self._changes(track)
        for thing in (track, *track.items, *(take for i in track.items for take in i.takes)):
            thing.alive = False
        track.project.tracks.remove(track)

    def api_AddMediaItemToTrack(self, track: Track) -> Item:
        self._changes(track)
        fade = self.reaper.semantics.default_fade
        item = Item(track, D_FADEINLEN=fade, D_FADEOUTLEN=fade, D_FADEINLEN_AUTO=-1.0)
        if self.reaper.semantics.selects_new:
            item.values["B_UISEL"] = 1.0
        track.items.append(item)
        return item

    def api_AddTakeToMediaItem(self, item: Item) -> Take:
        self._changes(item)
        take = Take(item)
        item.takes.append(take)
        return take

    def api_SetMediaItemTake_Source(self, take: Take, source: Source) -> bool:
        self._changes(take)
        take.source = source
        return True

    def _value(self, thing: Thing, name: str) -> float:
        if name == "IP_TRACKNUMBER" and isinstance(thing, Track):
            return float(thing.project.tracks.index(thing) + 1)
        if name not in thing.values:
            raise ReaperError(f"a {thing.kind} has no attribute {name} (or the fake none)")
        return thing.values[name]

    def _set_value(self, thing: Thing, name: str, value: float) -> bool:
        self._value(thing, name)
        if name == "IP_TRACKNUMBER":
            raise ReaperError("IP_TRACKNUMBER cannot be set")
        self._changes(thing)
        thing.values[name] = value
        return True

    api_GetMediaItemInfo_Value = api_GetMediaItemTakeInfo_Value = _value
    api_GetMediaTrackInfo_Value = _value
    api_SetMediaItemInfo_Value = api_SetMediaItemTakeInfo_Value = _set_value
    api_SetMediaTrackInfo_Value = _set_value

    def _string(self, thing: Thing, name: str, value: str, setting: bool) -> tuple[bool, str]:
        if name == "GUID" and not setting:
            return True, thing.guid
        if name not in thing.strings:
            raise ReaperError(f"a {thing.kind} has no text {name} (or the fake none)")
        if setting:
            self._changes(thing)
            thing.strings[name] = value
        return True, thing.strings[name]

    api_GetSetMediaTrackInfo_String = api_GetSetMediaItemInfo_String = _string
    api_GetSetMediaItemTakeInfo_String = _string

    # Sources.

    def api_GetMediaItemTake_Source(self, take: Take) -> Source | None:
        return take.source

    def api_GetMediaSourceParent(self, source: Source) -> Source | None:
        return source.parent

    def api_GetMediaSourceFileName(self, source: Source) -> str:
        return str(source.path or "")

    def api_GetMediaSourceSampleRate(self, source: Source) -> int:
        return source.rate

    def api_GetMediaSourceNumChannels(self, source: Source) -> int:
        return source.channels

    def api_GetMediaSourceLength(self, source: Source) -> tuple[float, bool]:
        return source.length, False

    def api_PCM_Source_GetSectionInfo(self, source: Source) -> tuple[bool, float, float, bool]:
        return source.parent is not None, source.offset, source.length, source.reverse

    def api_PCM_Source_CreateFromFileEx(self, path: str, no_midi: bool) -> Source | None:
        return Source(Path(path)) if Path(path).is_file() else None

    # Audio accessors.

    def _accessor(self, of: Take | Track) -> Accessor:
        accessor = Accessor(of)
        self.accessors.append(accessor)
        self.reaper.accessors.append(accessor)
        return accessor

    api_CreateTakeAudioAccessor = api_CreateTrackAudioAccessor = _accessor

    def api_DestroyAudioAccessor(self, accessor: Accessor) -> None:
        accessor.alive = False

    def api_AudioAccessorStateChanged(self, accessor: Accessor) -> bool:
        return accessor.changed

    def api_GetAudioAccessorStartTime(self, accessor: Accessor) -> float:
        return 0.0

    def api_GetAudioAccessorEndTime(self, accessor: Accessor) -> float:
        of = accessor.of
        items = of.items if isinstance(of, Track) else []
        ends = [item.start + item.length for item in items]
        return of.item.length if isinstance(of, Take) else max(ends, default=0.0)

    def api_GetAudioAccessorSamples(
        self, accessor: Accessor, rate: int, channels: int, first: float, frames: int, buffer: Any
    ) -> int:
        if not accessor.of.alive:
            raise ReaperError("an accessor is read whose take or track is gone")
        if self.reaper.accessor_fails:
            return -1
        self.work += self.reaper.accessor_cost * frames / 4096
        if isinstance(accessor.of, Take):
            samples, there = self._read_take(accessor.of, rate, channels, first, frames)
        else:
            samples, there = self._read_track(accessor.of, rate, channels, first, frames)
        if self.reaper.semantics.past_end == "zeros":
            there = np.ones(frames, bool)
        mask = np.repeat(there, channels).astype(np.uint8).tobytes()
        self.fill_bytes(buffer, samples.astype("<f8").tobytes(), mask)
        return int(there.any())

    def fill_bytes(self, buffer: Any, samples: bytes, mask: bytes) -> None:
        self.fill(buffer, samples, mask)

    def _read_take(
        self, take: Take, rate: int, channels: int, first: float, frames: int
    ) -> tuple[Any, Any]:
        semantics, item = self.reaper.semantics, take.item
        times = first + np.arange(frames) / rate
        if semantics.take_time == "source":
            times = times - take.values["D_STARTOFFS"]
        if semantics.take_time == "project":
            times = times - item.start
        there = (times >= -1e-9) & (times < item.length - 1e-9)
        samples = take.read(semantics, rate, times)
        if semantics.take_gain:
            samples = samples * item.gain(times)[:, None]
        if samples.shape[1] == 1:
            samples = np.repeat(samples, channels, axis=1)
        return samples[:, :channels], there

    def _read_track(
        self, track: Track, rate: int, channels: int, first: float, frames: int
    ) -> tuple[Any, Any]:
        semantics = self.reaper.semantics
        if semantics.track_time == "first item":
            first += min(item.start for item in track.items)
        times = first + np.arange(frames) / rate
        there = np.zeros(frames, bool)
        samples = np.zeros((frames, 2))
        for item in track.items:
            if item.values["B_MUTE"]:
                continue
            there |= (times >= item.start - 1e-9) & (times < item.start + item.length - 1e-9)
            samples += item.play(semantics, rate, first, frames)
        return samples[:, :channels], there

    # gfx

    def wrap_gfx(self, name: str) -> Callable[..., Any]:
        implementation = getattr(self, f"gfx_{name}", None)
        if implementation is None:
            raise ReaperError(f"gfx.{name}: no such function (or the fake models none)")
        return implementation  # type: ignore[no-any-return]

    def gfx_init(self, title: str, width: int, height: int, dock: int) -> None:
        self.window = True

    def gfx_quit(self) -> None:
        self.window = False

    def _drawing(self) -> None:
        if not self.window:
            raise ReaperError("a script draws without a window")

    def gfx_set(self, red: float, green: float, blue: float, alpha: float) -> None:
        if not all(0 <= value <= 1 for value in (red, green, blue, alpha)):
            raise ReaperError("a colour out of range")

    def gfx_rect(self, x: float, y: float, width: float, height: float, filled: int) -> None:
        self._drawing()
        if width < 0 or height < 0:
            raise ReaperError("a rectangle of negative size")

    def gfx_setfont(self, index: int, name: str, size: int) -> None:
        pass

    def gfx_drawstr(self, text: str) -> None:
        self._drawing()
        self.drawn.append(text)

    def gfx_measurestr(self, text: str) -> tuple[int, int]:
        return 7 * len(text), 15

    def gfx_update(self) -> None:
        self._drawing()
        self.shown, self.drawn = self.drawn, []

    def gfx_getchar(self) -> Any:
        if not self.window:
            return -1
        if not self.keys:
            return 0
        key = self.keys.pop(0)
        if callable(key):
            key()
            return 0
        if isinstance(key, int):
            return key
        code = ord(key)
        if self.reaper.semantics.unicode_keys == "second value":
            return (code if code < 256 else 63), code
        return code if code < 256 else (ord("u") << 24 | code)


class FakeReaper:
    """REAPER with its projects, settings and running scripts.

    `answers` are the user's to questions (6 is yes, 7 is no); `keys` what is typed into windows:
    characters, names like `enter`, or functions to call meanwhile.
    """

    def __init__(self, resource: Path, semantics: Semantics | None = None) -> None:
        self.semantics = semantics or Semantics()
        self.resource = resource
        self.resource.mkdir(parents=True, exist_ok=True)
        self.device_rate = 0
        self.projects = [Project(resource / "project")]
        self.current = 0
        self.settings: dict[tuple[str, str], tuple[str, bool]] = {}
        self.scripts: list[Script] = []
        self.accessors: list[Accessor] = []
        self.accessor_cost = 0.001  # seconds for 4096 frames
        self.accessor_fails = False
        self.listed: dict[str, list[str]] = {}
        self.console: list[str] = []
        self.boxes: list[str] = []
        self.answers: list[int] = []
        self.started: list[str] = []
        self.calls: dict[str, int] = {}
        self.hook: Callable[[str], None] = lambda name: None  # hears of each call; may refuse it
        self.speed = 4.0  # REAPER's clock beside ours, so that polling takes less of our time
        self._began = time.monotonic()

    @property
    def project(self) -> Project:
        return self.projects[self.current]

    def now(self) -> float:
        return 1000.0 + (time.monotonic() - self._began) * self.speed

    def open(self, project: Project) -> None:
        self.projects.append(project)
        self.current = len(self.projects) - 1

    def close(self, project: Project) -> None:
        """Close a project; another tab, an empty one if need be, comes to the front."""
        for thing in (project, *project.things()):
            thing.alive = False
        self.projects.remove(project)
        if not self.projects:
            self.projects = [Project(self.resource / "project")]
        self.current = 0

    def quit(self) -> None:
        """End REAPER: its scripts first, then the projects; only lasting settings stay."""
        for script in list(self.scripts):
            script.end()
        self.settings = {key: kept for key, kept in self.settings.items() if kept[1]}
        for project in list(self.projects):
            self.close(project)

    def crash(self) -> None:
        """End REAPER as a crash does: no script hears of it."""
        self.scripts.clear()
        self.hook = lambda name: None
        self.quit()

    def run(self, path: Path, keys: list[Any] | None = None) -> Script:
        script = Script(self, path)
        script.keys = [KEYS.get(key, key) if isinstance(key, str) else key for key in keys or []]
        self.scripts.append(script)
        script.begin()
        return script

    def cycle(self) -> None:
        for script in list(self.scripts):
            script.cycle()


def _code(name: str) -> int:
    return int.from_bytes(name.encode(), "big")


KEYS = {
    "backspace": 8,
    "tab": 9,
    "enter": 13,
    "escape": 27,
    **{name: _code(short) for name, short in re.findall(r"(\w+)=(\w+)", "left=left right=rght")},
    **{name: _code(name) for name in ("up", "down", "home", "end")},
    "delete": _code("del"),
}
