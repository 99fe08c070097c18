-- What the user marked, as regions to separate: selected items, a time selection on selected
-- tracks, or where both meet; and in each of them the time in which the sound may be.
-- @noindex
local spans = require 'tweeze.spans'
local takes = require 'tweeze.takes'
local wav = require 'tweeze.wav'

local selection = {}

local ITEM_VALUES = {
  'D_VOL', 'D_FADEINLEN', 'D_FADEOUTLEN', 'D_FADEINLEN_AUTO', 'D_FADEOUTLEN_AUTO',
  'C_FADEINSHAPE', 'C_FADEOUTSHAPE', 'D_FADEINDIR', 'D_FADEOUTDIR', 'C_BEATATTACHMODE',
}
local TAKE_VALUES = { 'D_VOL', 'D_PAN', 'D_PANLAW' }
local NO_TIME = "The regions with + and - leave no time of '%s' in which the sound may be: move "
  .. 'or rename one of them.'
-- Options as if spans were named: the user's regions limit nothing.
selection.WHOLE = { { 'at', '' } }
local NEAR = 1e-7 -- seconds; nearer edges count as the same

local function item_value(item, name) return reaper.GetMediaItemInfo_Value(item, name) end

-- Return the rate at which the project is mixed, in Hz.
function selection.project_rate(project)
  local rate = reaper.GetSetProjectInfo(project, 'PROJECT_SRATE', 0, false)
  local used = reaper.GetSetProjectInfo(project, 'PROJECT_SRATE_USE', 0, false)
  if used == 0 then
    local known, device = reaper.GetAudioDeviceInfo('SRATE')
    rate = known and tonumber(device) or rate
  end
  rate = math.floor(rate)
  return rate > 0 and rate or 48000
end

local function title(track)
  local _, name = reaper.GetSetMediaTrackInfo_String(track, 'P_NAME', '', false)
  if name ~= '' then return name end
  return ('Track %d'):format(math.floor(reaper.GetMediaTrackInfo_Value(track, 'IP_TRACKNUMBER')))
end

local function new_region(kind, track, first, last)
  return {
    kind = kind,
    track = track,
    track_id = reaper.GetTrackGUID(track),
    title = title(track),
    position = first,
    length = last - first,
    item_values = {},
    take_values = {},
    mute = {},
    warnings = {},
  }
end

local function warn(region, sentences)
  for _, sentence in ipairs(sentences) do
    region.warnings[#region.warnings + 1] = sentence
  end
end

local function item_id(item)
  local _, id = reaper.GetSetMediaItemInfo_String(item, 'GUID', '', false)
  return id
end

-- Note down gain and fades of an item; fades only at edges that are in the region.
local function note_values(region, item, take)
  for _, name in ipairs(ITEM_VALUES) do region.item_values[name] = item_value(item, name) end
  for _, name in ipairs(TAKE_VALUES) do
    region.take_values[name] = reaper.GetMediaItemTakeInfo_Value(take, name)
  end
  local start = item_value(item, 'D_POSITION')
  local stop = start + item_value(item, 'D_LENGTH')
  local values = region.item_values
  local function cut(length, automatic, gap)
    local fade = math.max(values[length], values[automatic])
    if gap > NEAR then
      values[length], values[automatic] = 0, 0
      if fade > gap then
        warn(region, { ("A fade of '%s' is cut by the time selection; the rest of it is not on "
          .. 'the new track.'):format(takes.name(take)) })
      end
    end
  end
  cut('D_FADEINLEN', 'D_FADEINLEN_AUTO', region.position - start)
  cut('D_FADEOUTLEN', 'D_FADEOUTLEN_AUTO', stop - region.position - region.length)
end

local function warn_of_track(region)
  if reaper.TrackFX_GetCount(region.track) > 0 then
    warn(region, { ("The effects of track '%s' are not captured."):format(region.title) })
  end
  if reaper.CountTrackEnvelopes(region.track) > 0 then
    warn(region, { ("The envelopes of track '%s' are not captured."):format(region.title) })
  end
end

-- Return the item's region between two times, or nil and a sentence.
local function of_item(item, first, last, project_rate)
  local take = reaper.GetActiveTake(item)
  if not take then return nil, 'A selected item is empty: select items that hold audio.' end
  local name = takes.name(take)
  if reaper.TakeIsMIDI(take) then
    return nil, ("'%s' is MIDI: render it to audio first."):format(name)
  end
  local channels, count = takes.channels(take)
  if not channels and count == 0 then
    return nil, ("The audio of '%s' is missing or offline."):format(name)
  elseif not channels then
    return nil, ("'%s' has %d channels: Tweeze separates mono and stereo. Choose one or two "
      .. "of them with the item's channel mode."):format(name, count)
  end
  local region = new_region('item', reaper.GetMediaItem_Track(item), first, last)
  region.take = take
  region.offset = first - item_value(item, 'D_POSITION')
  region.rate = takes.rate(take, project_rate)
  region.channels = channels
  note_values(region, item, take)
  warn(region, takes.warnings(take))
  warn_of_track(region)
  local whole = item_value(item, 'D_LENGTH')
  if math.abs(region.length - whole) < NEAR then
    region.length = whole -- without the rounding of an addition
    region.mute = { item_id(item) }
  else
    region.unmuted = true
  end
  return region
end

-- Return whether an item's take is mono and sits in the middle.
local function is_mono(take)
  return takes.channels(take) == 1 and reaper.GetMediaItemTakeInfo_Value(take, 'D_PAN') == 0
end

-- Return the track's region between two times; nil if it is silent there; nil and a sentence.
local function of_track(track, first, last, project_rate)
  local region = new_region('track', track, first, last)
  region.rate, region.channels, region.mono, region.items = project_rate, 2, true, 0
  for index = 0, reaper.CountTrackMediaItems(track) - 1 do
    local item = reaper.GetTrackMediaItem(track, index)
    local start = item_value(item, 'D_POSITION')
    local stop = start + item_value(item, 'D_LENGTH')
    local take = reaper.GetActiveTake(item)
    if take and not reaper.TakeIsMIDI(take) and start < last - NEAR and stop > first + NEAR then
      local channels, count = takes.channels(take)
      if not channels and count > 2 then
        return nil, ("'%s' has %d channels: Tweeze separates mono and stereo."):format(
          takes.name(take), count)
      end
      region.items = region.items + 1
      region.mono = region.mono and is_mono(take)
      warn(region, takes.warnings(take))
      if start >= first - NEAR and stop <= last + NEAR then
        region.mute[#region.mute + 1] = item_id(item)
      else
        region.unmuted = true
      end
    end
  end
  if region.items == 0 then return nil end
  warn_of_track(region)
  return region
end

local function of_items(project, first, last)
  local regions, rate = {}, selection.project_rate(project)
  for index = 0, reaper.CountSelectedMediaItems(project) - 1 do
    local item = reaper.GetSelectedMediaItem(project, index)
    local start = item_value(item, 'D_POSITION')
    local stop = start + item_value(item, 'D_LENGTH')
    if last > first then start, stop = math.max(start, first), math.min(stop, last) end
    if stop - start > NEAR then
      local region, why = of_item(item, start, stop, rate)
      if not region then return nil, why end
      regions[#regions + 1] = region
    end
  end
  if #regions == 0 then
    return nil, 'The selected items and the time selection do not meet: remove one of the two.'
  end
  return regions
end

local function of_tracks(project, first, last)
  local regions, rate = {}, selection.project_rate(project)
  for index = 0, reaper.CountSelectedTracks(project) - 1 do
    local track = reaper.GetSelectedTrack(project, index)
    local region, why = of_track(track, first, last, rate)
    if why then return nil, why end
    regions[#regions + 1] = region
  end
  if #regions == 0 then
    return nil, 'There is no audio in the time selection on the selected tracks.'
  end
  return regions
end

-- Return the regions that are selected in `project`, or nil and a sentence for the user. `options`
-- are those that were named, pairs of name and value.
function selection.find(project, options)
  local first, last = reaper.GetSet_LoopTimeRange2(project, false, false, 0, 0, false)
  local regions, why
  if reaper.CountSelectedMediaItems(project) > 0 then
    regions, why = of_items(project, first, last)
  elseif last > first and reaper.CountSelectedTracks(project) > 0 then
    regions, why = of_tracks(project, first, last)
  else
    why = 'Nothing is selected: select items, or tracks and a time range, and try again.'
  end
  if not regions then return nil, why end
  local marked = spans.are_named(options) and {} or spans.find(project)
  for _, region in ipairs(regions) do
    spans.note(region, marked)
    if not spans.leave_time(region) then return nil, NO_TIME:format(region.title) end
    region.frames = math.ceil(region.length * region.rate - 1e-6)
    if not wav.fits(region.frames, region.channels) then
      return nil, ("The selection on '%s' is too long for one WAV file (4 GB): take a "
        .. 'shorter one.'):format(region.title)
    end
  end
  return regions
end

-- Return once each what there is to say of the regions.
function selection.warnings(regions, mute)
  local said, seen = {}, {}
  local function say(sentence)
    if not seen[sentence] then said[#said + 1] = sentence end
    seen[sentence] = true
  end
  for _, region in ipairs(regions) do
    for _, sentence in ipairs(region.warnings) do say(sentence) end
    for _, sentence in ipairs(spans.said(region)) do say(sentence) end
    if mute and region.unmuted then
      say(("Items on '%s' that are only partly selected are not muted."):format(region.title))
    end
  end
  return said
end

return selection
