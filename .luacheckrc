-- ReaScripts run in REAPER's Lua 5.4, which brings two tables of its own.
std = 'lua54'
max_line_length = 100
files['reaper'] = { read_globals = { 'reaper', gfx = { fields = { x = { read_only = false }, y = { read_only = false } }, other_fields = true } } }
