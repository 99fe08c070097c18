-- What there is to know of a take before it is read: its source, channels, rate, extras.
-- @noindex
local takes = {}

local NEAR = 1e-9

-- Return the name to call an item by.
function takes.name(take)
  local _, name = reaper.GetSetMediaItemTakeInfo_String(take, 'P_NAME', '', false)
  return name ~= '' and name or 'a selected item'
end

-- Follow sections (reversed and partial sources) down to the file. Returns its source and, in
-- seconds of the file, where the section begins, how long it is, and whether it runs backwards.
function takes.origin(take)
  local source = reaper.GetMediaItemTake_Source(take)
  if not source then return nil end
  local length, in_beats = reaper.GetMediaSourceLength(source)
  if in_beats then return nil end
  local offset, reverse = 0, false
  local parent = reaper.GetMediaSourceParent(source)
  if parent then
    local known, start, part, backwards = reaper.PCM_Source_GetSectionInfo(source)
    if not known then return nil end
    offset, reverse = start, backwards
    if part > 0 then length = part end
    source = parent
    if reaper.GetMediaSourceParent(source) then return nil end -- a section of a section
  end
  return source, offset, length, reverse
end

-- Return how many channels a take plays as, and nil with the source's count if more than two.
function takes.channels(take)
  local source = reaper.GetMediaItemTake_Source(take)
  if source and reaper.GetMediaSourceNumChannels(source) == 0 then
    source = reaper.GetMediaSourceParent(source)
  end
  local count = source and reaper.GetMediaSourceNumChannels(source) or 0
  local mode = reaper.GetMediaItemTakeInfo_Value(take, 'I_CHANMODE')
  if mode >= 67 then return 2 end -- a pair of channels
  if mode >= 2 then return 1 end -- a downmix, or one channel
  if count < 1 or count > 2 then return nil, count end
  return count
end

-- Return whether a take plays its source as it is: no other speed or pitch, no stretching.
function takes.is_plain(take)
  local function value(name) return reaper.GetMediaItemTakeInfo_Value(take, name) end
  return math.abs(value('D_PLAYRATE') - 1) < NEAR
    and math.abs(value('D_PITCH')) < NEAR
    and reaper.GetTakeNumStretchMarkers(take) == 0
end

-- Return the sample rate that a take is to be read at.
function takes.rate(take, project_rate)
  local source = takes.origin(take) or reaper.GetMediaItemTake_Source(take)
  local rate = source and reaper.GetMediaSourceSampleRate(source) or 0
  if rate > 0 and takes.is_plain(take) then return rate end
  return project_rate
end

-- Return sentences on what of a take is heard in the project and is not in what Tweeze reads.
function takes.warnings(take)
  local said, name = {}, takes.name(take)
  if reaper.TakeFX_GetCount(take) > 0 then
    said[#said + 1] = ("The effects of '%s' are not captured."):format(name)
  end
  if reaper.CountTakeEnvelopes(take) > 0 then
    said[#said + 1] = ("The envelopes of '%s' are not captured."):format(name)
  end
  return said
end

return takes
