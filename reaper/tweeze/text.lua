-- The text form of what lies in the spool: `key=value` lines and a closing line `end`.
-- Nothing is escaped, so no value may hold a control character or broken UTF-8.
-- @noindex
local text = {}

local function forbidden(code)
  return code < 32 or (code >= 127 and code < 160) or code == 0x2028 or code == 0x2029
end

-- Return `value` fit for a line: control characters become blanks, broken bytes question marks.
function text.clean(value)
  local out, at = {}, 1
  while at <= #value do
    if utf8.len(value, at, at) then
      local code = utf8.codepoint(value, at)
      out[#out + 1] = forbidden(code) and ' ' or utf8.char(code)
      at = utf8.offset(value, 2, at)
    else
      out[#out + 1] = '?'
      at = at + 1
    end
  end
  return table.concat(out)
end

-- Return the rows `{key, value}` of a whole text, or nil if its closing line is missing.
function text.parse(content)
  local rows = {}
  for line in content:gmatch('[^\n]+') do
    line = line:gsub('\r$', '')
    if line == 'end' then return rows end
    local key, value = line:match('^([^=]+)=(.*)$')
    if not key then return nil end
    rows[#rows + 1] = { key, value }
  end
  return nil
end

-- Return the rows of the file at `path`, or nil if there is none or it is not whole.
function text.read(path)
  local file = io.open(path, 'rb')
  if not file then return nil end
  local content = file:read('a')
  file:close()
  return content and text.parse(content)
end

-- Return the first value of `key`, or `default`.
function text.one(rows, key, default)
  for _, row in ipairs(rows) do
    if row[1] == key then return row[2] end
  end
  return default
end

-- Return all values of `key`.
function text.all(rows, key)
  local values = {}
  for _, row in ipairs(rows) do
    if row[1] == key then values[#values + 1] = row[2] end
  end
  return values
end

local function form(rows)
  local lines = {}
  for _, row in ipairs(rows) do
    lines[#lines + 1] = row[1] .. '=' .. text.clean(row[2])
  end
  lines[#lines + 1] = 'end\n'
  return table.concat(lines, '\n')
end

-- Write rows over those of a file that is there, which must have had as many bytes.
function text.write_over(path, rows)
  local file = io.open(path, 'r+b')
  if not file then return end
  file:write(form(rows))
  file:close()
end

-- Write rows so that readers see all of them or nothing; return true, or nil and the reason.
-- Until it is whole the file's name begins with a dot, which the engine passes over.
function text.write(path, rows)
  local temporary = path:gsub('([^/\\]+)$', '.%1.part')
  local file, why = io.open(temporary, 'wb')
  if not file then return nil, why end
  local whole = file:write(form(rows))
  whole = file:close() and whole
  if not whole then
    os.remove(temporary)
    return nil, 'the disk may be full'
  end
  if os.rename(temporary, path) then return true end
  os.remove(path) -- Windows does not rename over a file that is there
  return os.rename(temporary, path)
end

return text
