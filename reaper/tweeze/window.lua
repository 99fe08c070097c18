-- The small window: draws a form while the user types and a bar while Tweeze works.
-- @noindex
local form = require 'tweeze.form'

local window = {}

local WIDTH, HEIGHT, LINE, MARGIN = 420, 460, 20, 12
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

local function draw_query(self)
  colour(self.row == 1 and ACCENT or FAINT)
  gfx.rect(MARGIN, MARGIN, WIDTH - 2 * MARGIN, LINE + 6, 0)
  write(MARGIN + 5, MARGIN + 4, self.typed == '' and 'dog barking; rain' or self.typed,
    (self.typed == '' or self.fresh) and FAINT or INK)
  local before = self.typed:sub(1, utf8.offset(self.typed, self.cursor + 1) - 1)
  local x = MARGIN + 5 + gfx.measurestr(before)
  colour(ACCENT)
  gfx.rect(x, MARGIN + 4, 1, LINE - 2, 1)
end

-- Draw a form, and under it what the user should know of the selection.
function window.draw_form(self, warnings)
  begin()
  draw_query(self)
  local y = MARGIN + LINE + 14
  local rows = {
    { 2, 'keep', self.keep }, { 3, 'mute original', self.mute and 'yes' or 'no' },
    { 4, 'model', self.model },
  }
  for _, row in ipairs(rows) do
    local mark = self.row == row[1] and '>' or ' '
    write(MARGIN, y, mark, ACCENT)
    write(MARGIN + 14, y, row[2] .. ':')
    write(MARGIN + 130, y, row[3], self.row == row[1] and ACCENT or INK)
    y = y + LINE
  end
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
