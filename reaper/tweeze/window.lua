-- The small window: draws a form while the user types and a bar while Tweeze works.
-- @noindex
local form = require 'tweeze.form'

local window = {}

local WIDTH, HEIGHT, LINE, MARGIN = 420, 460, 20, 12
local VALUES = MARGIN + 130 -- where what is chosen stands
local PAPER, INK, FAINT, ACCENT = { 0.16, 0.16, 0.17 }, { 0.93, 0.93, 0.93 }, { 0.6, 0.6, 0.6 },
  { 0.35, 0.72, 0.6 }

local function colour(rgb) gfx.set(rgb[1], rgb[2], rgb[3], 1) end

local function write(x, y, text, rgb)
  colour(rgb or INK)
  gfx.x, gfx.y = x, y
  gfx.drawstr(text)
end

-- Break a sentence into lines that fit the window, at most `most`.
local function wrap(text, most)
  local lines, line = {}, ''
  for word in text:gmatch('%S+') do
    local longer = line == '' and word or line .. ' ' .. word
    if gfx.measurestr(longer) > WIDTH - 2 * MARGIN and line ~= '' then
      lines[#lines + 1], line = line, word
    else
      line = longer
    end
  end
  lines[#lines + 1] = line
  for index = #lines, most + 1, -1 do lines[index] = nil end
  return lines
end

local function write_all(sentences, y)
  for _, sentence in ipairs(sentences) do
    for _, line in ipairs(wrap(sentence, 3)) do
      if y + LINE > HEIGHT then return end
      write(MARGIN, y, line, FAINT)
      y = y + LINE
    end
  end
end

-- Open the window.
function window.open(title)
  gfx.init(title, WIDTH, HEIGHT, 0)
  gfx.setfont(1, 'Arial', 15)
end

local function begin()
  colour(PAPER)
  gfx.rect(0, 0, WIDTH, HEIGHT, 1)
end

-- Draw what is typed into a field, `empty` where that is nothing, and the cursor if it is there.
-- What typing would replace is faint.
local function draw_typed(x, y, typing, empty, here)
  local blank = typing.typed == ''
  write(x, y, blank and empty or typing.typed, (blank or here and typing.fresh) and FAINT or INK)
  if not here then return end
  local before = typing.typed:sub(1, utf8.offset(typing.typed, typing.cursor + 1) - 1)
  colour(ACCENT)
  gfx.rect(x + gfx.measurestr(before), y, 1, LINE - 2, 1)
end

local function draw_query(self, here)
  colour(here and ACCENT or FAINT)
  gfx.rect(MARGIN, MARGIN, WIDTH - 2 * MARGIN, LINE + 6, 0)
  draw_typed(MARGIN + 5, MARGIN + 4, self.query, 'dog barking; rain', here)
end

local function draw_row(y, label, here)
  write(MARGIN, y, here and '>' or ' ', ACCENT)
  write(MARGIN + 14, y, label .. ':')
end

-- Draw a form, and under it what the user should know of the selection.
function window.draw_form(self, warnings)
  local row = form.row(self)
  begin()
  draw_query(self, row == 'query')
  local y = MARGIN + LINE + 14
  draw_row(y, 'but not', row == 'unwanted')
  draw_typed(VALUES, y, self.unwanted, 'nothing', row == 'unwanted')
  local choices = {
    { 'keep', 'keep', self.keep }, { 'mute', 'mute original', self.mute and 'yes' or 'no' },
    { 'model', 'model', self.model },
  }
  for _, choice in ipairs(choices) do
    y = y + LINE
    draw_row(y, choice[2], row == choice[1])
    write(VALUES, y, choice[3], row == choice[1] and ACCENT or INK)
  end
  y = y + LINE
  y = y + 8
  for index, text in ipairs(form.suggestions(self)) do
    write(MARGIN + 14, y, text, index == self.picked and ACCENT or FAINT)
    y = y + LINE
  end
  write_all(warnings, y + 4)
  gfx.update()
end

-- Draw the bar: a share from 0 to 1, what is going on, and warnings.
function window.draw_progress(label, share, message, warnings)
  begin()
  write(MARGIN, MARGIN, label)
  colour(FAINT)
  gfx.rect(MARGIN, MARGIN + 30, WIDTH - 2 * MARGIN, 14, 0)
  colour(ACCENT)
  gfx.rect(MARGIN, MARGIN + 30, (WIDTH - 2 * MARGIN) * share, 14, 1)
  write(MARGIN, MARGIN + 54, ('%d %%  %s  (Esc cancels)'):format(share * 100 // 1, message), FAINT)
  write_all(warnings, MARGIN + 54 + LINE + 8)
  gfx.update()
end

-- Return the next key and its Unicode value: 0 where there is none, -1 once the window is closed.
function window.key()
  return gfx.getchar()
end

function window.close()
  gfx.quit()
end

return window
