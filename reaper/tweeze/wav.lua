-- WAV files: written as float32 while the audio comes in, read at chosen frames.
-- @noindex
local wav = {}

local LIMIT = 0xFFFFFFFF - 1024 -- bytes that a WAV file's own size fields can tell
local CHUNKS = 10000 -- before the sound; no program writes so many
local PACK = 2048 -- samples packed at once; each is an argument on Lua's stack

local FORMATS = {
  ['1:16'] = { '<i2', 1 / 0x8000 },
  ['1:24'] = { '<i3', 1 / 0x800000 },
  ['1:32'] = { '<i4', 1 / 0x80000000 },
  ['3:32'] = { '<f', 1 },
  ['3:64'] = { '<d', 1 },
}

-- Return whether so much audio fits into one WAV file.
function wav.fits(frames, channels)
  return frames * channels * 4 < LIMIT
end

-- Begin a float32 WAV of a known length; returns the open file, or nil and the reason.
function wav.create(path, rate, channels, frames)
  local file, why = io.open(path, 'wb')
  if not file then return nil, why end
  local bytes = frames * channels * 4
  file:write(
    'RIFF', string.pack('<I4', 50 + bytes), 'WAVE',
    'fmt ', string.pack('<I4I2I2I4I4I2I2I2', 18, 3, channels, rate, rate * channels * 4,
      channels * 4, 32, 0),
    'fact', string.pack('<I4I4', 4, frames),
    'data', string.pack('<I4', bytes)
  )
  return file
end

-- Append samples (a table of numbers, interleaved); returns whether the disk took them.
function wav.append(file, samples)
  for first = 1, #samples, PACK do
    local last = math.min(first + PACK - 1, #samples)
    local format = '<' .. ('f'):rep(last - first + 1)
    if not file:write(string.pack(format, table.unpack(samples, first, last))) then
      return false
    end
  end
  return true
end

local function chunks(file)
  local head = file:read(12)
  if not head or #head < 12 or head:sub(1, 4) ~= 'RIFF' or head:sub(9) ~= 'WAVE' then
    return nil
  end
  local found = {}
  for _ = 1, CHUNKS do
    local header = file:read(8)
    if not header or #header < 8 then return found end
    local name, size = header:sub(1, 4), string.unpack('<I4', header, 5)
    found[name] = { file:seek(), size }
    if name == 'data' then return found end
    file:seek('cur', size + size % 2)
  end
  return found
end

-- Open a plain PCM or float WAV for reading, or return nil if it is anything else.
-- The reader has `rate`, `channels`, `frames`, `read(frame)` and `close()`.
function wav.open(path)
  local file = io.open(path, 'rb')
  if not file then return nil end
  local found = chunks(file)
  if not (found and found['fmt '] and found.data) then
    file:close()
    return nil
  end
  file:seek('set', found['fmt '][1])
  local head = file:read(26) or ''
  head = head .. ('\0'):rep(26 - #head) -- of a file that ends there, no format comes of it
  local tag, channels, rate, _, block, bits = string.unpack('<I2I2I4I4I2I2', head)
  if tag == 0xFFFE then tag = string.unpack('<I2', head, 25) end -- extensible: it leads the GUID
  local format = FORMATS[tag .. ':' .. bits]
  if not format or channels < 1 or rate < 1 or block ~= channels * bits // 8 then
    file:close()
    return nil
  end
  local reader = { rate = rate, channels = channels, frames = found.data[2] // block }

  -- Return the samples of one frame, one a channel.
  function reader.read(frame)
    file:seek('set', found.data[1] + frame * block)
    local bytes, samples = file:read(block), {}
    if not bytes or #bytes < block then return nil end
    for channel = 1, channels do
      local value = string.unpack(format[1], bytes, 1 + (channel - 1) * bits // 8)
      samples[channel] = value * format[2]
    end
    return samples
  end

  function reader.close()
    file:close()
  end

  return reader
end

return wav
