// Tweeze: remove. A new track with everything but the sounds that are named.

var effect = require("effect")

function createEffect() {
    return effect.separator([
        effect.QUERY, effect.UNWANTED, effect.MODEL, effect.SHARP
    ], "residual")
}

module.exports = { createEffect: createEffect }
