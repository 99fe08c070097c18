-- Requests that come from outside REAPER (over OSC, say): the engine leaves them in its spool, and
-- hears through an answer file how they go.
-- @noindex
local home = require 'tweeze.home'
local settings = require 'tweeze.settings'
local sounds = require 'tweeze.sounds'
local text = require 'tweeze.text'

local requests = {}

local IN_WINDOW = { keep = true, mute = true, model = true }

local function folder(where) return where.spool .. '/reaper' end

-- Say that somebody in REAPER listens. A full disk lets nothing be written but what is there
-- already, over which the new text fits.
function requests.be_alive(where)
  local path = folder(where) .. '/alive'
  local rows = { { 'tweeze', '1' }, { 'time', tostring(os.time()) } }
  if not text.write(path, rows) then text.write_over(path, rows) end
end

-- Return the options that rows name, but those for which the window has a row, and those of `last`
-- that they leave open.
local function options_in(rows, offered, last)
  local options, named = {}, {}
  for _, option in ipairs(offered) do
    local value = text.one(rows, option.name)
    if value and not IN_WINDOW[option.name] then
      options[#options + 1] = { option.name, value }
      named[option.name] = true
    end
  end
  for _, pair in ipairs(last) do
    if not named[pair[1]] then options[#options + 1] = pair end
  end
  return options
end

-- Return a request as its text gives it. What it leaves open is as it was the last time; but an
-- option that the window does not show has its default, unless it asks for the last sounds, or for
-- the last request again.
local function understand(rows, offer)
  local last = settings.load(offer)
  local queries, nots = text.all(rows, 'query'), text.all(rows, 'not')
  local named = #queries > 0
  local request = sounds.asked(
    named and table.concat(queries, ';') or last.typed,
    (named or #nots > 0) and table.concat(nots, ';') or last.unwanted
  )
  request.action = text.one(rows, 'action', 'separate')
  local repeats = not named or request.action == 'again'
  request.options = options_in(rows, offer.options, repeats and last.options or {})
  request.keep = text.one(rows, 'keep', last.keep)
  request.model = text.one(rows, 'model', last.model)
  request.rows = rows
  request.job, request.note = text.one(rows, 'job', ''), text.one(rows, 'note', '')
  request.mute = text.one(rows, 'mute', last.mute and 'yes' or 'no') == 'yes'
  return request
end

-- Take the oldest request: it and its id, or nil. Nobody else gets it.
function requests.take(where)
  local waiting = folder(where) .. '/wishes'
  reaper.EnumerateFiles(waiting, -1)
  local index, names = 0, {}
  while true do
    local name = reaper.EnumerateFiles(waiting, index)
    if not name then break end
    if name:match('^%w[%w_-]*$') then names[#names + 1] = name end
    index = index + 1
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local mine = waiting .. '/.' .. name
    if os.rename(waiting .. '/' .. name, mine) then
      local rows = text.read(mine)
      os.remove(mine)
      if rows then return understand(rows, home.offer(where)), name end
    end
  end
  return nil
end

-- Return whether a request was taken back.
function requests.is_cancelled(where, id)
  return os.remove(folder(where) .. '/cancel/' .. id) ~= nil
end

-- Say how a request goes: `sent`, then `done`, `partly`, `failed`, `cancelled` or `later`; and by
-- which jobs.
function requests.answer(where, id, state, message, regions)
  local rows = { { 'tweeze', '1' }, { 'id', id }, { 'state', state }, { 'message', message } }
  for _, region in ipairs(regions) do rows[#rows + 1] = { 'job', region.job } end
  text.write(folder(where) .. '/answers/' .. id, rows)
end

return requests
