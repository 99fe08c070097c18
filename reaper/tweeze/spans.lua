-- Where a sound may be, as the user's regions say: one whose name begins with a plus and a blank
-- says that it may be only there, a minus that it may not.
-- @noindex
local spans = {}

local NEAR = 1e-3 -- seconds; nearer edges of regions and selection count as the same
local SIGNS = { ['+'] = 'at', ['-'] = 'never', ['\u{2212}'] = 'never' }
local OPTIONS = { 'at', 'never' }
local POINT = "The marker '%s' has no length, so it was ignored: make it a region."

-- Return the option that a name stands for, or nil.
local function option_of(name)
  local sign, rest = name:match('^%s*(' .. utf8.charpattern .. ')(.*)$')
  return (rest == '' or rest and rest:match('^%s')) and SIGNS[sign] or nil
end

-- Return the regions and markers of a project that have a sign, in the order of their times: the
-- `option` that each stands for, `name`, `first` and `last` in seconds of the project.
function spans.find(project)
  local found, index = {}, 0
  while true do
    local more, is_region, first, last, name = reaper.EnumProjectMarkers3(project, index)
    if more == 0 then break end
    local option = option_of(name)
    if option then
      found[#found + 1] = {
        option = option, name = name, first = first, last = is_region and last or first,
      }
    end
    index = index + 1
  end
  table.sort(found, function(a, b) return a.first < b.first end)
  return found
end

-- Add to a list the part of a span in a stretch of time of some length; nothing if it only touches
-- it. Spans that meet become one.
local function add(list, first, last, length)
  if first < 0 and last <= NEAR or last > length and first >= length - NEAR then return end
  first, last = first <= NEAR and 0 or first, last >= length - NEAR and math.huge or last
  local before = list[#list]
  if before and first <= before[2] then before[2] = math.max(before[2], last)
  else list[#list + 1] = { first, last } end
end

-- Note in a region of the selection the spans `at` and `never` of what was found, from its start,
-- and sentences about what marks none.
function spans.note(region, found)
  region.at, region.never, region.points = {}, {}, {}
  for _, one in ipairs(found) do
    local first, last = one.first - region.position, one.last - region.position
    if one.last > one.first then add(region[one.option], first, last, region.length)
    elseif first >= 0 and first <= region.length then
      region.points[#region.points + 1] = POINT:format(one.name)
    end
  end
end

-- Return whether the spans of a region leave some time in which a sound may be.
function spans.leave_time(region)
  local at = #region.at > 0 and region.at or { { 0, math.huge } }
  for _, span in ipairs(at) do
    local covered = false
    for _, hole in ipairs(region.never) do
      covered = covered or hole[1] <= span[1] and hole[2] >= span[2]
    end
    if not covered then return true end
  end
  return false
end

local function count(number)
  return ('%d marked span%s'):format(number, number == 1 and '' or 's')
end

-- Return the sentences about a region's spans.
function spans.said(region)
  local said, parts = { table.unpack(region.points) }, {}
  if #region.at > 0 then parts[#parts + 1] = 'only at ' .. count(#region.at) end
  if #region.never > 0 then parts[#parts + 1] = 'not at ' .. count(#region.never) end
  if #parts > 0 then
    said[#said + 1] = ("'%s': %s."):format(region.title, table.concat(parts, ', '))
  end
  return said
end

-- Return whether options, pairs of name and value, say themselves when a sound may be: then the
-- regions do not count.
function spans.are_named(options)
  for _, pair in ipairs(options) do
    if pair[1] == 'at' or pair[1] == 'never' or pair[1] == 'rect' then return true end
  end
  return false
end

-- Seconds with six decimals, whatever the system's decimal point; none for the end of all time.
local function shown(seconds)
  if seconds == math.huge then return '' end
  local micros = math.floor(seconds * 1e6 + 0.5)
  return ('%d.%06d'):format(micros // 1000000, micros % 1000000)
end

-- Return a region's spans as options: pairs of name and value.
function spans.options(region)
  local pairs_ = {}
  for _, option in ipairs(OPTIONS) do
    local texts = {}
    for index, span in ipairs(region[option] or {}) do
      texts[index] = shown(span[1]) .. '-' .. shown(span[2])
    end
    if #texts > 0 then pairs_[#pairs_ + 1] = { option, table.concat(texts, ',') } end
  end
  return pairs_
end

return spans
