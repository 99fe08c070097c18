-- A script's side of the spool: send a job, hear how it goes, cancel it.
-- @noindex
local spans = require 'tweeze.spans'
local text = require 'tweeze.text'

local jobs = {}

local KINDS = { target = true, residual = true }

-- Return where the mixture of a job is to lie; the engine removes it when the job has ended.
function jobs.mixture(where, id)
  return where.root .. '/mixtures/' .. id .. '.wav'
end

-- Send a job whose mixture is written; true, or nil and a reason.
function jobs.send(where, id, region, request, project)
  local rows = { { 'tweeze', '1' }, { 'id', id }, { 'mixture', jobs.mixture(where, id) } }
  local function say(key, value) rows[#rows + 1] = { key, value } end
  for _, query in ipairs(request.queries) do say('query', query) end
  for _, sound in ipairs(request.nots) do say('not', sound) end
  say('model', request.model)
  say('keep', request.keep)
  for _, pair in ipairs(request.options) do say(pair[1], pair[2]) end
  for _, pair in ipairs(spans.options(region)) do say(pair[1], pair[2]) end
  say('title', region.title)
  say('client', 'reaper')
  say('host', 'reaper')
  say('project', project)
  say('track', region.title)
  say('start', ('%d'):format(math.floor(region.position * region.rate + 0.5)))
  say('rate', ('%d'):format(region.rate))
  say('mute', request.mute and 'yes' or 'no')
  say('note', id)
  return text.write(where.spool .. '/jobs/' .. id, rows)
end

-- Ask the engine to open regions in the panel, whose audio is written as the mixtures of their
-- `job`; true, or nil and a reason.
function jobs.open(where, id, regions, project)
  local rows = { { 'tweeze', '1' }, { 'id', id }, { 'project', project } }
  for _, region in ipairs(regions) do
    rows[#rows + 1] = { 'file', jobs.mixture(where, region.job) }
    rows[#rows + 1] = { 'title', region.title }
    rows[#rows + 1] = { 'start', ('%d'):format(math.floor(region.position * region.rate + 0.5)) }
    rows[#rows + 1] = { 'rate', ('%d'):format(region.rate) }
    rows[#rows + 1] = { 'note', region.job }
  end
  local written, why = text.write(where.spool .. '/reaper/opened/' .. id, rows)
  if not written then return nil, why end
  return text.write(where.spool .. '/requests/' .. id, {
    { 'tweeze', '1' }, { 'id', id }, { 'host', 'reaper' }, { 'action', 'panel' },
  })
end

-- Return the status in a file; nil also where a clip is named by halves.
local function read_status(file)
  local rows = text.read(file)
  if not rows then return nil end
  local status = {
    state = text.one(rows, 'state', 'queued'),
    progress = math.max(0, math.min(1, tonumber(text.one(rows, 'progress')) or 0)),
    message = text.one(rows, 'message', ''),
    notes = text.all(rows, 'note'),
    clips = {},
  }
  local kinds, names = text.all(rows, 'kind'), text.all(rows, 'name')
  for index, path in ipairs(text.all(rows, 'clip')) do
    if not KINDS[kinds[index] or ''] or not names[index] then return nil end
    status.clips[index] = { path = path, kind = kinds[index], name = names[index] }
  end
  status.final = status.state == 'done' or status.state == 'failed' or status.state == 'cancelled'
  return status
end

-- Return what the engine last said of a job: state, progress, message, clips, notes; or nil, also
-- where a clip is named by halves.
function jobs.status(where, id)
  return read_status(where.spool .. '/status/' .. id)
end

-- Return what the engine last said of a request: state and message; or nil.
function jobs.request_status(where, id)
  return read_status(where.spool .. '/request-status/' .. id)
end

-- Return whether the job waits in the spool for an engine to take it.
function jobs.waits(where, id)
  return reaper.file_exists(where.spool .. '/jobs/' .. id)
end

-- Cancel a job. Without an engine, one that none has taken yet is taken back.
function jobs.cancel(where, id, engine_lives)
  if not engine_lives and os.remove(where.spool .. '/jobs/' .. id) then
    os.remove(jobs.mixture(where, id))
  else
    text.write(where.spool .. '/cancel/' .. id, {})
  end
end

return jobs
