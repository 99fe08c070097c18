-- What is in the window: the query and what is not wanted as they are typed, what can be picked
-- instead, and the choices. Knows keys, draws nothing.
-- @noindex
local settings = require 'tweeze.settings'
local sounds = require 'tweeze.sounds'

local form = {}

local ROWS = { 'query', 'unwanted', 'keep', 'mute', 'model' }
local SHOWN = 8 -- suggestions at once

-- The code that gfx.getchar gives a named key: its letters, packed.
local function code(name)
  local value = 0
  for index = 1, #name do value = value << 8 | name:byte(index) end
  return value
end

local KEYS = {
  [8] = 'backspace', [9] = 'tab', [13] = 'enter', [27] = 'escape',
  [code 'left'] = 'left', [code 'rght'] = 'right', [code 'up'] = 'up', [code 'down'] = 'down',
  [code 'home'] = 'home', [code 'end'] = 'end', [code 'del'] = 'delete',
}

local function keeps(offer)
  for _, option in ipairs(offer.options) do
    if option.name == 'keep' and #option.values > 0 then return option.values end
  end
  return settings.KEEPS -- an engine that is older than this script names no options
end

-- What is typed into a row: its text, where the cursor is, and whether it is still the last one's,
-- which typing replaces. `split` takes its text to pieces.
local function field(typed, history, split)
  return {
    typed = typed, cursor = utf8.len(typed) or 0, fresh = true, history = history, split = split,
  }
end

-- Return a form that starts from the last request; `offer` is what the engine offers.
-- `near` are the terms that it suggests for the sound that is typed, as far as they are known.
function form.new(last, history, offer)
  return {
    query = field(last.typed, history, sounds.pieces),
    unwanted = field(last.unwanted, {}, sounds.list),
    row = 1, picked = 0,
    keep = last.keep, mute = last.mute, model = last.model,
    near = {}, models = offer.models, sounds = offer.sounds, keeps = keeps(offer),
  }
end

-- Return the name of the row that keys go to, and the field that is typed into there, if it is one.
function form.row(self)
  local name = ROWS[self.row]
  return name, (name == 'query' or name == 'unwanted') and self[name] or nil
end

local function contains(text, part)
  return text:lower():find(part:lower(), 1, true)
end

-- Return the sound that is being typed, the last one of several, and the byte where it begins.
local function last_sound(typing)
  local pieces = typing.split(typing.typed)
  local last = pieces[#pieces]
  local blank = #last.text:match('^%s*')
  return last.text:sub(blank + 1), last.at + blank
end

-- Return the sound that is being typed; '' where none is.
function form.typing(self)
  local _, typing = form.row(self)
  if not typing or typing.fresh then return '' end
  return (last_sound(typing))
end

-- Return what can be picked: the last queries, sounds that the engine knows, and what it suggests.
function form.suggestions(self)
  local found, seen = {}, {}
  local function add(list, part, at_start)
    for _, text in ipairs(list) do
      local at = contains(text, part)
      if at and (at == 1) == at_start and not seen[text] and text ~= part and #found < SHOWN then
        found[#found + 1], seen[text] = text, true
      end
    end
  end
  local _, typing = form.row(self)
  if not typing then return found end
  add(typing.history, typing.fresh and '' or typing.typed, true)
  local part = form.typing(self)
  if part ~= '' then
    add(self.sounds, part, true)
    add(self.sounds, part, false)
    add(self.near, '', true)
  end
  return found
end

local function pick(typing, text)
  local kept = ''
  if not typing.fresh then
    local _, at = last_sound(typing)
    kept = typing.typed:sub(1, at - 1):gsub(';$', '; ')
  end
  for _, old in ipairs(typing.history) do
    if old == text then kept = '' end
  end
  typing.typed = kept .. text
  typing.cursor, typing.fresh = utf8.len(typing.typed), false
end

-- Replace the characters between two cursor places.
local function replace(typing, from, to, text)
  local first, last = utf8.offset(typing.typed, from + 1), utf8.offset(typing.typed, to + 1)
  typing.typed = typing.typed:sub(1, first - 1) .. text .. typing.typed:sub(last)
  typing.cursor, typing.fresh = from + utf8.len(text), false
end

local function insert(typing, text)
  if typing.fresh then typing.typed, typing.cursor = '', 0 end -- typing replaces the last one's
  replace(typing, typing.cursor, typing.cursor, text)
end

local function turn(list, value, by)
  local at = 1
  for index, entry in ipairs(list) do
    if entry == value then at = index end
  end
  return list[(at - 1 + by) % #list + 1]
end

local function change(self, by)
  local row = ROWS[self.row]
  if row == 'keep' then self.keep = turn(self.keeps, self.keep, by)
  elseif row == 'mute' then self.mute = not self.mute
  elseif row == 'model' then self.model = turn(self.models, self.model, by) end
end

local edit = {}

function edit.backspace(typing)
  if typing.fresh then insert(typing, '')
  elseif typing.cursor > 0 then replace(typing, typing.cursor - 1, typing.cursor, '') end
end

function edit.delete(typing)
  if typing.cursor < utf8.len(typing.typed) then
    replace(typing, typing.cursor, typing.cursor + 1, '')
  end
end

function edit.left(typing) typing.cursor, typing.fresh = math.max(0, typing.cursor - 1), false end

function edit.right(typing)
  typing.cursor, typing.fresh = math.min(utf8.len(typing.typed), typing.cursor + 1), false
end

function edit.home(typing) typing.cursor, typing.fresh = 0, false end

edit['end'] = function(typing) typing.cursor, typing.fresh = utf8.len(typing.typed), false end

local function go(self, by)
  self.picked = math.max(0, math.min(self.picked + by, #form.suggestions(self)))
end

-- Return the request, or nil where no query was typed.
function form.request(self)
  local request = sounds.asked(self.query.typed, self.unwanted.typed)
  if #request.queries == 0 then return nil end
  request.keep, request.mute, request.model = self.keep, self.mute, self.model
  request.options = {}
  return request
end

local function printable(char, unicode)
  if unicode and unicode >= 32 then return utf8.char(unicode) end
  if char >> 24 == 0x75 then return utf8.char(char & 0xFFFFFF) end -- 'u' and the code point
  if char >= 32 and char < 127 or char >= 160 and char < 256 then return utf8.char(char) end
  return nil
end

local function type_key(self, typing, key, char, unicode)
  if key == 'up' then return go(self, -1) end
  if key == 'down' then return go(self, 1) end
  local text = not key and printable(char, unicode)
  if key then edit[key](typing)
  elseif text then insert(typing, text)
  else return end
  self.picked = 0
end

-- Take a key as gfx.getchar gave it: 'run', 'close', or nil to go on.
function form.key(self, char, unicode)
  local key = KEYS[char]
  local _, typing = form.row(self)
  if key == 'escape' then return 'close' end
  if key == 'enter' then
    local chosen = self.picked > 0 and form.suggestions(self)[self.picked]
    if not chosen then return form.request(self) and 'run' or nil end
    pick(typing, chosen)
    self.picked = 0
  elseif key == 'tab' then self.row, self.picked = self.row % #ROWS + 1, 0
  elseif typing then type_key(self, typing, key, char, unicode)
  elseif key == 'left' or key == 'up' then change(self, -1)
  elseif key == 'right' or key == 'down' or char == 32 then change(self, 1) end
  return nil
end

return form
