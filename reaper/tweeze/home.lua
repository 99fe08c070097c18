-- Where Tweeze's engine keeps its folders, whether it lives, and how to start it.
-- @noindex
local text = require 'tweeze.text'

local home = {}

local FRESH = 5 -- seconds; after that a sign of life says nothing (see heartbeat.py)

local function usual()
  local named = os.getenv('TWEEZE_HOME')
  if named and named ~= '' then return named end
  local system = reaper.GetOS()
  if system:match('^Win') then return os.getenv('LOCALAPPDATA') .. '/tweeze' end
  local user = os.getenv('HOME') or ''
  if system:match('^OSX') or system:match('^macOS') then
    return user .. '/Library/Application Support/tweeze'
  end
  local data = os.getenv('XDG_DATA_HOME') or '' -- empty or relative, it says nothing
  return (data:match('^/') and data or user .. '/.local/share') .. '/tweeze'
end

-- Return the home as `tweeze install reaper` wrote it down in `where.txt`, else the usual one.
function home.find(scripts)
  local rows = text.read(scripts .. 'tweeze/where.txt') or {}
  local root = text.one(rows, 'home') or usual()
  return { root = root, spool = root .. '/spool', start = text.one(rows, 'start') }
end

-- Return the engine's sign of life (rows), or nil if there is no fresh one. Its own `time` tells,
-- on a full disk as well: what is fresh means that the engine is alive.
function home.heartbeat(where)
  local rows = text.read(where.spool .. '/engine')
  local told = rows and tonumber(text.one(rows, 'time'))
  if told and math.abs(os.time() - told) < FRESH then return rows end
  return nil
end

-- Ask the system to start the engine, without waiting; false if nobody said how.
function home.start(where)
  if not where.start then return false end
  reaper.ExecProcess(where.start, -2)
  return true
end

-- Return what the engine offers: `models`, the usual one first, and `sounds` by their names, and
-- the `options` that a job can have: each one's name, and the texts of its values where they can be
-- listed.
function home.offer(where)
  local rows = text.read(where.spool .. '/reaper/offer') or {}
  local models = text.all(rows, 'model')
  if #models == 0 then models = { 'auto' } end
  local options, forms = {}, text.all(rows, 'form')
  for index, name in ipairs(text.all(rows, 'option')) do
    local values = {}
    for value in (forms[index] or ''):gmatch('[^|]+') do values[#values + 1] = value end
    options[index] = { name = name, values = values }
  end
  return { models = models, sounds = text.all(rows, 'sound'), options = options }
end

-- Return a fresh id for a job; ids sort by the time of their making (UTC).
function home.new_id()
  local guid = reaper.genGuid(''):gsub('[^%x]', ''):lower()
  return os.date('!%Y%m%d-%H%M%S') .. '-' .. guid:sub(1, 12)
end

return home
