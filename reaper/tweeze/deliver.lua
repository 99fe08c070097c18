-- Brings clips from the engine's folder to the project's own recording path, where no clean-up
-- touches them: by renaming, or on another disk by copying a little at a time.
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

-- Begin to bring the clips `{path, ...}` to `folder`; nothing of it blocks.
function deliver.begin(clips, folder)
  reaper.RecursiveCreateDirectory(folder, 0)
  return { clips = clips, folder = folder, index = 1, made = {} }
end

local function stop_copy(state)
  if state.source then state.source:close() end
  if state.target then state.target:close() end
  state.source, state.target = nil, nil
end

-- Remove what was copied; the clips themselves stay where the engine put them.
function deliver.abandon(state)
  stop_copy(state)
  if state.part then os.remove(state.part) end
  for _, clip in ipairs(state.clips) do
    if clip.moved then os.rename(clip.moved, clip.path)
    elseif clip.copied then os.remove(clip.copied) end
    clip.moved, clip.copied, clip.final = nil, nil, nil
  end
end

local function next_clip(state, path, how)
  local clip = state.clips[state.index]
  clip[how], clip.final = path, path
  state.index = state.index + 1
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
  next_clip(state, path, 'copied')
  return true
end

-- Do a small part of the work. Returns true when all clips are there, false while they are not,
-- or nil and a sentence.
function deliver.step(state)
  local clip = state.clips[state.index]
  if not clip then
    for _, done in ipairs(state.clips) do
      if done.copied then os.remove(done.path) end
      os.remove(done.path:match('^(.*)[/\\]')) -- the job's folder, once it is empty
    end
    return true
  end
  local went_well
  if state.source then
    went_well = copy_block(state, clip)
  else
    local path = placed(clip.path, free_name(state.folder, stem_of(clip.path)), os.rename)
    went_well = path ~= nil
    if path then next_clip(state, path, 'moved') else went_well = begin_copy(state, clip) end
  end
  if went_well then return false end
  deliver.abandon(state)
  return nil, ('The clips could not be put into %s and lie in %s: free some space in the first, '
    .. 'then run "Tweeze - collect".'):format(state.folder, clip.path:match('^(.*)[/\\]'))
end

return deliver
