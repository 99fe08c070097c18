"""Faults made by hand in the Lua: what a slip of the pen would be. Tests must notice each.

A fault is a file, a piece of it that comes once, what is there instead, and the scenario that
notices first.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FAULTS", "Fault"]


class Fault(NamedTuple):
    """One slip: `before` becomes `after` in the file; `noticed` names the scenario.

    `hangs` says that the scenario notices it by what never happens; all others must be noticed by
    something that is wrong.
    """

    file: str
    before: str
    after: str
    noticed: str
    hangs: bool = False


FAULTS = [
    # Reading.
    Fault("capture", "  state.buffer.clear()\n", "", "a_time_selection_over_gaps"),
    Fault(
        "capture",
        "region.kind == 'item' and region.offset or region.position",
        "region.position",
        "one_item_with_offset_and_trims",
    ),
    Fault(
        "capture",
        "origin + state.done / region.rate",
        "origin",
        "clips_are_the_engines",
    ),
    Fault(
        "capture",
        "  reaper.DestroyAudioAccessor(state.accessor)\n  local whole",
        "  local whole",
        "mono_stays_mono",
    ),
    Fault(
        "capture",
        "  if state.accessor then reaper.DestroyAudioAccessor(state.accessor) end\n",
        "",
        "cancel_while_it_reads",
    ),
    Fault(
        "capture",
        "if state.accessor or state.file then os.remove(state.path) end",
        "",
        "an_edit_while_it_reads",
        hangs=True,
    ),
    Fault(
        "capture",
        "local fits = not reaper.AudioAccessorStateChanged(state.accessor)",
        "local fits = true",
        "an_edit_while_it_reads",
    ),
    Fault("capture", "if answer < 0 then return nil end", "", "reaper_cannot_read"),
    Fault("capture", "mono = region.mono,", "mono = false,", "a_mono_track_stays_mono"),
    Fault("capture", "local CHUNK = 4096", "local CHUNK = 131072", "reading_is_gradual"),
    Fault(
        "capture",
        "return checked ~= nil, why",
        "return true",
        "take_accessors_that_count_otherwise",
    ),
    Fault(
        "run",
        "until not more or now - began + longest > BUDGET",
        "until not more",
        "reading_is_gradual",
    ),
    # WAV files.
    Fault("wav", "'<I4I2I2I4I4I2I2I2', 18, 3,", "'<I4I2I2I4I4I2I2I2', 18, 1,", "mono_stays_mono"),
    Fault(
        "wav",
        "local bytes = frames * channels * 4\n",
        "local bytes = frames * 4\n",
        "clips_are_the_engines",
    ),
    Fault(
        "wav",
        "local last = math.min(first + PACK - 1, #samples)",
        "local last = math.min(first + PACK, #samples)",
        "clips_are_the_engines",
    ),
    Fault(
        "wav",
        "['1:24'] = { '<i3', 1 / 0x800000 }",
        "['1:24'] = { '<i3', 1 / 0x8000 }",
        "a_96k_project_with_a_44k_source",
    ),
    # The selection.
    Fault(
        "selection",
        "region.frames = math.ceil(region.length * region.rate - 1e-6)",
        "region.frames = math.floor(region.length * region.rate)",
        "fractional_positions",
    ),
    Fault(
        "selection",
        "if last > first then start, stop = math.max(start, first), math.min(stop, last) end",
        "",
        "fades_within_the_time_selection",
    ),
    Fault(
        "selection",
        "values[length], values[automatic] = 0, 0\n",
        "",
        "fades_within_the_time_selection",
    ),
    Fault("selection", "if fade > gap then", "if false then", "a_cut_fade_is_said"),
    Fault("selection", "    region.mute = { item_id(item) }\n", "", "mute_the_original"),
    Fault(
        "selection",
        "if math.abs(region.length - whole) < NEAR then",
        "if true then",
        "mute_the_original",
    ),
    Fault(
        "selection", "if region.items == 0 then return nil end", "", "a_time_selection_over_gaps"
    ),
    Fault(
        "selection",
        "rate = known and tonumber(device) or rate",
        "",
        "another_speed_is_read_at_the_projects_rate",
    ),
    Fault(
        "selection",
        "if used == 0 then",
        "if used ~= 0 then",
        "another_speed_is_read_at_the_projects_rate",
    ),
    Fault("selection", "if reaper.TakeIsMIDI(take) then", "if false then", "what_is_refused"),
    Fault(
        "selection",
        "  warn(region, takes.warnings(take))\n  warn_of_track",
        "  warn_of_track",
        "warnings_are_shown",
    ),
    Fault("takes", "if mode >= 2 then return 1 end", "", "channel_modes"),
    Fault("takes", "if count < 1 or count > 2 then return nil, count end", "", "what_is_refused"),
    Fault(
        "takes",
        "if rate > 0 and takes.is_plain(take) then return rate end",
        "",
        "a_96k_project_with_a_44k_source",
    ),
    Fault(
        "takes",
        "if rate > 0 and takes.is_plain(take) then return rate end",
        "if rate > 0 then return rate end",
        "another_speed_is_read_at_the_projects_rate",
    ),
    # Comparing.
    Fault(
        "compare",
        "(reverse and total - 1 - frame or frame)",
        "frame",
        "reversed_and_section_and_looped",
    ),
    Fault(
        "compare",
        "if looped and total > 0 then frame = frame % total end",
        "",
        "reversed_and_section_and_looped",
    ),
    Fault("compare", "frame = skipped + ", "frame = ", "reversed_and_section_and_looped"),
    Fault("compare", "if mode == 1 then return { right, left } end", "", "channel_modes"),
    Fault(
        "compare",
        "local exact = (start + seconds) * rate",
        "local exact = seconds * rate",
        "one_item_with_offset_and_trims",
    ),
    Fault(
        "compare",
        "sums.worst <= sums.peak * 1e-3 + 1 / 0x8000",
        "true",
        "take_accessors_that_hold_gain",
    ),
    Fault(
        "compare",
        "return alike(sums) > 0.6 and",
        "return true or",
        "take_accessors_that_count_otherwise",
    ),
    Fault(
        "compare",
        "and ratio < 1.001",
        "",
        "track_accessors_that_differ",
    ),
    # Jobs.
    Fault("jobs", "  say('keep', request.keep)\n", "", "again"),
    Fault("jobs", "  say('model', request.model)\n", "", "a_failed_job"),
    Fault(
        "jobs",
        "for _, query in ipairs(request.queries) do say('query', query) end",
        "say('query', request.typed)",
        "clips_are_the_engines",
    ),
    Fault(
        "text",
        "out[#out + 1] = forbidden(code) and ' ' or utf8.char(code)",
        "out[#out + 1] = utf8.char(code)",
        "odd_names",
    ),
    Fault(
        "text",
        "lines[#lines + 1] = 'end\\n'",
        "lines[#lines + 1] = ''",
        "mono_stays_mono",
        hangs=True,
    ),
    Fault("text", "if line == 'end' then return rows end", "", "mono_stays_mono", hangs=True),
    Fault(
        "jobs",
        "text.write(where.spool .. '/cancel/' .. id, {})",
        "",
        "cancel_while_it_separates",
        hangs=True,
    ),
    Fault(
        "run",
        "  cancel_jobs(self)\n  finish(self, 'cancelled')",
        "  finish(self, 'cancelled')",
        "cancel_while_it_separates",
        hangs=True,
    ),
    Fault(
        "run",
        "~= self.cancel_mark then return run.cancel(self) end",
        "~= self.cancel_mark then return end",
        "cancel_while_it_separates",
        hangs=True,
    ),
    Fault(
        "run",
        "if self.starts >= STARTS then return false end",
        "if self.starts >= 0 then return false end",
        "no_engine",
    ),
    Fault(
        "home",
        "reaper.ExecProcess(where.start, -2)",
        "reaper.ExecProcess(where.start, 0)",
        "no_engine",
    ),
    Fault(
        "home", "math.abs(os.time() - told) < FRESH", "told > 0", "the_engine_is_killed", hangs=True
    ),
    # Projects.
    Fault("run", "return reaper.EnumProjects(-1) == self.project", "return true", "another_tab"),
    Fault(
        "run",
        "if not reaper.ValidatePtr2(self.project, self.project, 'ReaProject*') then",
        "if false then",
        "project_closed_in_the_middle",
        hangs=True,
    ),
    Fault(
        "pending", "if mark ~= '' then return mark == batch.project end", "", "an_unsaved_project"
    ),
    Fault(
        "pending",
        "return batch.file ~= '' and batch.file == project_file(project)",
        "return true",
        "project_closed_in_the_middle",
    ),
    Fault(
        "pending",
        "if os.rename(free(batch.id), claimed(batch.id)) then return true end",
        "if os.rename(free(batch.id), claimed(batch.id)) or true then return true end",
        "another_script_was_first",
    ),
    Fault(
        "actions",
        "TITLE, YES_NO) == YES\n    then",
        "TITLE, YES_NO) ~= YES\n    then",
        "it_may_be_in_already",
    ),
    Fault(
        "actions",
        "if not pending.is_attended(batch) then\n      if",
        "if true then\n      if",
        "collect_beside_a_running_script",
    ),
    Fault("pending", "  os.remove(claimed(batch.id))\n", "", "mono_stays_mono"),
    # Inserting.
    Fault("insert", "  reaper.Undo_BeginBlock2(project)\n", "", "mono_stays_mono"),
    Fault("insert", "  reaper.PreventUIRefresh(-1)\n", "", "mono_stays_mono"),
    Fault(
        "insert",
        "  pcall(restore) -- whatever becomes of it, the open blocks must end\n",
        "",
        "several_items_over_two_tracks",
    ),
    Fault("insert", "B_LOOPSRC = 0,", "B_LOOPSRC = 1,", "one_item_with_offset_and_trims"),
    Fault("insert", "D_FADEINLEN = 0,", "", "gain_and_fades_null"),
    Fault(
        "insert",
        "'D_POSITION', region.position)",
        "'D_POSITION', 0)",
        "one_item_with_offset_and_trims",
    ),
    Fault(
        "insert", "'D_LENGTH', region.length)", "'D_LENGTH', 1)", "one_item_with_offset_and_trims"
    ),
    Fault("insert", "region.item_values[name] or value", "value", "gain_and_fades_null"),
    Fault(
        "insert",
        "if value then reaper.SetMediaItemTakeInfo_Value(take, name, value) end",
        "",
        "gain_and_fades_null",
    ),
    Fault(
        "insert",
        "reaper.InsertTrackAtIndex(index, false)",
        "reaper.InsertTrackAtIndex(index, true)",
        "one_item_with_offset_and_trims",
    ),
    Fault("insert", "last[region.track_id] or source", "source", "several_items_over_two_tracks"),
    Fault("insert", "if not added[key] then", "if true then", "several_items_over_two_tracks"),
    Fault("insert", "if depth < 0 then", "if false then", "inside_a_folder"),
    Fault(
        "insert",
        "if batch.mute then mute(project, batch, back) end",
        "mute(project, batch, back)",
        "one_item_with_offset_and_trims",
    ),
    Fault(
        "insert",
        "    if region.clips then\n      for _, id",
        "    if true then\n      for _, id",
        "one_of_two_jobs_fails",
    ),
    # Files.
    Fault(
        "deliver",
        "until not reaper.file_exists(path)",
        "until true",
        "clips_keep_their_names_apart",
    ),
    Fault(
        "deliver",
        "if clip.copied and not clip.stays then os.remove(clip.path) end",
        "",
        "the_project_on_another_disk",
    ),
    Fault(
        "deliver",
        "if bytes then return state.target:write(bytes) ~= nil end",
        "if bytes then state.target:write(bytes) end",
        "the_project_on_another_disk",
    ),
    # An insertion that does not come to its end.
    Fault(
        "deliver",
        "  if not state.keep() then return false end\n",
        "",
        "reaper_is_killed_before_the_insertion",
    ),
    Fault(
        "deliver",
        "  if not is_there(clip.path) then return next_clip(state, clip.placed, 'moved') end\n",
        "",
        "reaper_is_killed_before_the_insertion",
    ),
    Fault(
        "deliver",
        "      os.rename(clip.moved, clip.path)\n",
        "",
        "an_insertion_that_fails_is_taken_back",
    ),
    Fault("deliver", "      os.remove(clip.copied)\n", "", "a_failed_insertion_on_another_disk"),
    Fault("deliver", "    os.remove(folder_of(clip.path))", "", "a_flac_cannot_be_compared"),
    Fault("run", "    deliver.finish(delivery)\n", "", "the_project_on_another_disk"),
    Fault(
        "run",
        "  if not self.inserting then\n",
        "  if true then\n",
        "what_cannot_be_taken_back_is_asked_for",
    ),
    Fault(
        "run",
        "    self.stage = 'insert'\n",
        "    self.stage, self.delivery = 'insert', nil\n",
        "the_project_goes_away_before_the_insertion",
    ),
    Fault(
        "run",
        "    deliver.abandon(delivery)\n    finish(self, 'later', NOT_IN",
        "    finish(self, 'later', NOT_IN",
        "an_insertion_that_fails_is_taken_back",
    ),
    Fault(
        "run",
        "    deliver.abandon(delivery)\n    finish(self, 'later', NOT_IN",
        "    deliver.abandon(delivery)\n    finish(self, 'failed', NOT_IN",
        "an_insertion_that_fails_is_taken_back",
    ),
    Fault(
        "run",
        "if folder then finish(self, 'later', LOST_BUT_KEPT:format(folder)) else",
        "if folder then fail(self, LOST) else",
        "a_status_that_is_lost",
    ),
    Fault(
        "run",
        "      there = there and deliver.finds(clip)\n",
        "",
        "clips_that_are_gone",
    ),
    Fault(
        "run",
        "      if place ~= '' then clip.placed = place end\n",
        "",
        "reaper_is_killed_before_the_insertion",
    ),
    Fault(
        "run",
        "finish(self, why and 'later' or 'elsewhere', why)",
        "finish(self, 'elsewhere')",
        "a_note_that_cannot_be_claimed",
    ),
    Fault(
        "pending",
        "rows[#rows + 1] = { 'placed', path }",
        "",
        "reaper_is_killed_before_the_insertion",
    ),
    Fault(
        "insert",
        "  back[#back + 1] = function() reaper.DeleteTrack(track) end\n",
        "",
        "an_insertion_that_fails_is_taken_back",
    ),
    Fault(
        "insert",
        "      reaper.SetMediaTrackInfo_Value(above, 'I_FOLDERDEPTH', depth)\n    end\n",
        "    end\n",
        "an_insertion_that_fails_is_taken_back",
    ),
    Fault(
        "insert",
        "function() reaper.SetMediaItemInfo_Value(item, 'B_MUTE', before) end",
        "function() end",
        "an_insertion_that_fails_is_taken_back",
    ),
    Fault(
        "insert",
        "local in_part = not went_well and not pcall(take_back, back)",
        "local in_part = not went_well and not pcall(take_back, back) and false",
        "what_cannot_be_taken_back_is_asked_for",
    ),
    # The window.
    Fault("form", "if typing.fresh then typing.typed, typing.cursor = '', 0 end", "", "the_window"),
    Fault(
        "form",
        "replace(typing, typing.cursor - 1, typing.cursor, '')",
        "replace(typing, 0, typing.cursor, '')",
        "the_window",
    ),
    Fault("settings", "local REMEMBERED = 10", "local REMEMBERED = 9", "the_window"),
    Fault(
        "actions",
        "    settings.save(request)\n    local self, said",
        "    local self, said",
        "again",
    ),
    Fault("actions", "      shown = char ~= -1\n", "", "the_window_is_closed_at_work"),
    # Suggestions.
    Fault(
        "advice",
        "  for _, path in ipairs { answers(self) } do os.remove(path) end\n",
        "",
        "suggestions_of_the_engine",
    ),
    Fault(
        "advice",
        "return typed == self.answered and self.terms or {}",
        "return self.terms",
        "suggestions_of_the_engine",
    ),
    Fault("form", "    add(self.near, '', true)\n", "", "suggestions_of_the_engine", hangs=True),
    Fault("actions", "  print_all(self.notes)\n", "", "advice_is_on_the_console"),
    # Where it may be.
    Fault(
        "jobs",
        "  for _, pair in ipairs(spans.options(region)) do say(pair[1], pair[2]) end\n",
        "",
        "regions_say_where",
    ),
    Fault(
        "spans",
        "one.first - region.position, one.last - region.position",
        "one.first, one.last",
        "regions_say_where",
    ),
    Fault(
        "spans",
        "  table.sort(found, function(a, b) return a.first < b.first end)\n",
        "",
        "regions_say_where",
    ),
    Fault("spans", "(rest == '' or rest and rest:match('^%s')) and ", "", "regions_say_where"),
    Fault("spans", "last = is_region and last or first", "last = last", "regions_say_where"),
    # What is not wanted.
    Fault(
        "jobs",
        "  for _, sound in ipairs(request.nots) do say('not', sound) end\n",
        "",
        "what_is_not_wanted",
    ),
    Fault(
        "settings",
        "  reaper.SetExtState(SECTION, 'not', request.unwanted, true)\n",
        "",
        "what_is_not_wanted",
    ),
    Fault("settings", "get('model', offer.models[1])", "'compact'", "what_is_not_wanted"),
    Fault("sounds", "MINUS[code] and after_blank and", "MINUS[code] and", "what_is_not_wanted"),
    Fault("sounds", "ipairs { others, minus }", "ipairs { others }", "what_is_not_wanted"),
    Fault(
        "form",
        "kept = typing.typed:sub(1, at - 1):gsub(';$', '; ')",
        "",
        "what_is_not_wanted",
    ),
    Fault("form", "% #ROWS + 1, 0", "% #ROWS + 1, self.picked", "what_is_not_wanted"),
]
