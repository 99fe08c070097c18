-- What the user chose last, and the last ten queries; kept in REAPER's own settings.
-- @noindex
local sounds = require 'tweeze.sounds'

local settings = {}

local SECTION = 'Tweeze'
local REMEMBERED = 10 -- queries

settings.KEEPS = { 'target', 'residual', 'both' }

local function get(key, default)
  local value = reaper.GetExtState(SECTION, key)
  return value ~= '' and value or default
end

-- Return what was typed last, the latest first.
function settings.history()
  local typed = {}
  for number = 1, REMEMBERED do typed[number] = get('query' .. number) end
  return typed
end

-- Return the last request: what it asks for (see `sounds.asked`), keep, mute and model, and the
-- `options` for which the window has no row, as pairs of name and value. `offer` is what the engine
-- offers: the first of its models is the usual one.
function settings.load(offer)
  local request = sounds.asked(get('query1', ''), get('not', ''))
  local options = {}
  for name, value in get('options', ''):gmatch('([^;=]+)=([^;]*)') do
    options[#options + 1] = { name, value }
  end
  request.keep, request.mute = get('keep', 'target'), get('mute', 'no') == 'yes'
  request.model, request.options = get('model', offer.models[1]), options
  return request
end

-- Keep a request as the last one.
function settings.save(request)
  local history = settings.history()
  local number = 1
  local function put(typed)
    if number <= REMEMBERED then
      reaper.SetExtState(SECTION, 'query' .. number, typed, true)
      number = number + 1
    end
  end
  put(request.typed)
  for index = 1, REMEMBERED do
    local typed = history[index]
    if typed and typed ~= request.typed then put(typed) end
  end
  reaper.SetExtState(SECTION, 'not', request.unwanted, true)
  reaper.SetExtState(SECTION, 'keep', request.keep, true)
  reaper.SetExtState(SECTION, 'mute', request.mute and 'yes' or 'no', true)
  reaper.SetExtState(SECTION, 'model', request.model, true)
  local options = {}
  for index, pair in ipairs(request.options) do options[index] = table.concat(pair, '=') end
  reaper.SetExtState(SECTION, 'options', table.concat(options, ';'), true)
end

return settings
