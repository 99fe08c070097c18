-- Compares what REAPER hands out with the file on disk, before anything is separated. What an
-- audio accessor means by its times, and whether gain is in what it reads, is nowhere promised:
-- where a plain WAV says that our reading of it is wrong, Tweeze refuses instead of misplacing.
-- @noindex
local takes = require 'tweeze.takes'
local wav = require 'tweeze.wav'

local compare = {}

local PROBES = 5 -- places in a region that are compared
local SPAN = 64 -- frames compared at each
local QUIET = 1e-4 -- below this peak a probe says nothing
local ON_GRID = 1e-4 -- frames; nearer positions count as whole

-- Channel modes 1 to 4: reversed stereo, downmix, left, right.
local function play_as(mode, sample)
  local left, right = sample[1], sample[2] or sample[1]
  if mode == 1 then return { right, left } end
  if mode == 2 then return { (left + right) / 2 } end
  if mode == 3 then return { left } end
  if mode == 4 then return { right } end
  return sample
end

-- Return how to know what a take should play: `at(seconds, i)` is frame i from a time in the
-- item; nil where the take is not a WAV played as it is, at `rate`.
local function reference(take, rate)
  local mode = math.floor(reaper.GetMediaItemTakeInfo_Value(take, 'I_CHANMODE'))
  if mode > 4 or not takes.is_plain(take) then return nil end
  local source, offset, length, reverse = takes.origin(take)
  local file = source and wav.open(reaper.GetMediaSourceFileName(source))
  if not file then return nil end
  if file.rate ~= rate or file.channels > 2 then
    file.close()
    return nil
  end
  local item = reaper.GetMediaItemTake_Item(take)
  local looped = reaper.GetMediaItemInfo_Value(item, 'B_LOOPSRC') ~= 0
  local start = reaper.GetMediaItemTakeInfo_Value(take, 'D_STARTOFFS')
  local total = math.floor(length * rate + 0.5)
  local skipped = math.floor(offset * rate + 0.5)
  local about = { channels = #play_as(mode, { 0, file.channels > 1 and 0 or nil }) }

  -- The position of a time of the item, in frames of the source: a whole number and the rest.
  function about.place(seconds)
    local exact = (start + seconds) * rate
    local whole = math.floor(exact + ON_GRID)
    return whole, exact - whole
  end

  function about.at(frame)
    if looped and total > 0 then frame = frame % total end
    if frame < 0 or frame >= total then return play_as(mode, { 0, 0 }) end
    frame = skipped + (reverse and total - 1 - frame or frame)
    return play_as(mode, frame < file.frames and file.read(frame) or { 0, 0 })
  end

  about.close = file.close
  return about
end

-- Sums over one probe that say how far `got` is from what was expected.
local function measure(sums, expected, got)
  sums.peak = math.max(sums.peak, math.abs(expected), math.abs(got))
  sums.worst = math.max(sums.worst, math.abs(expected - got))
  sums.both = sums.both + expected * got
  sums.expected = sums.expected + expected * expected
  sums.got = sums.got + got * got
end

local function new_sums()
  return { peak = 0, worst = 0, both = 0, expected = 0, got = 0 }
end

local function alike(sums)
  return sums.both / math.sqrt(sums.expected * sums.got + 1e-30)
end

-- Return whether a probe on the sample grid agrees: to the last bits of 16-bit audio.
local function agrees(sums)
  return sums.peak < QUIET or sums.worst <= sums.peak * 1e-3 + 1 / 0x8000
end

-- Return whether a probe between two samples agrees with one of them: the same waveform, about as
-- loud. How REAPER interpolates is its own affair.
local function resembles(sums)
  if sums.peak < QUIET then return true end
  local ratio = math.sqrt(sums.got / (sums.expected + 1e-30))
  return alike(sums) > 0.6 and ratio > 0.6 and ratio < 1.2
end

-- Compare the take accessor's answer at one time of the item; `read(seconds, frames)` reads it.
local function probe(about, read, seconds, frames)
  local whole, rest = about.place(seconds)
  local got, why = read(seconds, frames)
  if not got then return nil, why end
  local here, next_one = new_sums(), new_sums()
  for frame = 0, frames - 1 do
    local a = about.at(whole + frame)
    local b = rest > ON_GRID and about.at(whole + frame + 1) or a
    for channel = 1, about.channels do
      local value = got[frame * about.channels + channel]
      measure(here, a[channel], value)
      measure(next_one, b[channel], value)
    end
  end
  if rest > ON_GRID then return resembles(here) or resembles(next_one) end
  return agrees(here)
end

local REFUSAL = "REAPER hands out '%s' in another way than Tweeze knows, so the result would not "
  .. 'fit: glue the item (Item: Glue items) and try again. Please run "Tweeze - selftest" and '
  .. 'send its output.'

-- Check a region of one item. `read(seconds, frames)` takes a time of the item and returns
-- interleaved samples. Returns whether it could be checked, or nil and a sentence.
function compare.item(region, read)
  local about = reference(region.take, region.rate)
  if not about then return false end
  local span = math.min(SPAN, region.frames)
  for index = 0, PROBES - 1 do
    local frame = math.floor((region.frames - span) * index / (PROBES - 1))
    local fits = probe(about, read, region.offset + frame / region.rate, span)
    if not fits then
      about.close()
      return nil, REFUSAL:format(takes.name(region.take))
    end
  end
  about.close()
  return true
end

-- Return whether no other item of the track plays around a time.
local function is_alone(region, index, at, span)
  for other = 0, reaper.CountTrackMediaItems(region.track) - 1 do
    local rival = reaper.GetTrackMediaItem(region.track, other)
    local from = reaper.GetMediaItemInfo_Value(rival, 'D_POSITION')
    local to = from + reaper.GetMediaItemInfo_Value(rival, 'D_LENGTH')
    if other ~= index and from < at + span and to > at - span then return false end
  end
  return true
end

-- Return project times in a region at which one item of its track plays alone, beside its fades.
local function places(region, item, index)
  local function value(name) return reaper.GetMediaItemInfo_Value(item, name) end
  local first = value('D_POSITION')
  local last = first + value('D_LENGTH')
  first = first + math.max(value('D_FADEINLEN'), value('D_FADEINLEN_AUTO'), 0)
  last = last - math.max(value('D_FADEOUTLEN'), value('D_FADEOUTLEN_AUTO'), 0)
  first, last = math.max(first, region.position), math.min(last, region.position + region.length)
  local span, found = 2 * SPAN / region.rate, {}
  for _, share in ipairs { 1 / 8, 1 / 2, 7 / 8 } do
    local at = first + (last - first) * share
    if at - span > first and at + span < last and is_alone(region, index, at, span) then
      found[#found + 1] = at
    end
  end
  return found
end

-- Compare where one item of a track plays alone; `read(seconds, frames)` takes project time and
-- returns stereo. Mono may come out lower, as the project's pan law says, but not otherwise.
local function track_probe(region, about, gain, read, place, start)
  local whole, rest = about.place(place - start)
  local at = place + (rest > ON_GRID and (1 - rest) / region.rate or 0)
  if rest > ON_GRID then whole = whole + 1 end
  local got = read(at, SPAN)
  if not got then return false end
  local sums = new_sums()
  for frame = 0, SPAN - 1 do
    local sample = about.at(whole + frame)
    for channel = 1, 2 do
      measure(sums, (sample[channel] or sample[1]) * gain, got[frame * 2 + channel])
    end
  end
  local off_grid = math.abs(at * region.rate - math.floor(at * region.rate + 0.5)) > 1e-3
  if off_grid then return resembles(sums) end
  if about.channels == 2 then return agrees(sums) end
  local ratio = math.sqrt(sums.got / (sums.expected + 1e-30))
  return sums.peak < QUIET or (alike(sums) > 0.999 and ratio > 0.45 and ratio < 1.001)
end

-- Return what a track's item should play as, and its gain; nil where that cannot be told.
local function expected(region, item)
  local take = reaper.GetActiveTake(item)
  if not take or reaper.TakeIsMIDI(take) then return nil end
  local muted = reaper.GetMediaItemInfo_Value(item, 'B_MUTE') ~= 0
  local panned = reaper.GetMediaItemTakeInfo_Value(take, 'D_PAN') ~= 0
  if muted or panned or reaper.TakeFX_GetCount(take) + reaper.CountTakeEnvelopes(take) > 0 then
    return nil
  end
  local gain = reaper.GetMediaItemInfo_Value(item, 'D_VOL')
    * reaper.GetMediaItemTakeInfo_Value(take, 'D_VOL')
  return reference(take, region.rate), gain
end

-- Check a region of a track; as `compare.item`, with project times.
function compare.track(region, read)
  local checked = false
  for index = 0, reaper.CountTrackMediaItems(region.track) - 1 do
    local item = reaper.GetTrackMediaItem(region.track, index)
    local about, gain = expected(region, item)
    local fits, start = true, reaper.GetMediaItemInfo_Value(item, 'D_POSITION')
    for _, place in ipairs(about and places(region, item, index) or {}) do
      fits = fits and track_probe(region, about, gain, read, place, start)
      checked = true
    end
    if about then about.close() end
    if not fits then return nil, REFUSAL:format(takes.name(reaper.GetActiveTake(item))) end
  end
  return checked
end

return compare
