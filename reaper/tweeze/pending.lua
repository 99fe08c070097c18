-- Notes on what was sent to the engine and is not in a project yet. A note is a file, so that it
-- outlives this script, this project's being open, and REAPER; it is claimed by being renamed,
-- so that nothing goes in twice.
-- @noindex
local text = require 'tweeze.text'

local pending = {}

local SECTION = 'Tweeze'
local FAR = 1e9 -- seconds; no project is longer
local ATTENDED = 10 -- seconds without a sign after which a script counts as gone

local KEPT = 60 * 24 * 3600 -- seconds that the note of a place is kept

local function data() return reaper.GetResourcePath() .. '/Data/Tweeze' end
local function folder() return data() .. '/pending' end
local function places() return data() .. '/places' end
local function claimed(id) return folder() .. '/' .. id .. '.claimed' end
local function free(id) return folder() .. '/' .. id end

-- Return a mark of the project, by which it is known again: kept with it when it is saved.
function pending.project_mark(project)
  local _, mark = reaper.GetProjExtState(project, SECTION, 'project')
  if mark == '' then
    mark = reaper.genGuid('')
    reaper.SetProjExtState(project, SECTION, 'project', mark)
  end
  return mark
end

local function project_file(project)
  local index = 0
  while true do
    local other, file = reaper.EnumProjects(index)
    if not other then return '' end
    if other == project then return file or '' end
    index = index + 1
  end
end

local function append_values(rows, prefix, values)
  local names = {}
  for name in pairs(values) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    rows[#rows + 1] = { prefix .. name, ('%.17g'):format(values[name]) }
  end
end

-- Where the clips of a region are placed, an empty text for those that are where they were.
local function placed(region)
  local found = {}
  for number, clip in ipairs(region.clips or {}) do found[number] = clip.placed or '' end
  return region.clips and found or region.placed
end

local function note(batch)
  local rows = {
    { 'tweeze', '1' }, { 'id', batch.id }, { 'project', batch.project },
    { 'file', batch.file }, { 'mute', batch.mute and 'yes' or 'no' }, { 'label', batch.label },
  }
  for _, region in ipairs(batch.regions) do
    rows[#rows + 1] = { 'job', region.job }
    rows[#rows + 1] = { 'track', region.track_id }
    rows[#rows + 1] = { 'title', region.title }
    rows[#rows + 1] = { 'position', ('%.17g'):format(region.position) }
    rows[#rows + 1] = { 'length', ('%.17g'):format(region.length) }
    if region.stays then rows[#rows + 1] = { 'stays', 'yes' } end
    for _, id in ipairs(region.mute) do rows[#rows + 1] = { 'original', id } end
    append_values(rows, 'item:', region.item_values)
    append_values(rows, 'take:', region.take_values)
    for _, path in ipairs(placed(region) or {}) do rows[#rows + 1] = { 'placed', path } end
  end
  return rows
end

-- Write the note of a batch: its regions as far as their jobs are sent.
function pending.write(batch, project)
  reaper.RecursiveCreateDirectory(folder(), 0)
  batch.file = project_file(project)
  return text.write(free(batch.id), note(batch))
end

-- Write the note of a claimed batch anew, with where its clips are now; true if that went well.
function pending.keep(batch)
  return text.write(claimed(batch.id), note(batch)) ~= nil
end

local function is_whole(region)
  return region.track_id and region.title
    and region.position and math.abs(region.position) < FAR
    and region.length and region.length >= 0 and region.length < FAR
end

-- Return the batch that a note tells of, or nil if there is none or it leaves something open.
local function read(path)
  local rows = text.read(path)
  if not rows then return nil end
  local batch = {
    id = text.one(rows, 'id'),
    project = text.one(rows, 'project', ''),
    file = text.one(rows, 'file', ''),
    mute = text.one(rows, 'mute') == 'yes',
    label = text.one(rows, 'label', ''),
    regions = {},
  }
  local region
  for _, row in ipairs(rows) do
    local key, value = row[1], row[2]
    local kind, name = key:match('^(%a+):(.+)$')
    if key == 'job' then
      region = { job = value, item_values = {}, take_values = {}, mute = {}, placed = {} }
      batch.regions[#batch.regions + 1] = region
    elseif key == 'track' and region then region.track_id = value
    elseif key == 'title' and region then region.title = value
    elseif key == 'position' and region then region.position = tonumber(value)
    elseif key == 'length' and region then region.length = tonumber(value)
    elseif key == 'stays' and region then region.stays = value == 'yes'
    elseif key == 'original' and region then region.mute[#region.mute + 1] = value
    elseif key == 'placed' and region then region.placed[#region.placed + 1] = value
    elseif kind == 'item' and region then region.item_values[name] = tonumber(value)
    elseif kind == 'take' and region then region.take_values[name] = tonumber(value)
    end
  end
  for _, one in ipairs(batch.regions) do
    if not is_whole(one) then return nil end
  end
  return batch.id and batch or nil
end

local function forget_old_places()
  local oldest, index, old = os.date('!%Y%m%d', os.time() - KEPT), 0, {}
  reaper.EnumerateFiles(places(), -1)
  while true do
    local name = reaper.EnumerateFiles(places(), index)
    if not name then break end
    if name:match('^%d+') and name:sub(1, 8) < oldest then old[#old + 1] = name end
    index = index + 1
  end
  for _, name in ipairs(old) do os.remove(places() .. '/' .. name) end
end

-- Note under the id of a region's job where it lies, so that other clips can be put there later;
-- true, or nil and a reason.
function pending.note_place(region, project)
  reaper.RecursiveCreateDirectory(places(), 0)
  forget_old_places()
  return text.write(places() .. '/' .. region.job, note {
    id = region.job, project = pending.project_mark(project), file = project_file(project),
    mute = false, label = region.title, regions = { region },
  })
end

-- Return the note of a place as a batch with one region, or nil.
function pending.place(id)
  return id:match('^%w[%w_-]*$') and read(places() .. '/' .. id) or nil
end

-- Return the batches of all notes, the oldest first, each with whether somebody `claimed` it.
function pending.all()
  local batches, index = {}, 0
  reaper.EnumerateFiles(folder(), -1)
  while true do
    local name = reaper.EnumerateFiles(folder(), index)
    if not name then break end
    local batch = not name:match('^%.') and read(folder() .. '/' .. name)
    if batch then
      batch.claimed = name:match('%.claimed$') ~= nil
      batches[#batches + 1] = batch
    end
    index = index + 1
  end
  table.sort(batches, function(a, b) return a.id < b.id end)
  return batches
end

-- Return whether a batch came from this project.
function pending.belongs(batch, project)
  local _, mark = reaper.GetProjExtState(project, SECTION, 'project')
  if mark ~= '' then return mark == batch.project end
  -- Closed without being saved, the project has lost its mark; its file is the same.
  return batch.file ~= '' and batch.file == project_file(project)
end

-- Say that a running script looks after a batch, as of `now`; nil says that it no longer does.
function pending.attend(batch, now)
  reaper.SetExtState(SECTION, 'attended:' .. batch.id, now and tostring(now) or '', false)
end

-- Return whether a running script looks after a batch.
function pending.is_attended(batch)
  local said = tonumber(reaper.GetExtState(SECTION, 'attended:' .. batch.id))
  return said ~= nil and math.abs(reaper.time_precise() - said) < ATTENDED
end

-- Claim a batch; true for the one script that may insert it now. Else nil, and a sentence if
-- nobody else has it.
function pending.claim(batch)
  if os.rename(free(batch.id), claimed(batch.id)) then return true end
  if not reaper.file_exists(free(batch.id)) then return nil end
  return nil, ('The note %s cannot be renamed: check the permissions of its folder, then run '
    .. '"Tweeze - collect".'):format(free(batch.id))
end

-- Give a claimed batch back: nothing of it is in the project.
function pending.release(batch)
  os.rename(claimed(batch.id), free(batch.id))
end

-- Forget a batch: it is in the project, or there is nothing to insert.
function pending.forget(batch)
  os.remove(free(batch.id))
  os.remove(claimed(batch.id))
end

return pending
