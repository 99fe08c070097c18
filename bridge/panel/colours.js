/**
 * Colour maps of spectrograms. Lightness rises evenly from black to white in each (OKLab), so that
 * levels can be told apart without telling hues apart; hue and chroma only follow.
 */

/**
 * @typedef {{title: string, colour: (share: number) => [number, number, number]}} ColourMap
 *   `colour` gives lightness, chroma and hue (degrees) in OKLCH
 */

/** @param {number} share */
const bell = (share) => Math.sin(Math.PI * Math.min(1, share)) ** 0.8;

/** @type {Record<string, ColourMap>} */
export const MAPS = {
  ember: {
    title: "Ember",
    colour: (share) => [0.1 + 0.87 * share, 0.17 * bell(share), 285 + 170 * share],
  },
  lagoon: {
    title: "Lagoon",
    colour: (share) => [0.13 + 0.82 * share, 0.13 * bell(share * 0.86 + 0.1), 285 - 180 * share],
  },
  grey: { title: "Grey", colour: (share) => [0.1 + 0.9 * share, 0, 0] },
  paper: { title: "Paper", colour: (share) => [1 - 0.9 * share, 0.05 * bell(share), 260] },
};

/**
 * The 256 colours of a map as bytes: red, green, blue, 255.
 *
 * @param {string} name
 * @returns {Uint8ClampedArray}
 */
export function table(name) {
  const map = MAPS[name] ?? MAPS.grey;
  const bytes = new Uint8ClampedArray(1024);
  for (let level = 0; level < 256; level += 1) {
    const [lightness, chroma, hue] = /** @type {ColourMap} */ (map).colour(level / 255);
    bytes.set([...inGamut(lightness, chroma, hue), 255], 4 * level);
  }
  return bytes;
}

/**
 * The nearest colour of that lightness and hue that a screen can show.
 *
 * @param {number} lightness
 * @param {number} chroma
 * @param {number} hue
 */
function inGamut(lightness, chroma, hue) {
  for (let part = chroma; part > 0.001; part *= 0.94) {
    const light = linear(lightness, part, hue);
    if (light.every((each) => each >= -0.0005 && each <= 1.0005)) return light.map(byte);
  }
  return linear(lightness, 0, 0).map(byte);
}

/**
 * OKLCH to linear sRGB, by the matrices of Björn Ottosson's definition of OKLab.
 *
 * @param {number} lightness
 * @param {number} chroma
 * @param {number} hue
 */
function linear(lightness, chroma, hue) {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
    -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
    -0.0041960863 * long - 0.7034186147 * middle + 1.707614701 * short,
  ];
}

/** @param {number} light */
function byte(light) {
  const value = Math.max(0, Math.min(1, light));
  return Math.round(255 * (value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055));
}

/**
 * For each byte of a tile (0 is -100 dBFS, 255 is 0 dBFS) its colour, as one 32-bit number.
 *
 * @param {string} name
 * @param {number} floor  in dBFS, shown as the map's first colour
 * @param {number} ceiling  in dBFS, shown as its last
 * @returns {Uint32Array}
 */
export function lookup(name, floor, ceiling) {
  const colours = new Uint32Array(table(name).buffer);
  const result = new Uint32Array(256);
  for (let value = 0; value < 256; value += 1) {
    const level = value / 2.55 - 100;
    const share = Math.max(0, Math.min(1, (level - floor) / Math.max(1, ceiling - floor)));
    result[value] = colours[Math.round(255 * share)] ?? 0;
  }
  return result;
}
