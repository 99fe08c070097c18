-- One separation from selection to new tracks: capture, send, wait, deliver, insert. `run.step`
-- does a few milliseconds of it; a script calls that from `reaper.defer` until it has an outcome.
-- @noindex
local capture = require 'tweeze.capture'
local deliver = require 'tweeze.deliver'
local home = require 'tweeze.home'
local insert = require 'tweeze.insert'
local jobs = require 'tweeze.jobs'
local pending = require 'tweeze.pending'

local run = {}

local BUDGET = 0.015 -- seconds of work in one cycle, the last piece estimated
local POLL = 0.1 -- seconds between looks at the spool
local PATIENCE = 30 -- seconds that an engine gets to start, or to take a job
local OPENING = 90 -- seconds that an engine gets to open the panel
local STARTS = 3 -- times that the engine is started before that is given up
local CAPTURED = 0.1 -- share of the progress bar that capturing takes

local NEVER_RAN = 'The engine of Tweeze has not run yet: run "tweeze start" in a terminal once.'
local NO_START = 'The engine of Tweeze does not start: run "tweeze doctor" in a terminal. The job '
  .. 'waits for it; "Tweeze - collect" brings the result.'
local LOST = 'The engine did not take the job: try again.'
local NOT_OPENED = 'The engine did not open the panel: run "tweeze panel" in a terminal to see why.'
local NO_PLACE = "REAPER's note of where '%s' was taken from is gone: download the clips, and drag "
  .. 'them into the project.'
local NO_NOTE = 'What is to go in could not be noted (%s): free some space, and try again.'
local OTHER_PROJECT = "'%s' came from another project than the one in front: bring that to the "
  .. 'front, and try again.'
local LOST_BUT_KEPT = 'The engine does not say what became of the job. Its clips lie in %s: run '
  .. '"tweeze doctor" in a terminal, then "Tweeze - collect".'
local GONE = "The clips of '%s' are gone: the engine keeps for some weeks what nobody fetches. "
  .. 'Separate the sound again.'
local NOT_IN = 'The clips could not be put into the project (%s), so nothing was. They lie in %s: '
  .. 'run "Tweeze - collect" to try again.'
local IN_PART = 'The clips could not be put into the project as a whole (%s): undo what is there. '
  .. 'They lie in %s; "Tweeze - collect" asks whether to put them in again.'
local BY_HAND = 'waiting for the engine: run "tweeze start" in a terminal'

local function finish(self, outcome, sentence)
  if self.capture then capture.abandon(self.capture) end
  -- Broken off while it was put in, it may be in: the note stays claimed, for the user to judge.
  if not self.inserting then
    if self.delivery then deliver.abandon(self.delivery) end
    if self.claimed and outcome == 'later' then
      pending.keep(self.batch)
      pending.release(self.batch)
    end
  end
  pending.attend(self.batch, nil)
  self.capture, self.delivery = nil, nil
  self.outcome, self.sentence = outcome, sentence
end

-- Take back what was to be opened in the panel.
local function close_opened(self)
  if self.stage == 'opened' then
    jobs.cancel(self.where, self.batch.id, true)
    return -- the audio is the engine's now
  end
  for _, region in ipairs(self.regions) do
    if region.job then os.remove(jobs.mixture(self.where, region.job)) end
  end
end

local function cancel_jobs(self)
  if self.opens then return close_opened(self) end
  local lives = home.heartbeat(self.where) ~= nil
  for _, region in ipairs(self.batch.regions) do jobs.cancel(self.where, region.job, lives) end
  pending.forget(self.batch)
end

-- Stop, and stop the engine's work on it.
function run.cancel(self)
  if self.outcome then return end
  cancel_jobs(self)
  finish(self, 'cancelled')
end

-- Let go of what is open; what was sent goes on and can be collected.
function run.leave(self)
  if not self.outcome then finish(self, 'later') end
end

local function fail(self, sentence)
  cancel_jobs(self)
  finish(self, 'failed', sentence)
end

local function new(where, project, batch, stage)
  local now = reaper.time_precise()
  pending.attend(batch, now)
  return {
    where = where, project = project, batch = batch, stage = stage, share = 0, message = '',
    notes = {}, attended = now, next_poll = now, starts = 0,
    cancel_mark = reaper.GetExtState('Tweeze', 'cancel'),
  }
end

-- Begin to separate `regions` of a project as a request says: queries, keep, mute, model, options.
-- `id` names the batch, and its jobs with a number behind it.
function run.begin(where, project, regions, request, id)
  local batch = {
    id = id, project = pending.project_mark(project), mute = request.mute,
    label = table.concat(request.queries, ', '), regions = {},
  }
  local self = new(where, project, batch, 'engine')
  self.regions, self.request = regions, request
  return self
end

-- Begin to open `regions` of a project in the panel.
function run.open(where, project, regions, id)
  local self = run.begin(where, project, regions, { queries = { 'Panel' }, mute = false }, id)
  self.opens = true
  return self
end

-- Begin to put the clips of a job that is done where a region lay, as `request` says: its `job`,
-- the `note` of the place, and whether to `mute`. Nil and a sentence where that cannot be.
function run.place(where, project, request, id)
  local batch = pending.place(request.note)
  if not batch then return nil, NO_PLACE:format(request.job) end
  local region = batch.regions[1]
  if not pending.belongs(batch, project) then return nil, OTHER_PROJECT:format(region.title) end
  region.job, region.stays = request.job, true
  batch.id, batch.mute, batch.project = id, request.mute, pending.project_mark(project)
  batch.label = table.concat(request.queries, ', ')
  local written, why = pending.write(batch, project)
  if not written then return nil, NO_NOTE:format(why or '?') end
  return new(where, project, batch, 'wait')
end

-- Take up a batch whose jobs were sent before.
function run.resume(where, project, batch)
  return new(where, project, batch, 'wait')
end

-- Note that the engine is there, else start it now and then; false when that is given up.
local function attend_engine(self, now)
  if home.heartbeat(self.where) then
    self.started, self.starts = nil, 0
    return true
  end
  if self.started and now - self.started < PATIENCE then return true end
  if self.starts >= STARTS then return false end
  self.started, self.starts = now, self.starts + 1
  self.message = home.start(self.where) and 'starting the engine' or BY_HAND
  if self.message == BY_HAND then self.starts = 0 end -- there is a person to wait for
  return true
end

local function can_write(where)
  local probe = where.root .. '/mixtures/.probe'
  local file = io.open(probe, 'wb')
  if not file then return false end
  file:close()
  os.remove(probe)
  return true
end

local steps = {}

-- Wait until the engine's folders are there: it makes them, for the user alone.
function steps.engine(self, now)
  if can_write(self.where) then
    attend_engine(self, now)
    self.stage = 'capture'
    return true
  end
  if not self.where.start then fail(self, NEVER_RAN)
  elseif not attend_engine(self, now) then fail(self, NO_START) end
  return false
end

local function send(self, region)
  local batch = self.batch
  batch.regions[#batch.regions + 1] = region
  local sent, why = pending.note_place(region, self.project)
  if sent and not self.opens then
    sent, why = pending.write(batch, self.project)
  end
  if sent and not self.opens then
    sent, why = jobs.send(self.where, region.job, region, self.request, batch.project)
  end
  if not sent then
    fail(self, ('The job could not be sent (%s): run "tweeze doctor".'):format(why or '?'))
  end
end

local function begin_capture(self, region)
  local batch = self.batch
  region.job = ('%s-%d'):format(batch.id, #batch.regions + 1)
  local why
  self.capture, why = capture.begin(region, jobs.mixture(self.where, region.job))
  if not self.capture then fail(self, why) end
end

function steps.capture(self)
  local region = self.regions[#self.batch.regions + 1]
  if not region then
    self.stage = self.opens and 'open' or 'wait'
    return true
  end
  self.message = 'reading the selection'
  local source = region.take or region.track
  local kind = region.take and 'MediaItem_Take*' or 'MediaTrack*'
  if not reaper.ValidatePtr2(self.project, source, kind) then
    fail(self, ("'%s' went away while Tweeze read it."):format(region.title))
    return false
  end
  if not self.capture then
    begin_capture(self, region)
    return not self.outcome
  end
  local whole, why = capture.step(self.capture)
  if whole == nil then
    self.capture = nil
    fail(self, why)
  elseif whole then
    if self.capture.unchecked and reaper.GetExtState('Tweeze', 'said unchecked') == '' then
      reaper.SetExtState('Tweeze', 'said unchecked', 'yes', false) -- once is enough
      self.notes[#self.notes + 1] = self.capture.unchecked
    end
    self.capture = nil
    send(self, region)
  end
  local part = self.capture and self.capture.done / region.frames or 0
  self.share = CAPTURED * (#self.batch.regions + part) / #self.regions
  return not self.outcome
end

function steps.open(self, now)
  local batch = self.batch
  local sent, why = jobs.open(self.where, batch.id, batch.regions, batch.project)
  if not sent then
    fail(self, ('The panel could not be asked for (%s): run "tweeze doctor".'):format(why or '?'))
    return false
  end
  self.stage, self.sent, self.message = 'opened', now, 'opening the panel'
  return true
end

-- Wait until the engine has opened the page, or says why not.
function steps.opened(self, now)
  if now < self.next_poll then return false end
  self.next_poll = now + POLL
  if not attend_engine(self, now) then
    finish(self, 'failed', NO_START)
    return false
  end
  local status = jobs.request_status(self.where, self.batch.id)
  if status and status.state == 'done' then finish(self, 'done')
  elseif status and status.final then
    finish(self, 'failed', status.message ~= '' and status.message or NOT_OPENED)
  elseif not self.started and now - self.sent > OPENING then finish(self, 'failed', NOT_OPENED)
  end
  return false
end

-- Look at one job: its share, and whether it has come to its end; nil if it is lost.
local function look(self, region, now)
  local status = jobs.status(self.where, region.job)
  if status or jobs.waits(self.where, region.job) or not home.heartbeat(self.where) then
    region.missing = nil
    region.status = status
    return status and status.progress or 0, status ~= nil and status.final
  end
  region.missing = region.missing or now
  if now - region.missing > PATIENCE then return nil end
  return 0, false
end

-- Return where the engine keeps the clips of a batch, or nil where it keeps none.
local function kept(self)
  for _, region in ipairs(self.batch.regions) do
    local folder = self.where.root .. '/clips/' .. region.job
    reaper.EnumerateFiles(folder, -1)
    if reaper.EnumerateFiles(folder, 0) then return folder end
  end
  return nil
end

local function note_ends(self)
  local good = 0
  for _, region in ipairs(self.batch.regions) do
    local status = region.status
    if status.state == 'done' then
      good, region.clips = good + 1, status.clips
      for _, note in ipairs(status.notes) do self.notes[#self.notes + 1] = note end
    else
      self.failure = status.message ~= '' and status.message or 'The job was cancelled.'
      self.all_cancelled = self.all_cancelled ~= false and status.state == 'cancelled'
    end
  end
  return good
end

function steps.wait(self, now)
  if now < self.next_poll then return false end
  self.next_poll = now + POLL
  if not attend_engine(self, now) then
    finish(self, 'later', NO_START)
    return false
  end
  if not self.started then self.message = 'separating' end
  local sum, ended = 0, 0
  for _, region in ipairs(self.batch.regions) do
    local share, final = look(self, region, now)
    if not share then
      local folder = kept(self)
      if folder then finish(self, 'later', LOST_BUT_KEPT:format(folder)) else fail(self, LOST) end
      return false
    end
    sum = sum + share
    if final then ended = ended + 1 end
  end
  local count = #self.batch.regions
  self.share = math.max(self.share, CAPTURED + (1 - CAPTURED) * sum / count)
  if ended == count then self.stage = 'claim' end
  return ended == count
end

-- Return the clips of the jobs that are done; a region of which one is gone gets none.
local function find_clips(self)
  local clips = {}
  for _, region in ipairs(self.batch.regions) do
    local there = true
    for number, clip in ipairs(region.clips or {}) do
      local place = region.placed and region.placed[number] or ''
      clip.stays = region.stays
      if place ~= '' then clip.placed = place end
      there = there and deliver.finds(clip)
    end
    if there then table.move(region.clips or {}, 1, #(region.clips or {}), #clips + 1, clips)
    else region.clips, self.failure = nil, GONE:format(self.batch.label) end
  end
  return clips
end

function steps.claim(self)
  local good = note_ends(self)
  if good == 0 then
    pending.forget(self.batch)
    if self.all_cancelled then finish(self, 'cancelled')
    else finish(self, 'failed', self.failure) end
    return false
  end
  local mine, why = pending.claim(self.batch)
  if not mine then
    finish(self, why and 'later' or 'elsewhere', why) -- another script may have inserted it
    return false
  end
  self.claimed = true
  local clips = find_clips(self)
  if #clips == 0 then
    pending.forget(self.batch)
    finish(self, 'failed', self.failure)
    return false
  end
  self.delivery = deliver.begin(clips, reaper.GetProjectPathEx(self.project), function()
    return pending.keep(self.batch)
  end)
  self.stage = 'deliver'
  return true
end

function steps.deliver(self)
  self.message = 'bringing the clips'
  local there, why = deliver.step(self.delivery)
  if there then
    self.stage = 'insert'
  elseif there == nil then
    self.delivery = nil
    finish(self, 'later', why)
  end
  return there ~= nil
end

function steps.insert(self)
  self.inserting = true
  local inserted, why, in_part = insert.batch(self.project, self.batch)
  local delivery = self.delivery
  if in_part then
    finish(self, 'failed', IN_PART:format(why, deliver.places(delivery.clips)))
    return false
  end
  self.inserting, self.delivery = nil, nil
  if inserted then
    pending.forget(self.batch)
    deliver.finish(delivery)
    self.share = 1
    finish(self, self.failure and 'partly' or 'done', self.failure)
  else
    deliver.abandon(delivery)
    finish(self, 'later', NOT_IN:format(why, deliver.places(delivery.clips)))
  end
  return false
end

-- Return whether the project can be worked on now; one that was closed ends the run.
local function project_is_here(self)
  if not reaper.ValidatePtr2(self.project, self.project, 'ReaProject*') then
    finish(self, 'later')
    return false
  end
  if self.stage == 'wait' or self.stage == 'opened' then return true end -- need nothing of it
  return reaper.EnumProjects(-1) == self.project
end

-- Do one cycle's work.
function run.step(self)
  if self.outcome then return end
  if reaper.GetExtState('Tweeze', 'cancel') ~= self.cancel_mark then return run.cancel(self) end
  local began = reaper.time_precise()
  local longest, now = 0, began
  if now - self.attended > 1 then
    pending.attend(self.batch, now)
    self.attended = now
  end
  repeat
    if not project_is_here(self) then return end
    local more = steps[self.stage](self, now)
    local after = reaper.time_precise()
    longest, now = math.max(longest, after - now), after
  until not more or now - began + longest > BUDGET
end

return run
