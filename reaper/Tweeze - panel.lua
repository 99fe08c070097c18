-- @noindex

local scripts = select(2, reaper.get_action_context()):match('^(.*[/\\])')
package.path = scripts .. '?.lua;' .. package.path
require('tweeze.actions').panel(scripts)
