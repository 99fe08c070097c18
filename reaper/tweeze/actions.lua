-- What each of Tweeze's actions does; the scripts of the action list only call these.
-- @noindex
local advice = require 'tweeze.advice'
local form = require 'tweeze.form'
local home = require 'tweeze.home'
local jobs = require 'tweeze.jobs'
local marking = require 'tweeze.marking'
local pending = require 'tweeze.pending'
local run = require 'tweeze.run'
local selection = require 'tweeze.selection'
local settings = require 'tweeze.settings'
local window = require 'tweeze.window'
local requests = require 'tweeze.requests'

local actions = {}

local TITLE = 'Tweeze'
local WAITS = 'Results that wait for this project: %d. Run "Tweeze - collect" to insert them.'
local OK, YES_NO, YES = 0, 4, 6 -- as ShowMessageBox knows them

local function tell(sentence) reaper.ShowMessageBox(sentence, TITLE, OK) end

local function print_all(sentences)
  for _, sentence in ipairs(sentences) do
    reaper.ShowConsoleMsg('Tweeze: ' .. sentence .. '\n')
  end
end

-- Do one cycle of a run; a fault of Tweeze's own becomes a sentence, too.
local function step(self)
  local went_well, why = xpcall(run.step, debug.traceback, self)
  if went_well then return end
  pcall(run.leave, self)
  reaper.ShowConsoleMsg('Tweeze: ' .. tostring(why) .. '\n')
  self.outcome = 'failed'
  self.sentence = 'Unexpected error: see the console.'
end

-- Call `each_cycle` in every defer cycle until it returns false; then, or when REAPER ends the
-- script, let go of the runs in `runs`.
local function keep_going(runs, each_cycle)
  reaper.atexit(function()
    for _, self in ipairs(runs) do run.leave(self) end
  end)
  local function cycle()
    if each_cycle() ~= false then reaper.defer(cycle) end
  end
  reaper.defer(cycle)
end

local function begin(where, project, request)
  local regions, why = selection.find(project, request.options)
  if not regions then return nil, why end
  return run.begin(where, project, regions, request, home.new_id()),
    selection.warnings(regions, request.mute)
end

local function conclude(self)
  print_all(self.notes)
  if self.sentence then tell(self.sentence) end
end

-- Follow a run in the open window. Esc cancels; closing the window leaves it at work.
local function watch(self, warnings, runs)
  local shown = true
  return function()
    step(self)
    if shown then
      local char = window.key()
      if char == 27 then run.cancel(self) end
      shown = char ~= -1
      if shown then window.draw_progress(self.batch.label, self.share, self.message, warnings) end
    end
    if not self.outcome then return true end
    window.close()
    runs[1] = nil
    conclude(self)
    return false
  end
end

-- Return the batches that wait for this project, and how many wait for others.
local function waiting(project)
  local here, elsewhere = {}, 0
  for _, batch in ipairs(pending.all()) do
    if not pending.is_attended(batch) then
      if pending.belongs(batch, project) then here[#here + 1] = batch
      else elsewhere = elsewhere + 1 end
    end
  end
  return here, elsewhere
end

-- Tweeze: separate selection.
function actions.separate(scripts)
  local where, project = home.find(scripts), reaper.EnumProjects(-1)
  local regions, why = selection.find(project, {})
  if not regions then return tell(why) end
  local ready = #waiting(project)
  local function remarks(entry)
    local said = selection.warnings(regions, entry.mute)
    if ready > 0 then said[#said + 1] = WAITS:format(ready) end
    return said
  end
  local offer = home.offer(where)
  local entry = form.new(settings.load(offer), settings.history(), offer)
  local runs, working = {}, nil
  local adviser = advice.new(where)
  window.open(TITLE)
  local function accept()
    advice.leave(adviser)
    local request = form.request(entry)
    settings.save(request)
    local self, said = begin(where, project, request)
    if not self then
      window.close()
      tell(said)
      return false
    end
    runs[1] = self
    working = watch(self, said, runs)
    return true
  end
  keep_going(runs, function()
    if working then return working() end
    local char, unicode = window.key()
    local answer = char == -1 and 'gone' or char ~= 0 and form.key(entry, char, unicode)
    if answer == 'close' or answer == 'gone' then
      advice.leave(adviser)
      if answer == 'close' then window.close() end
      return false
    end
    if answer == 'run' then return accept() end
    entry.near = advice.step(adviser, form.typing(entry), reaper.time_precise())
    window.draw_form(entry, remarks(entry))
    return true
  end)
end

-- Tweeze: again, with what was typed and chosen last.
function actions.again(scripts)
  local where, project = home.find(scripts), reaper.EnumProjects(-1)
  local request = settings.load(home.offer(where))
  if #request.queries == 0 then
    return tell('There is nothing to repeat yet: run "Tweeze - separate selection" first.')
  end
  local self, said = begin(where, project, request)
  if not self then return tell(said) end
  print_all(said)
  keep_going({ self }, function()
    step(self)
    if not self.outcome then return true end
    conclude(self)
    return false
  end)
end

-- Tweeze: panel, with what is selected.
function actions.panel(scripts)
  local where, project = home.find(scripts), reaper.EnumProjects(-1)
  local regions, why = selection.find(project, selection.WHOLE)
  if not regions then return tell(why) end
  local runs = { run.open(where, project, regions, home.new_id()) }
  window.open(TITLE)
  keep_going(runs, watch(runs[1], selection.warnings(regions, false), runs))
end

-- Tweeze: cancel whatever of this project is at work.
function actions.cancel(scripts)
  local where, project = home.find(scripts), reaper.EnumProjects(-1)
  reaper.SetExtState(TITLE, 'cancel', reaper.genGuid(''), false)
  local lives = home.heartbeat(where) ~= nil
  for _, batch in ipairs(pending.all()) do
    local unattended = not batch.claimed and not pending.is_attended(batch)
    if unattended and pending.belongs(batch, project) then
      for _, region in ipairs(batch.regions) do jobs.cancel(where, region.job, lives) end
      pending.forget(batch)
    end
  end
end

local AGAIN = "'%s' may be in the project already: REAPER ended while it was put in. "
  .. 'Insert it again?'

-- Tweeze: collect what was separated while this project was closed.
function actions.collect(scripts)
  local where, project = home.find(scripts), reaper.EnumProjects(-1)
  local batches, elsewhere = waiting(project)
  local runs = {}
  for _, batch in ipairs(batches) do
    if batch.claimed and reaper.ShowMessageBox(AGAIN:format(batch.label), TITLE, YES_NO) == YES
    then
      pending.release(batch)
      batch.claimed = false
    end
    if not batch.claimed then runs[#runs + 1] = run.resume(where, project, batch) end
  end
  if #runs == 0 then
    local more = elsewhere > 0 and (' %d for other projects.'):format(elsewhere) or ''
    return tell('Nothing waits for this project.' .. more)
  end
  keep_going(runs, function()
    local self = runs[1]
    step(self)
    if self.outcome then
      conclude(self)
      table.remove(runs, 1)
    end
    return #runs > 0
  end)
end

local function begin_request(where, request, id)
  local project = reaper.EnumProjects(-1)
  local regions, why
  if #request.queries == 0 then
    why = 'There is nothing to repeat yet: name a query.'
  else
    regions, why = selection.find(project, request.options)
  end
  if not regions then
    requests.answer(where, id, 'failed', why, {})
    return nil
  end
  settings.save(request)
  local self = run.begin(where, project, regions, request, id)
  self.requested = true
  self.warnings = selection.warnings(regions, request.mute)
  return self
end

-- Begin to put clips that the engine has where their selection was read.
local function begin_placing(where, request, id)
  local self, why = run.place(where, reaper.EnumProjects(-1), request, id)
  if not self then
    requests.answer(where, id, 'failed', why, {})
    return nil
  end
  self.requested, self.told, self.warnings = true, true, {} -- the next answer says how it ended
  return self
end

-- Mark events as regions; that is done at once.
local function add_regions(where, request, id)
  local count, why = marking.add(reaper.EnumProjects(-1), request.rows)
  local said = count and ('%d added.'):format(count) or why
  requests.answer(where, id, count and 'done' or 'failed', said, {})
end

local function answer_group(where, group)
  local said = { ('%d inserted.'):format(group.good), table.unpack(group.said) }
  local sentence = table.concat(said, ' ')
  requests.answer(where, group.id, #group.said == 0 and 'done' or 'failed', sentence, {})
end

-- Note how a run ended that was taken up with others; with the last one the request is answered.
local function count_in(where, group, self)
  group.open = group.open - 1
  if self.outcome == 'done' or self.outcome == 'partly' then group.good = group.good + 1 end
  group.said[#group.said + 1] = self.sentence
  if group.open == 0 then answer_group(where, group) end
end

-- Carry on with a run; false when it has ended. Whoever requested it hears how it goes.
local function attend(where, self)
  local id, regions = self.batch.id, self.batch.regions
  if self.requested and requests.is_cancelled(where, id) then run.cancel(self) end
  step(self)
  if self.outcome and not self.requested then
    conclude(self)
    if self.group then count_in(where, self.group, self) end
  elseif self.outcome then
    local said = table.concat({ self.sentence or '', table.unpack(self.warnings) }, ' ')
    -- What may be in by halves is not simply failed: nothing may put it in once more by itself.
    local outcome = self.outcome == 'failed' and self.inserting and 'later' or self.outcome
    requests.answer(where, id, outcome, said, regions)
  elseif self.requested and not self.told
    and self.stage ~= 'engine' and self.stage ~= 'capture' then
    self.told = true
    requests.answer(where, id, 'sent', table.concat(self.warnings, ' '), regions)
  end
  return not self.outcome
end

local function is_finished(where, batch)
  for _, region in ipairs(batch.regions) do
    local status = jobs.status(where, region.job)
    if not status or not status.final then return false end
  end
  return true
end

-- Take up all that waits for the project, as a request asks. What is finished is answered for.
local function insert_waiting(where, id, runs)
  local project = reaper.EnumProjects(-1)
  local group = { id = id, open = 0, good = 0, said = {} }
  for _, batch in ipairs(waiting(project)) do
    if not batch.claimed then
      local self = run.resume(where, project, batch)
      if is_finished(where, batch) then
        self.group, group.open = group, group.open + 1
      end
      runs[#runs + 1] = self
    end
  end
  if group.open == 0 then answer_group(where, group) end
end

-- Offer what has been finished for a project that was just opened.
local function offer(where, project, runs)
  for _, batch in ipairs(waiting(project)) do
    local question = ("'%s' is ready for this project. Insert it now?"):format(batch.label)
    if not batch.claimed and is_finished(where, batch)
      and reaper.ShowMessageBox(question, TITLE, YES_NO) == YES then
      runs[#runs + 1] = run.resume(where, project, batch)
    end
  end
end

-- Tweeze: listen, until it is ended. Hears the requests that come over OSC, and offers what became
-- ready while a project was closed. There is one listener at a time.
function actions.listen(scripts)
  local where, runs = home.find(scripts), {}
  local listener = { id = 'listener' }
  if pending.is_attended(listener) then return end
  local next_look, shown = 0, nil
  local function look(now)
    next_look = now + 0.2
    pending.attend(listener, now)
    requests.be_alive(where)
    local request, id = requests.take(where)
    if request and request.action == 'insert' then insert_waiting(where, id, runs)
    elseif request and request.action == 'regions' then add_regions(where, request, id)
    elseif request and request.action == 'place' then
      runs[#runs + 1] = begin_placing(where, request, id)
    elseif request then runs[#runs + 1] = begin_request(where, request, id) end
    local project = reaper.EnumProjects(-1)
    if project ~= shown then
      shown = project
      offer(where, project, runs)
    end
  end
  keep_going(runs, function()
    local now = reaper.time_precise()
    if now >= next_look then look(now) end
    for index = #runs, 1, -1 do
      if not attend(where, runs[index]) then table.remove(runs, index) end
    end
    return true
  end)
  reaper.atexit(function() pending.attend(listener, nil) end)
end

return actions
