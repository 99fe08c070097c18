-- Puts clips into the project as one undo step: a new track for each query and source track,
-- right under it. What the user has selected, the cursor and the view stay as they are.
-- @noindex
local insert = {}

local PLAIN = { -- an item that plays its clip as it is
  D_VOL = 1, D_FADEINLEN = 0, D_FADEOUTLEN = 0, D_FADEINLEN_AUTO = 0, D_FADEOUTLEN_AUTO = 0,
  C_FADEINSHAPE = 0, C_FADEOUTSHAPE = 0, D_FADEINDIR = 0, D_FADEOUTDIR = 0,
  C_BEATATTACHMODE = -1, B_LOOPSRC = 0,
}

local function find_track(project, id)
  for index = 0, reaper.CountTracks(project) - 1 do
    local track = reaper.GetTrack(project, index)
    if reaper.GetTrackGUID(track) == id then return track end
  end
  return nil
end

-- Remember what is selected; returns how to put it back.
local function keep_selection(project)
  local tracks, items = {}, {}
  for index = 0, reaper.CountSelectedTracks(project) - 1 do
    tracks[reaper.GetSelectedTrack(project, index)] = true
  end
  for index = 0, reaper.CountSelectedMediaItems(project) - 1 do
    items[reaper.GetSelectedMediaItem(project, index)] = true
  end
  return function()
    for index = 0, reaper.CountTracks(project) - 1 do
      local track = reaper.GetTrack(project, index)
      local wanted = tracks[track] or false
      if reaper.IsTrackSelected(track) ~= wanted then reaper.SetTrackSelected(track, wanted) end
      for number = 0, reaper.CountTrackMediaItems(track) - 1 do
        local item = reaper.GetTrackMediaItem(track, number)
        local value = items[item] and 1 or 0
        if reaper.GetMediaItemInfo_Value(item, 'B_UISEL') ~= value then
          reaper.SetMediaItemInfo_Value(item, 'B_UISEL', value)
        end
      end
    end
  end
end

-- Add a track under `above` (at the end, if that is gone). The last track of a folder hands its
-- place on, so that the new one is in the folder as well. What takes it back is put into `back`.
local function add_track(project, above, name, back)
  local index = reaper.CountTracks(project)
  if above then
    index = math.floor(reaper.GetMediaTrackInfo_Value(above, 'IP_TRACKNUMBER'))
  end
  reaper.InsertTrackAtIndex(index, false)
  local track = reaper.GetTrack(project, index)
  back[#back + 1] = function() reaper.DeleteTrack(track) end
  reaper.GetSetMediaTrackInfo_String(track, 'P_NAME', name, true)
  local depth = above and reaper.GetMediaTrackInfo_Value(above, 'I_FOLDERDEPTH') or 0
  if depth < 0 then
    back[#back + 1] = function()
      reaper.SetMediaTrackInfo_Value(track, 'I_FOLDERDEPTH', 0)
      reaper.SetMediaTrackInfo_Value(above, 'I_FOLDERDEPTH', depth)
    end
    reaper.SetMediaTrackInfo_Value(above, 'I_FOLDERDEPTH', 0)
    reaper.SetMediaTrackInfo_Value(track, 'I_FOLDERDEPTH', depth)
  end
  return track
end

local function add_item(track, region, clip)
  local source = reaper.PCM_Source_CreateFromFileEx(clip.final, true)
  if not source then error(("REAPER cannot open the clip '%s'"):format(clip.final), 0) end
  local item = reaper.AddMediaItemToTrack(track)
  local take = reaper.AddTakeToMediaItem(item)
  if not reaper.SetMediaItemTake_Source(take, source) then
    error(("REAPER does not take the clip '%s'"):format(clip.final), 0)
  end
  reaper.GetSetMediaItemTakeInfo_String(take, 'P_NAME', clip.name, true)
  reaper.SetMediaItemInfo_Value(item, 'D_POSITION', region.position)
  reaper.SetMediaItemInfo_Value(item, 'D_LENGTH', region.length)
  for name, value in pairs(PLAIN) do
    reaper.SetMediaItemInfo_Value(item, name, region.item_values[name] or value)
  end
  for _, name in ipairs { 'D_VOL', 'D_PAN', 'D_PANLAW' } do
    local value = region.take_values[name]
    if value then reaper.SetMediaItemTakeInfo_Value(take, name, value) end
  end
  reaper.UpdateItemInProject(item)
end

local function mute(project, batch, back)
  local wanted = {}
  for _, region in ipairs(batch.regions) do
    if region.clips then
      for _, id in ipairs(region.mute) do wanted[id] = true end
    end
  end
  for index = 0, reaper.CountMediaItems(project) - 1 do
    local item = reaper.GetMediaItem(project, index)
    local _, id = reaper.GetSetMediaItemInfo_String(item, 'GUID', '', false)
    if wanted[id] then
      local before = reaper.GetMediaItemInfo_Value(item, 'B_MUTE')
      back[#back + 1] = function() reaper.SetMediaItemInfo_Value(item, 'B_MUTE', before) end
      reaper.SetMediaItemInfo_Value(item, 'B_MUTE', 1)
    end
  end
end

-- Put each clip of each region where it belongs. Clips of the same number from the same source
-- track share a new track.
local function put(project, batch, back)
  local added, last = {}, {}
  for _, region in ipairs(batch.regions) do
    local source = find_track(project, region.track_id)
    for number, clip in ipairs(region.clips or {}) do
      local key = region.track_id .. number
      if not added[key] then
        added[key] = add_track(project, last[region.track_id] or source, clip.name, back)
        last[region.track_id] = added[key]
      end
      add_item(added[key], region, clip)
    end
  end
  if batch.mute then mute(project, batch, back) end
end

local function take_back(back)
  for index = #back, 1, -1 do back[index]() end
end

-- Insert a batch, of which each region whose job is done has `clips` with a `final` path.
-- Returns true; or nil and a reason, where what had gone in was taken back; or nil, a reason and
-- true, where a part of it may still be in.
function insert.batch(project, batch)
  local restore = keep_selection(project)
  reaper.Undo_BeginBlock2(project)
  reaper.PreventUIRefresh(1)
  local back = {}
  local went_well, why = pcall(put, project, batch, back)
  local in_part = not went_well and not pcall(take_back, back)
  pcall(restore) -- whatever becomes of it, the open blocks must end
  reaper.PreventUIRefresh(-1)
  local said = went_well and '' or ' (taken back)'
  reaper.Undo_EndBlock2(project, 'Tweeze: ' .. batch.label .. said, -1)
  reaper.TrackList_AdjustWindows(false)
  reaper.UpdateArrange()
  reaper.Main_OnCommand(40047, 0) -- build missing peaks, in REAPER's own time
  if went_well then return true end
  return nil, tostring(why), in_part
end

return insert
