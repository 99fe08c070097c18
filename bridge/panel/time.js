/** Times as people read them, and the marks of a ruler. */

/**
 * Seconds as `m:ss.mmm`, or `h:mm:ss.mmm` from an hour on.
 *
 * @param {number} seconds
 * @param {number} [digits] behind the point
 */
export function clock(seconds, digits = 3) {
  const unit = 10 ** digits;
  const whole = Math.floor(Math.max(0, seconds) * unit + 1e-6);
  const part = whole % unit;
  const total = (whole - part) / unit;
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor(total / 60) % 60;
  const lead = hours ? `${hours}:${two(minutes)}` : String(minutes);
  const tail = digits ? `.${String(part).padStart(digits, "0")}` : "";
  return `${lead}:${two(total % 60)}${tail}`;
}

/**
 * Seconds in words, for screen readers: "1 minute 3.20 seconds".
 *
 * @param {number} seconds
 */
export function spoken(seconds) {
  const minutes = Math.floor(seconds / 60);
  const rest = `${(seconds - 60 * minutes).toFixed(2)} seconds`;
  if (!minutes) return rest;
  return `${minutes} ${minutes === 1 ? "minute" : "minutes"} ${rest}`;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

/**
 * The distance of a ruler's marks in seconds, so that they are at least `apart` seconds apart.
 *
 * @param {number} apart
 */
export function rulerStep(apart) {
  if (apart > 1) return STEPS.find((step) => step >= apart) ?? 14400;
  const power = 10 ** Math.floor(Math.log10(apart));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= apart * 0.999) ?? 1;
}

/**
 * How many digits tell marks `step` seconds apart.
 *
 * @param {number} step
 */
export function digitsFor(step) {
  return Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
}
