-- @description Tweeze: pull the sound you describe out of your timeline
-- @author Tweeze
-- @version 0.2.0
-- @provides
--   [main] .
--   [main] Tweeze - again.lua
--   [main] Tweeze - cancel.lua
--   [main] Tweeze - collect.lua
--   [main] Tweeze - listen.lua
--   [main] Tweeze - panel.lua
--   [main] Tweeze - selftest.lua
--   [nomain] tweeze/*.lua
-- @about
--   # Tweeze
--   Select audio, run "Tweeze - separate selection", type "dog barking": a new track holds only the
--   dog, sample-aligned. Needs the Tweeze engine on the same computer (`tweeze start`).

local scripts = select(2, reaper.get_action_context()):match('^(.*[/\\])')
package.path = scripts .. '?.lua;' .. package.path
require('tweeze.actions').separate(scripts)
