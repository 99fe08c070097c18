-- The sounds in what was typed, as the engine understands it: several are parted by semicolons, and
-- what follows a minus is not wanted ("dog; rain - wind").
-- @noindex
local text = require 'tweeze.text'

local sounds = {}

local SEMICOLON = 59
local MINUS = { [45] = true, [0x2212] = true }
local BLANKS = { -- first and last code points of what is white space
  { 9, 13 }, { 28, 32 }, { 0x85, 0x85 }, { 0xA0, 0xA0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200A },
  { 0x2028, 0x2029 }, { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 },
}
local MARKS = { -- those beyond ASCII that begin no word: punctuation, arrows, mathematics, pictures
  { 0x80, 0xA9 }, { 0xAB, 0xB1 }, { 0xB4, 0xB4 }, { 0xB6, 0xB8 }, { 0xBB, 0xBB }, { 0xBF, 0xBF },
  { 0xD7, 0xD7 }, { 0xF7, 0xF7 }, { 0x2000, 0x206F }, { 0x2190, 0x23FF }, { 0x2500, 0x2BFF },
  { 0x3000, 0x3004 }, { 0x3008, 0x3020 }, { 0xFE00, 0xFE0F }, { 0x1F000, 0x1FAFF },
}

local function within(ranges, code)
  for _, range in ipairs(ranges) do
    if code >= range[1] and code <= range[2] then return true end
  end
  return false
end

-- Return whether a word follows at a byte of a text, after blanks perhaps.
local function word_follows(typed, at)
  while at <= #typed do
    local code = utf8.codepoint(typed, at)
    if code < 128 and utf8.char(code):match('[%w_]') then return true end
    if not within(BLANKS, code) then return code >= 128 and not within(MARKS, code) end
    at = at + #utf8.char(code)
  end
  return false
end

-- Return the pieces of a typed text (valid UTF-8): `at`, the byte at which each begins, `text`, as
-- it stands there, and whether it is `unwanted`. A minus within a word is a hyphen.
function sounds.pieces(typed)
  local found, after_blank = { { at = 1 } }, true
  local function cut(at, width, unwanted)
    found[#found].text = typed:sub(found[#found].at, at - 1)
    found[#found + 1] = { at = at + width, unwanted = unwanted }
  end
  for at, code in utf8.codes(typed) do
    local width = #utf8.char(code)
    if code == SEMICOLON then cut(at, width, false)
    elseif MINUS[code] and after_blank and word_follows(typed, at + width) then
      cut(at, width, true)
    end
    after_blank = code == SEMICOLON or within(BLANKS, code)
  end
  found[#found].text = typed:sub(found[#found].at)
  return found
end

-- Return the pieces of a text that only semicolons part.
function sounds.list(typed)
  local found = {}
  for at, piece in typed:gmatch('()([^;]*)') do found[#found + 1] = { at = at, text = piece } end
  return found
end

local function add(list, piece)
  local codes = {}
  for _, code in utf8.codes(piece) do
    codes[#codes + 1] = within(BLANKS, code) and ' ' or utf8.char(code)
  end
  local sound = table.concat(codes):gsub('^ +', ''):gsub(' +$', ''):gsub(' +', ' ')
  if sound ~= '' then list[#list + 1] = sound end
end

-- Return the queries in what was typed, and what it says is not wanted.
function sounds.read(typed)
  local queries, nots = {}, {}
  for _, piece in ipairs(sounds.pieces(text.clean(typed))) do
    add(piece.unwanted and nots or queries, piece.text)
  end
  return queries, nots
end

-- Return the sounds of a text that names only those that are not wanted.
function sounds.unwanted(typed)
  local nots = {}
  for _, piece in ipairs(sounds.list(text.clean(typed))) do add(nots, piece.text) end
  return nots
end

-- Return queries, and what is not wanted, as they can be typed.
function sounds.typed(queries, nots)
  return table.concat({ table.concat(queries, '; '), table.unpack(nots) }, ' - ')
end

-- Return a request's part that says what for: the texts as typed, of the queries and of what is not
-- wanted, and the sounds of both, `queries` and `nots`, what is not wanted once each.
function sounds.asked(typed, unwanted)
  local queries, minus = sounds.read(typed)
  local others = sounds.unwanted(unwanted)
  local nots, seen = {}, {}
  for _, list in ipairs { others, minus } do
    for _, sound in ipairs(list) do
      if not seen[sound] then nots[#nots + 1], seen[sound] = sound, true end
    end
  end
  return {
    typed = sounds.typed(queries, minus), unwanted = table.concat(others, '; '),
    queries = queries, nots = nots,
  }
end

return sounds
