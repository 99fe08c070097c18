-- Wishes that come from outside REAPER (over OSC, say): the engine leaves them in its spool, and
-- hears through an answer file how they go.
-- @noindex
local settings = require 'tweeze.settings'
local text = require 'tweeze.text'

local wishes = {}

local function folder(where) return where.spool .. '/reaper' end

-- Say that somebody in REAPER listens. A full disk lets nothing be written but what is there
-- already, over which the new text fits.
function wishes.be_alive(where)
  local path = folder(where) .. '/alive'
  local rows = { { 'tweeze', '1' }, { 'time', tostring(os.time()) } }
  if not text.write(path, rows) then text.write_over(path, rows) end
end

-- Return a wish as a request text gives it; what it leaves open is as it was the last time.
local function understand(rows)
  local wish = settings.load()
  wish.action = text.one(rows, 'action', 'separate')
  local queries = text.all(rows, 'query')
  if #queries > 0 then
    wish.typed = table.concat(queries, '; ')
    wish.queries = queries
  end
  wish.keep = text.one(rows, 'keep', wish.keep)
  wish.model = text.one(rows, 'model', wish.model)
  wish.mute = text.one(rows, 'mute', wish.mute and 'yes' or 'no') == 'yes'
  return wish
end

-- Take the oldest wish: it and its id, or nil. Nobody else gets it.
function wishes.take(where)
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
      if rows then return understand(rows), name end
    end
  end
  return nil
end

-- Return whether a wish was taken back.
function wishes.is_cancelled(where, id)
  return os.remove(folder(where) .. '/cancel/' .. id) ~= nil
end

-- Say how a wish goes: `sent`, then `done`, `partly`, `failed`, `cancelled` or `later`; and by
-- which jobs.
function wishes.answer(where, id, state, message, regions)
  local rows = { { 'tweeze', '1' }, { 'id', id }, { 'state', state }, { 'message', message } }
  for _, region in ipairs(regions) do rows[#rows + 1] = { 'job', region.job } end
  text.write(folder(where) .. '/answers/' .. id, rows)
end

return wishes
