// Tweeze: a new track for each sound that is asked for, for the rest, or for both.

var effect = require("effect")

function createEffect() {
    return effect.separator([
        effect.QUERY, effect.UNWANTED, effect.RESULT, effect.MODEL, effect.SHARP
    ], "")
}

module.exports = { createEffect: createEffect }
