-- Checks in a real REAPER what Tweeze takes for granted and no document promises. Works in a
-- project tab of its own, which can be closed without saving; prints PASS and FAIL lines.
-- @noindex
local capture = require 'tweeze.capture'
local home = require 'tweeze.home'
local text = require 'tweeze.text'
local wav = require 'tweeze.wav'

local selftest = {}

local RATE, FRAMES = 48000, 24000
local SPAN = 256 -- frames compared

local function say(line) reaper.ShowConsoleMsg(line .. '\n') end

-- A frame's sample: noise that is the same each time, with no two places alike.
local function sample(frame, channel)
  local x = (frame * 2 + channel + 1) * 2654435761 % 4294967296
  x = (x ~ (x >> 15)) * 2246822519 % 4294967296
  return ((x ~ (x >> 13)) % 65536) / 65536 - 0.5
end

local function write_file(path, channels)
  local file = wav.create(path, RATE, channels, FRAMES)
  if not file then return false end
  local samples = {}
  for frame = 0, FRAMES - 1 do
    for channel = 0, channels - 1 do samples[#samples + 1] = sample(frame, channel) end
  end
  wav.append(file, samples)
  return file:close()
end

local function add_item(track, path, position, length)
  local item = reaper.AddMediaItemToTrack(track)
  local take = reaper.AddTakeToMediaItem(item)
  reaper.SetMediaItemTake_Source(take, reaper.PCM_Source_CreateFromFileEx(path, true))
  reaper.SetMediaItemInfo_Value(item, 'D_POSITION', position)
  reaper.SetMediaItemInfo_Value(item, 'D_LENGTH', length)
  for _, fade in ipairs { 'D_FADEINLEN', 'D_FADEOUTLEN' } do
    reaper.SetMediaItemInfo_Value(item, fade, 0)
    reaper.SetMediaItemInfo_Value(item, fade .. '_AUTO', 0)
  end
  return item, take
end

-- Read a few frames through an accessor; the buffer is full of 9 before.
local function read(of, kind, channels, seconds)
  local accessor = kind == 'take' and reaper.CreateTakeAudioAccessor(of)
    or reaper.CreateTrackAudioAccessor(of)
  local buffer = reaper.new_array(SPAN * channels)
  buffer.clear(9)
  local answer = reaper.GetAudioAccessorSamples(accessor, RATE, channels, seconds, SPAN, buffer)
  reaper.DestroyAudioAccessor(accessor)
  return buffer.table(1, SPAN * channels), answer
end

-- Return the largest difference from what `expected(frame, channel)` says.
local function difference(got, channels, expected)
  local worst = 0
  for frame = 0, SPAN - 1 do
    for channel = 0, channels - 1 do
      local value = got[frame * channels + channel + 1]
      worst = math.max(worst, math.abs(value - expected(frame, channel)))
    end
  end
  return worst
end

local function same(got, channels, expected)
  local worst = difference(got, channels, expected)
  return worst < 1e-4, ('largest difference %.6f'):format(worst)
end

local checks = {}
local function check(name, run) checks[#checks + 1] = { name, run } end

check('take accessor: time 0 is the start of the item', function(desk)
  local _, take = desk.item(3.25, 0.25)
  reaper.SetMediaItemTakeInfo_Value(take, 'D_STARTOFFS', 0.125)
  return same(read(take, 'take', 2, 0), 2, function(f, c) return sample(6000 + f, c) end)
end)

check('take accessor: item and take volume are not in it', function(desk)
  local item, take = desk.item(3.5, 0.25)
  reaper.SetMediaItemInfo_Value(item, 'D_VOL', 0.5)
  reaper.SetMediaItemTakeInfo_Value(take, 'D_VOL', 0.5)
  return same(read(take, 'take', 2, 0), 2, sample)
end)

check('take accessor: fades are not in it', function(desk)
  local item, take = desk.item(3.75, 0.25)
  reaper.SetMediaItemInfo_Value(item, 'D_FADEINLEN', 0.2)
  return same(read(take, 'take', 2, 0), 2, sample)
end)

check('take accessor: looped sources go on', function(desk)
  local item, take = desk.item(4, 1)
  reaper.SetMediaItemInfo_Value(item, 'B_LOOPSRC', 1)
  return same(read(take, 'take', 2, 0.625), 2, function(f, c) return sample(6000 + f, c) end)
end)

check('take accessor: past the end, the buffer is as it was or silent', function(desk)
  local _, take = desk.item(5, 0.125)
  local got = read(take, 'take', 2, 0.25)
  local first = got[1]
  return first == 9 or first == 0, ('the first sample is %.3f'):format(first)
end)

check('an accessor does not report changes that nobody made', function(desk)
  local _, take = desk.item(9, 0.25)
  local accessor = reaper.CreateTakeAudioAccessor(take)
  local changed = reaper.AudioAccessorStateChanged(accessor)
  reaper.DestroyAudioAccessor(accessor)
  return not changed, tostring(changed)
end)

check('take accessor: a mono source in one channel', function(desk)
  local _, take = desk.item(5.25, 0.25, desk.mono)
  return same(read(take, 'take', 1, 0), 1, sample)
end)

for _, entry in ipairs { { 1, 'reversed stereo' }, { 3, 'left' }, { 4, 'right' } } do
  local mode, name = entry[1], entry[2]
  check(('take accessor: channel mode %d (%s)'):format(mode, name), function(desk)
    local _, take = desk.item(5.5 + mode / 4, 0.25)
    reaper.SetMediaItemTakeInfo_Value(take, 'I_CHANMODE', mode)
    local channels = mode == 1 and 2 or 1
    return same(read(take, 'take', channels, 0), channels, function(f, c)
      if mode == 1 then return sample(f, 1 - c) end
      return sample(f, mode - 3)
    end)
  end)
end

check('take accessor: a position between two samples', function(desk)
  local _, take = desk.item(7, 0.25)
  reaper.SetMediaItemTakeInfo_Value(take, 'D_STARTOFFS', 100.5 / RATE)
  local worst = difference(read(take, 'take', 2, 0), 2, function(f, c)
    return (sample(100 + f, c) + sample(101 + f, c)) / 2
  end)
  return worst < 0.6, ('%.4f from a straight line between samples'):format(worst)
end)

check('track accessor: time is that of the project', function(desk)
  desk.item(20, 0.25)
  local got = read(desk.track, 'track', 2, 20.125)
  return same(got, 2, function(f, c) return sample(6000 + f, c) end)
end)

check('track accessor: item and take volume are in it', function(desk)
  local item, take = desk.item(21, 0.25)
  reaper.SetMediaItemInfo_Value(item, 'D_VOL', 0.5)
  reaper.SetMediaItemTakeInfo_Value(take, 'D_VOL', 0.5)
  return same(read(desk.track, 'track', 2, 21), 2, function(f, c) return sample(f, c) / 4 end)
end)

check('track accessor: gaps are left as they were or silent', function(desk)
  local got = read(desk.track, 'track', 2, 30)
  return got[1] == 9 or got[1] == 0, ('the first sample is %.3f'):format(got[1])
end)

check('track accessor: a mono item is the same on both sides', function(desk)
  desk.item(22, 0.25, desk.mono)
  local got = read(desk.track, 'track', 2, 22)
  local ratio = got[1] / sample(0, 0)
  return got[1] == got[2] and ratio > 0.45 and ratio < 1.001, ('gain %.4f'):format(ratio)
end)

check('Tweeze itself reads an item exactly', function(desk)
  local _, take = desk.item(8, 0.25)
  local region = { kind = 'item', take = take, track = desk.track, title = 'selftest', offset = 0,
    position = 8, rate = RATE, channels = 2, frames = 12000 }
  local path = desk.folder .. '/tweeze-selftest-read.wav'
  local state, why = capture.begin(region, path)
  while state do
    local whole
    whole, why = capture.step(state)
    if whole or whole == nil then break end
  end
  local file = wav.open(path)
  if not file then return false, why or 'nothing was written' end
  local got = file.read(11999)
  file.close()
  os.remove(path)
  return math.abs(got[1] - sample(11999, 0)) < 1e-6, ('last sample %.6f'):format(got[1])
end)

check('a new track has no effects, and comes where it is asked for', function()
  local count = reaper.CountTracks(nil)
  reaper.InsertTrackAtIndex(count, false)
  local track = reaper.GetTrack(nil, count)
  return track ~= nil and reaper.TrackFX_GetCount(track) == 0, ('%d tracks'):format(count + 1)
end)

check('file names: what Lua writes REAPER finds', function(desk)
  local path = desk.folder .. '/tweeze-selftest-ä鳥.txt'
  local file = io.open(path, 'wb')
  if not file then return false, 'Lua cannot write such a name' end
  file:close()
  local found = reaper.file_exists(path)
  os.remove(path)
  return found, path
end)

check('a file is renamed, and never over another', function(desk)
  local a, b = desk.folder .. '/tweeze-selftest-a', desk.folder .. '/tweeze-selftest-b'
  local written = text.write(a, { { 'a', 'b' } })
  local renamed = written and os.rename(a, b)
  os.remove(b)
  return renamed ~= nil, tostring(renamed)
end)

check('the project keeps a mark', function()
  local project = reaper.EnumProjects(-1)
  reaper.SetProjExtState(project, 'Tweeze', 'selftest', 'mark')
  local _, mark = reaper.GetProjExtState(project, 'Tweeze', 'selftest')
  return mark == 'mark', mark
end)

local function prepare(where)
  local folder = reaper.GetResourcePath() .. '/Data/Tweeze'
  reaper.RecursiveCreateDirectory(folder, 0)
  local desk = { where = where, folder = folder, stereo = folder .. '/tweeze-selftest-2.wav',
    mono = folder .. '/tweeze-selftest-1.wav' }
  if not (write_file(desk.stereo, 2) and write_file(desk.mono, 1)) then return nil end
  reaper.InsertTrackAtIndex(0, false)
  desk.track = reaper.GetTrack(nil, 0)
  function desk.item(position, length, path)
    return add_item(desk.track, path or desk.stereo, position, length)
  end
  return desk
end

-- Run all checks and print how they went.
function selftest.run(scripts)
  local where = home.find(scripts)
  say(('Tweeze selftest, REAPER %s, %s'):format(reaper.GetAppVersion(), reaper.GetOS()))
  reaper.Main_OnCommand(40859, 0) -- new project tab
  local project = reaper.EnumProjects(-1)
  reaper.Undo_BeginBlock2(project)
  local desk = prepare(where)
  if not desk then say('FAIL the test files could not be written') end
  local failed = 0
  for _, entry in ipairs(desk and checks or {}) do
    local ran, passed, detail = pcall(entry[2], desk)
    if not ran then passed, detail = false, passed end
    if not passed then failed = failed + 1 end
    say(('%s %s (%s)'):format(passed and 'PASS' or 'FAIL', entry[1], tostring(detail)))
  end
  reaper.Undo_EndBlock2(project, 'Tweeze: selftest', -1)
  reaper.UpdateArrange()
  say(home.heartbeat(where) and 'PASS the engine answers'
    or 'FAIL the engine does not answer (run "tweeze start")')
  say(('%d of %d checks failed. Please send this to the authors of Tweeze; the project tab can be '
    .. 'closed without saving.'):format(failed, #checks))
end

return selftest
