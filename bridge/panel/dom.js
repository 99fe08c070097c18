/** Building elements and keeping lists of them: what the views share. */

/**
 * Make an element. Names that begin with "on" are listeners, `class` and `aria-…` are attributes,
 * and whatever the element has as a property is set as one. Text is never read as markup.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (name in element && !name.includes("-") && name !== "list") {
      Reflect.set(element, name, value);
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name === "className" ? "class" : name, String(value));
    }
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * A drawing of 16 by 16 units, for buttons; screen readers pass over it.
 *
 * @param {string} path
 */
export function icon(path) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 16 16");
  drawing.setAttribute("aria-hidden", "true");
  drawing.setAttribute("class", "icon");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  drawing.append(line);
  return drawing;
}

/**
 * Have `parent` hold one element for each item, in their order, and keep those that are there: so
 * focus and scrolling stay where they are.
 *
 * @template T
 * @param {HTMLElement} parent
 * @param {readonly T[]} items
 * @param {(item: T) => string} key
 * @param {(item: T) => HTMLElement} build
 * @param {(element: HTMLElement, item: T) => void} [update]
 */
export function keep(parent, items, key, build, update) {
  /** @type {Map<string, HTMLElement>} */
  const old = new Map();
  for (const child of [...parent.children]) {
    if (child instanceof HTMLElement) old.set(child.dataset.key ?? "", child);
  }
  /** @type {Element | null} */
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let element = old.get(name);
    if (!element) {
      element = build(item);
      element.dataset.key = name;
    }
    old.delete(name);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
    update?.(element, item);
  }
  for (const element of old.values()) element.remove();
}

/**
 * @param {Element | null} element
 * @param {string} text
 */
export function say(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {string | number | boolean | null} value  null takes the attribute away
 */
export function mark(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/**
 * The element with that id; the page has it.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page has no #${id}.`);
  return element;
}

/**
 * @template {HTMLElement} T
 * @param {Element} root
 * @param {string} selector
 * @param {new () => T} kind
 * @returns {T}
 */
export function find(root, selector, kind) {
  const element = root.querySelector(selector);
  if (!(element instanceof kind)) throw new Error(`There is no ${selector}.`);
  return element;
}

/**
 * Have a screen reader say something that is seen as well.
 *
 * @param {string} text
 */
export function announce(text) {
  const place = byId("announcer");
  place.textContent = "";
  requestAnimationFrame(() => {
    place.textContent = text;
  });
}
