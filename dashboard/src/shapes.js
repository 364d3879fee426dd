// Small pictures. How well something works is a shape as well as a colour, its state is the sign in it.

import { attr, svg } from './dom.js';

const OUTLINES = {
  ok: 'M10 1.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 0 0 0-17z',
  degraded: 'M10 1.2L19.4 18H.6z',
  down: 'M6.3 1h7.4L19 6.3v7.4L13.7 19H6.3L1 13.7V6.3z',
  unknown: 'M1.5 1.5h17v17h-17z',
};

const TICK = 'M6 10.4l2.8 2.8l5.2-5.8';
const SIGNS = {
  open: 'M6.5 6.5l7 7M13.5 6.5l-7 7',
  half_open: 'M10 8v8M6.6 12.2h6.8',
  forced_open: 'M5.5 10h9M10 5.5v9M6.8 6.8l6.4 6.4M13.2 6.8l-6.4 6.4',
  forced_closed: 'M6 10.4l2.8 2.8l5.2-5.8M6 16h8',
  paused: 'M7.5 6.5v8M12.5 6.5v8',
  draining: 'M10 5.5v8M6.8 10.8l3.2 3.2l3.2-3.2',
};
const BY_LEVEL = { ok: TICK, degraded: 'M10 7v5M10 14.4v.4', down: 'M5.5 10h9', unknown: 'M7.5 7.8q0-2.3 2.5-2.3t2.5 2.2q0 1.6-2.5 2.8v1.2M10 14.4v.4' };
// Signs that fit into a triangle.
const IN_TRIANGLE = { paused: 'M8 9.5v5.5M12 9.5v5.5', open: 'M7.6 10l4.8 5M12.4 10l-4.8 5', half_open: 'M10 9v6.5M7.4 12.6h5.2' };

/** A shape of a level. */
export function shape(size = 20) {
  return svg(
    'svg',
    { class: 'shape', viewBox: '0 0 20 20', width: size, height: size, 'aria-hidden': 'true' },
    svg('path', { class: 'outline' }),
    svg('path', { class: 'sign' }),
  );
}

export function setShape(node, level, state) {
  const [outline, sign] = node.children;
  const inside = (level === 'degraded' && IN_TRIANGLE[state]) || SIGNS[state];
  attr(node, 'data-level', level);
  attr(outline, 'd', OUTLINES[level] ?? OUTLINES.unknown);
  attr(sign, 'd', (level === 'ok' && state !== 'forced_closed' ? null : inside) || BY_LEVEL[level] || BY_LEVEL.unknown);
}

/** A bar of 0 to 1, on which a threshold can be drawn. */
export function bar() {
  return svg(
    'svg',
    { class: 'bar', viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    svg('rect', { class: 'track', y: 1, width: 100, height: 6 }),
    svg('rect', { class: 'part', y: 1, height: 6 }),
    svg('rect', { class: 'threshold', width: 1.6, height: 8 }),
  );
}

export function setBar(node, share, threshold, level) {
  const [, part, line] = node.children;
  const bounded = (value) => Math.min(1, Math.max(0, value));
  attr(node, 'data-level', level ?? 'plain');
  attr(part, 'width', share === null || share === undefined ? 0 : (bounded(share) * 100).toFixed(1));
  const isDrawn = threshold !== null && threshold !== undefined && threshold <= 1;
  attr(line, 'visibility', isDrawn ? 'visible' : 'hidden');
  if (isDrawn) attr(line, 'x', (bounded(threshold) * 98.4).toFixed(1));
}

const WIDTH = 120;
const HEIGHT = 28;
const MINUTES = 120_000;

/** The last two minutes: calls as an area, the share of failed ones as a line. */
export function sparkline() {
  return svg(
    'svg',
    { class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' },
    svg('title'),
    svg('path', { class: 'base', d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }),
    svg('path', { class: 'calls' }),
    svg('path', { class: 'errors' }),
  );
}

export function setSparkline(node, points, now, words) {
  const [title, , calls, errors] = node.children;
  if (title.textContent !== words) title.textContent = words;
  const most = points.reduce((max, point) => Math.max(max, point.calls), 1e-9);
  let area = '';
  let line = '';
  let first = null;
  let last = 0;
  for (const point of points) {
    const x = Math.max(0, WIDTH - ((now - point.at) / MINUTES) * WIDTH).toFixed(1);
    first ??= x;
    last = x;
    area += `L${x} ${(HEIGHT - 1 - (point.calls / most) * (HEIGHT - 4)).toFixed(1)}`;
    if (point.errors > 0) {
      const y = (HEIGHT - 1.5 - point.errors * (HEIGHT - 4)).toFixed(1);
      line += `M${x} ${HEIGHT - 1}V${y}`;
    }
  }
  attr(calls, 'd', first === null ? 'M0 0' : `M${first} ${HEIGHT}${area}L${last} ${HEIGHT}Z`);
  attr(errors, 'd', line || 'M0 0');
}
