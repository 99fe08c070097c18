-- What is in the window: the query as it is typed, what can be picked instead, and the choices.
-- Knows keys, draws nothing.
-- @noindex
local settings = require 'tweeze.settings'

local form = {}

local ROWS = { 'query', 'keep', 'mute', 'model' }
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

-- Return a form that starts from the last request; `offer` is what the engine offers.
-- `near` are the terms that it suggests for the query, as far as they are known.
function form.new(last, history, offer)
  local self = {
    typed = last.typed, cursor = utf8.len(last.typed) or 0, row = 1, picked = 0, fresh = true,
    keep = last.keep, mute = last.mute, model = last.model,
    history = history, near = {},
    models = offer.models, sounds = offer.sounds, keeps = keeps(offer),
  }
  return self
end

local function contains(text, part)
  return text:lower():find(part:lower(), 1, true)
end

local function last_query(typed)
  return (typed:match('([^;]*)$'):gsub('^%s+', ''))
end

-- Return the query that is being typed: the last one, of several.
function form.typing(self)
  return self.fresh and '' or last_query(self.typed)
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
  add(self.history, self.fresh and '' or self.typed, true)
  local part = form.typing(self)
  if part ~= '' then
    add(self.sounds, part, true)
    add(self.sounds, part, false)
    add(self.near, '', true)
  end
  return found
end

local function pick(self, text)
  for _, old in ipairs(self.history) do
    if old == text then
      self.typed, self.cursor = text, utf8.len(text)
      return
    end
  end
  local before = self.typed:match('^(.*;)') or ''
  self.typed = before .. (before ~= '' and ' ' or '') .. text
  self.cursor = utf8.len(self.typed)
end

-- Replace the characters between two cursor places.
local function replace(self, from, to, text)
  local first, last = utf8.offset(self.typed, from + 1), utf8.offset(self.typed, to + 1)
  self.typed = self.typed:sub(1, first - 1) .. text .. self.typed:sub(last)
  self.cursor = from + utf8.len(text)
  self.picked, self.fresh = 0, false
end

local function insert(self, text)
  if self.fresh then self.typed, self.cursor = '', 0 end -- typing replaces the last query
  replace(self, self.cursor, self.cursor, text)
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

function edit.backspace(self)
  if self.fresh then insert(self, '')
  elseif self.cursor > 0 then replace(self, self.cursor - 1, self.cursor, '') end
end

function edit.delete(self)
  if self.cursor < utf8.len(self.typed) then replace(self, self.cursor, self.cursor + 1, '') end
end

function edit.left(self) self.cursor, self.fresh = math.max(0, self.cursor - 1), false end

function edit.right(self)
  self.cursor, self.fresh = math.min(utf8.len(self.typed), self.cursor + 1), false
end

function edit.home(self) self.cursor, self.fresh = 0, false end

edit['end'] = function(self) self.cursor, self.fresh = utf8.len(self.typed), false end

function edit.down(self)
  self.picked = math.min(self.picked + 1, #form.suggestions(self))
end

function edit.up(self) self.picked = math.max(self.picked - 1, 0) end

-- Return the request, or nil where nothing was typed.
function form.request(self)
  local queries = settings.queries(self.typed)
  if #queries == 0 then return nil end
  return {
    typed = table.concat(queries, '; '), queries = queries,
    keep = self.keep, mute = self.mute, model = self.model, options = {},
  }
end

local function printable(char, unicode)
  if unicode and unicode >= 32 then return utf8.char(unicode) end
  if char >> 24 == 0x75 then return utf8.char(char & 0xFFFFFF) end -- 'u' and the code point
  if char >= 32 and char < 127 or char >= 160 and char < 256 then return utf8.char(char) end
  return nil
end

-- Take a key as gfx.getchar gave it: 'run', 'close', or nil to go on.
function form.key(self, char, unicode)
  local key = KEYS[char]
  if key == 'escape' then return 'close' end
  if key == 'enter' then
    local chosen = self.picked > 0 and form.suggestions(self)[self.picked]
    if chosen then
      pick(self, chosen)
      self.picked, self.fresh = 0, false
      return nil
    end
    return form.request(self) and 'run' or nil
  end
  if key == 'tab' then self.row = self.row % #ROWS + 1
  elseif ROWS[self.row] ~= 'query' then
    if key == 'left' or key == 'up' then change(self, -1)
    elseif key == 'right' or key == 'down' or char == 32 then change(self, 1) end
  elseif key then edit[key](self)
  else
    local text = printable(char, unicode)
    if text then insert(self, text) end
  end
  return nil
end

return form
