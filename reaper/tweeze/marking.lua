-- Marks where a sound is likely: a region for each event of a recording that was read from here.
-- @noindex
local pending = require 'tweeze.pending'
local text = require 'tweeze.text'

local marking = {}

local MOST = 1000
local OTHER_PROJECT = "'%s' came from another project than the one in front: bring that to the "
  .. 'front, and try again.'
local WRONG = 'The events cannot be read: update Tweeze, and run "tweeze install reaper" again.'

-- Return the events `{first, last}` that rows name, in seconds of the project, or nil.
local function events_in(rows)
  local position, found = tonumber(text.one(rows, 'position')), {}
  for _, value in ipairs(text.all(rows, 'event')) do
    local first, last = value:match('^(%d+%.?%d*)%-(%d+%.?%d*)$')
    if not (position and first) then return nil end
    found[#found + 1] = { position + tonumber(first), position + tonumber(last) }
    if found[#found][1] >= found[#found][2] then return nil end
  end
  return #found > 0 and #found <= MOST and found or nil
end

local function is_from(rows, project)
  local place = pending.place(text.one(rows, 'note', ''))
  local batch = place or { project = text.one(rows, 'project', ''), file = '' }
  return pending.belongs(batch, project)
end

local function add_all(project, found, name, added)
  for _, event in ipairs(found) do
    local number = reaper.AddProjectMarker2(project, true, event[1], event[2], name, -1, 0)
    if number < 0 then error('REAPER takes no more regions', 0) end
    added[#added + 1] = number
  end
end

-- Add the regions that rows name, as one step of the undo history; returns how many, or nil and a
-- sentence, where the project is as it was.
function marking.add(project, rows)
  local name = text.one(rows, 'name', '')
  local found = events_in(rows)
  if not found then return nil, WRONG end
  if not is_from(rows, project) then
    return nil, OTHER_PROJECT:format(text.one(rows, 'title', ''))
  end
  local added = {}
  reaper.Undo_BeginBlock2(project)
  reaper.PreventUIRefresh(1)
  local went_well, why = pcall(add_all, project, found, name, added)
  if not went_well then
    for index = #added, 1, -1 do reaper.DeleteProjectMarker(project, added[index], true) end
  end
  reaper.PreventUIRefresh(-1)
  local said = went_well and '' or ' (taken back)'
  reaper.Undo_EndBlock2(project, 'Tweeze: regions, ' .. name .. said, -1)
  reaper.UpdateArrange()
  if went_well then return #found end
  return nil, ('The regions could not be added (%s), so none was.'):format(tostring(why))
end

return marking
