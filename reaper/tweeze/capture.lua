-- Reads a region's audio out of REAPER into a float32 WAV, a little at a time, so that REAPER
-- stays responsive.
-- @noindex
local compare = require 'tweeze.compare'
local takes = require 'tweeze.takes'
local wav = require 'tweeze.wav'

local capture = {}

local CHUNK = 4096 -- frames read at once
local NOT_WRITTEN = 'The audio could not be written to %s: free some space there.'
local NOT_READ = "REAPER could not read the audio of '%s'."

-- Read `frames` from a time of the accessor into `buffer`; nil if REAPER reports an error.
-- Where there is no audio REAPER leaves a buffer as it is, so it is cleared first.
local function read(state, seconds, frames)
  local region, count = state.region, frames * state.region.channels
  state.buffer.clear()
  local answer = reaper.GetAudioAccessorSamples(state.accessor, region.rate, region.channels,
    seconds, frames, state.buffer)
  if answer < 0 then return nil end
  return state.buffer.table(1, count)
end

-- A track whose items are all mono is read in stereo, for what REAPER would make of one channel
-- is not known; the left is kept while both are the same.
local function to_mono(samples)
  local left = {}
  for index = 1, #samples, 2 do
    if math.abs(samples[index] - samples[index + 1]) > 1e-7 then return nil end
    left[#left + 1] = samples[index]
  end
  return left
end

local function begin_file(state)
  local why
  state.done = 0
  state.file, why = wav.create(state.path, state.region.rate, state.mono and 1 or
    state.region.channels, state.region.frames)
  return state.file, why
end

-- Begin to read `region` into the file `path`: the state of the capture, or nil and a sentence.
function capture.begin(region, path)
  local state = { region = region, path = path, mono = region.mono, checked = false }
  if not begin_file(state) then return nil, NOT_WRITTEN:format(path) end
  if region.kind == 'item' then
    state.accessor = reaper.CreateTakeAudioAccessor(region.take)
  else
    state.accessor = reaper.CreateTrackAudioAccessor(region.track)
  end
  if not state.accessor then
    capture.abandon(state)
    return nil, NOT_READ:format(region.title)
  end
  state.buffer = reaper.new_array(CHUNK * region.channels)
  return state
end

-- Close what is open, and remove the file if it is not whole.
function capture.abandon(state)
  if state.accessor then reaper.DestroyAudioAccessor(state.accessor) end
  if state.file then state.file:close() end
  if state.accessor or state.file then os.remove(state.path) end
  state.accessor, state.file = nil, nil
end

local function check(state)
  local region = state.region
  local check_region = region.kind == 'item' and compare.item or compare.track
  local checked, why = check_region(region, function(seconds, frames)
    return read(state, seconds, frames)
  end)
  state.checked = true
  if checked == false then
    local name = region.take and takes.name(region.take) or region.title
    state.unchecked = ("What REAPER hands out of '%s' could not be compared with a file."):format(
      name)
  end
  return checked ~= nil, why
end

local function append(state, samples)
  if state.mono then
    samples = to_mono(samples)
    if not samples then -- not mono after all: from the beginning, in stereo
      state.mono = false
      state.file:close()
      return begin_file(state) ~= nil
    end
  end
  if not wav.append(state.file, samples) then return false end
  state.done = state.done + #samples // (state.mono and 1 or state.region.channels)
  return true
end

local function finish(state)
  reaper.DestroyAudioAccessor(state.accessor)
  local whole = state.file:close()
  state.accessor, state.file = nil, nil
  if whole then return true end
  os.remove(state.path)
  return nil, NOT_WRITTEN:format(state.path)
end

-- Read one chunk. Returns true when the file is whole, false while it is not, or nil and a
-- sentence; what was written is removed then.
function capture.step(state)
  local region, why = state.region, nil
  local fits = not reaper.AudioAccessorStateChanged(state.accessor)
  if not fits then
    why = ("'%s' was edited while Tweeze read it: try again."):format(region.title)
  elseif not state.checked then
    fits, why = check(state)
    if fits then return false end
  end
  if fits then
    local frames = math.min(CHUNK, region.frames - state.done)
    local origin = region.kind == 'item' and region.offset or region.position
    local samples = read(state, origin + state.done / region.rate, frames)
    if not samples then
      fits, why = false, NOT_READ:format(region.title)
    elseif not append(state, samples) then
      fits, why = false, NOT_WRITTEN:format(state.path)
    end
  end
  if not fits then
    capture.abandon(state)
    return nil, why
  end
  if state.done >= region.frames then return finish(state) end
  return false
end

return capture
