-- Terms to ask for instead of what is typed: once the typing pauses, the engine is asked, if it
-- lives. Question and answer are files in the spool, so nothing waits.
-- @noindex
local home = require 'tweeze.home'
local text = require 'tweeze.text'

local advice = {}

local PAUSE = 0.4 -- seconds without a key
local LEAST = 3 -- characters of a word that can be asked about
local PATIENCE = 5 -- seconds until an answer counts as lost

function advice.new(where)
  return { where = where, typed = '', since = 0, asked = '', answered = '', terms = {} }
end

local function ask(self, now)
  self.asked, self.at = self.typed, now
  if not home.heartbeat(self.where) then return end
  local id = home.new_id()
  local rows = {
    { 'tweeze', '1' }, { 'id', id }, { 'host', 'reaper' }, { 'action', 'suggest' },
    { 'query', self.typed },
  }
  if text.write(self.where.spool .. '/requests/' .. id, rows) then self.id = id end
end

-- Where the engine answers; one of an older version does so among the jobs.
local function answers(self)
  local spool = self.where.spool
  return spool .. '/request-status/' .. self.id, spool .. '/status/' .. self.id
end

-- Let go of a question, and of its files.
function advice.leave(self)
  if not self.id then return end
  os.remove(self.where.spool .. '/requests/' .. self.id)
  for _, path in ipairs { answers(self) } do os.remove(path) end
  self.id = nil
end

local function hear(self, now)
  local path, older = answers(self)
  local rows = text.read(path) or text.read(older)
  local state = rows and text.one(rows, 'state')
  if state == 'done' then
    self.answered, self.terms = self.asked, {}
    for term in text.one(rows, 'message', ''):gmatch('[^;]+') do
      self.terms[#self.terms + 1] = term:match('^%s*(.-)%s*$')
    end
  end
  if state == 'done' or state == 'failed' or now - self.at > PATIENCE then advice.leave(self) end
end

-- Do one cycle's work and return the terms for the query `typed`, none while they are not known.
function advice.step(self, typed, now)
  if typed ~= self.typed then self.typed, self.since = typed, now end
  if self.id then hear(self, now) end
  local rests = now - self.since >= PAUSE and (utf8.len(typed) or 0) >= LEAST
  if rests and not self.id and typed ~= self.asked then ask(self, now) end
  return typed == self.answered and self.terms or {}
end

return advice
