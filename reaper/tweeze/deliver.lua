-- Brings clips from the engine's folder to the project's own recording path, where no clean-up
-- touches them: by renaming; on another disk, or where a clip `stays` with the engine, by copying
-- a little at a time.
-- @noindex
local deliver = {}

local BLOCK = 1 << 20 -- bytes copied at once

local function free_name(folder, stem)
  local number, path = 1
  repeat
    path = folder .. '/' .. stem .. (number > 1 and (' (%d)'):format(number) or '') .. '.wav'
    number = number + 1
  until not reaper.file_exists(path)
  return path
end

local function stem_of(path)
  return (path:match('([^/\\]+)%.[wW][aA][vV]$') or 'clip')
end

-- Where Lua's own file functions spell names in another way than REAPER, REAPER does not find
-- the file: then it gets a name of plain letters.
local function placed(from, path, move)
  if not move(from, path) then return nil end
  if reaper.file_exists(path) then return path end
  local plain = free_name(path:match('^(.*)/'), stem_of(path):gsub('[^ -~]', '_'))
  if os.rename(path, plain) then return plain end
  move(path, from)
  return nil
end

local function folder_of(path) return path:match('^(.*)[/\\]') end

local function is_there(path)
  local file = io.open(path, 'rb')
  if file then file:close() end
  return file ~= nil
end

-- Return whether a clip can be brought: it lies where the engine put it, or where it was `placed`
-- by an attempt that did not come to its end.
function deliver.finds(clip)
  return is_there(clip.path) or (clip.placed ~= nil and is_there(clip.placed))
end

-- Return the folders in which clips lie now, as words.
function deliver.places(clips)
  local said, folders = {}, {}
  for _, clip in ipairs(clips) do
    local folder = folder_of(is_there(clip.path) and clip.path or clip.placed or clip.path)
    if not said[folder] then folders[#folders + 1] = folder end
    said[folder] = true
  end
  return table.concat(folders, ' and ')
end

-- Begin to bring the clips `{path, ...}` to `folder`; nothing of it blocks. Before a clip leaves
-- its place `keep` is called, to write down where it is `placed`; false from it ends the delivery.
function deliver.begin(clips, folder, keep)
  reaper.RecursiveCreateDirectory(folder, 0)
  return { clips = clips, folder = folder, keep = keep, index = 1 }
end

local function stop_copy(state)
  if state.source then state.source:close() end
  if state.target then state.target:close() end
  state.source, state.target = nil, nil
end

-- Put the clips back where the engine had them; one that cannot go back stays `placed`.
function deliver.abandon(state)
  stop_copy(state)
  if state.part then os.remove(state.part) end
  for _, clip in ipairs(state.clips) do
    if clip.moved and not is_there(clip.path) then
      reaper.RecursiveCreateDirectory(folder_of(clip.path), 0)
      os.rename(clip.moved, clip.path)
    elseif clip.copied then
      os.remove(clip.copied)
    end
    clip.moved, clip.copied, clip.final = nil, nil, nil
    if is_there(clip.path) then clip.placed = nil end
  end
end

-- Let go of the engine's own copies and folders, once the clips are in the project.
function deliver.finish(state)
  for _, clip in ipairs(state.clips) do
    if clip.copied and not clip.stays then os.remove(clip.path) end
    os.remove(folder_of(clip.path)) -- the job's folder, once it is empty
  end
end

local function next_clip(state, path, how)
  local clip = state.clips[state.index]
  clip[how], clip.final = path, path
  state.index = state.index + 1
  if clip.placed == path then return true end
  clip.placed = path
  return state.keep()
end

local function begin_copy(state, clip)
  state.part = state.folder .. '/.' .. stem_of(clip.path) .. '.part'
  state.source = io.open(clip.path, 'rb')
  state.target = state.source and io.open(state.part, 'wb')
  return state.target ~= nil
end

local function copy_block(state, clip)
  local bytes, why = state.source:read(BLOCK)
  if bytes then return state.target:write(bytes) ~= nil end
  if why then return false end -- the disk cannot be read: what came is not the whole clip
  state.source:close()
  local whole = state.target:close()
  state.source, state.target = nil, nil
  local path = whole and placed(state.part, free_name(state.folder, stem_of(clip.path)),
    os.rename)
  if not path then return false end
  state.part = nil
  return next_clip(state, path, 'copied')
end

local function begin_clip(state, clip)
  if not is_there(clip.path) then return next_clip(state, clip.placed, 'moved') end
  clip.placed = free_name(state.folder, stem_of(clip.path))
  if not state.keep() then return false end
  local path = not clip.stays and placed(clip.path, clip.placed, os.rename)
  if path then return next_clip(state, path, 'moved') end
  return begin_copy(state, clip)
end

-- Do a small part of the work. Returns true when all clips are there, false while they are not,
-- or nil and a sentence.
function deliver.step(state)
  local clip = state.clips[state.index]
  if not clip then return true end
  local work = state.source and copy_block or begin_clip
  if work(state, clip) then return false end
  deliver.abandon(state)
  return nil, ('The clips could not be put into %s: free some space there and see that it can be '
    .. 'written, then run "Tweeze - collect". They lie in %s.'):format(
    state.folder, deliver.places(state.clips))
end

return deliver
