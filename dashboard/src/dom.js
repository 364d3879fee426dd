// Nodes. Texts and attributes are set, never parsed: names of services are data.

const SVG = 'http://www.w3.org/2000/svg';

/** Gives a node its attributes, if the first of `parts` are such, and its children; none is `null` or `false`. */
function fill(node, parts) {
  const attributes = parts[0]?.constructor === Object ? parts.shift() : {};
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else attr(node, name, value === true ? '' : value);
  }
  node.append(...parts.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An element, `tag` or `tag.class`; attributes that begin with `on` are listeners. */
export function el(tag, ...parts) {
  const [name, style] = tag.split('.');
  const node = fill(document.createElement(name), parts);
  if (style) node.className = style;
  return node;
}

/** The same of SVG, without a class in the tag. */
export const svg = (tag, ...parts) => fill(document.createElementNS(SVG, tag), parts);

export const byId = (id) => document.getElementById(id);

/** Sets the text of a node, unless it has it. */
export function text(node, value) {
  const words = String(value);
  if (node.textContent !== words) node.textContent = words;
}

/** Sets an attribute, unless it has that value; `null` removes it. */
export function attr(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/** Moves a node without losing the focus in it. */
function place(parent, node, before) {
  if (parent.moveBefore && node.parentNode === parent) {
    parent.moveBefore(node, before);
    return;
  }
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  parent.insertBefore(node, before);
  focused?.focus({ preventScroll: true });
}

const KEYED = Symbol('nodes by key');

/** Makes the children of a node those of the items, in their order; nodes of the same key stay and are updated. */
export function keyed(parent, items, key, create, update) {
  const old = parent[KEYED] ?? new Map();
  const now = new Map();
  let at = parent.firstElementChild;
  for (const item of items) {
    const id = key(item);
    if (now.has(id)) continue;
    const node = old.get(id) ?? create(item);
    old.delete(id);
    now.set(id, node);
    update?.(node, item);
    if (node === at) at = at.nextElementSibling;
    else place(parent, node, at);
  }
  for (const node of old.values()) node.remove();
  parent[KEYED] = now;
}
