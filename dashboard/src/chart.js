// The past of a service, drawn by uPlot, which is read when the first chart opens.

import { el } from './dom.js';
import { clock, latency, number, percent, time } from './format.js';
import { get } from './api.js';

let library = null;

function uPlot() {
  library ??= import('./uplot.js').catch((error) => {
    library = null;
    throw error;
  });
  return library;
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** An axis of a scale, with its figures in words. */
const axis = (scale, side, write, grid) => ({
  scale,
  side,
  size: 52,
  stroke: color('--dim'),
  font: '11px system-ui, sans-serif',
  grid: { show: grid, stroke: color('--line'), width: 1 },
  ticks: { show: false },
  values: (_, all) => all.map(write),
});

const series = (label, scale, stroke, write, extra) => ({
  label,
  scale,
  stroke: color(stroke),
  width: 1.5,
  points: { show: false },
  value: (_, value) => write(value),
  ...extra,
});

/** Draws the threshold of the share of errors. */
function threshold(share) {
  return (plot) => {
    const at = share();
    if (at === null || at === undefined) return;
    const y = Math.round(plot.valToPos(at, '%', true));
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = color('--down');
    ctx.setLineDash([6, 4]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  };
}

export class Chart {
  #plots = [];
  #span = '10s';
  #service;
  #timer;
  #watch;
  #holder = el('div.plots');
  #note = el('p.dim');

  constructor(service) {
    this.#service = service;
    const choice = (value, label) =>
      el('button', { type: 'button', 'aria-pressed': String(value === this.#span), onclick: (event) => this.#choose(value, event.target) }, label);
    this.node = el(
      'section',
      { class: 'history', 'aria-label': `The past of ${service.name}` },
      el('div.title', el('h3', 'History'), el('span.choices', { role: 'group', 'aria-label': 'How far back' }, choice('10s', '1 hour'), choice('1m', '24 hours'))),
      this.#holder,
      this.#note,
    );
    this.#watch = new ResizeObserver(() => {
      for (const plot of this.#plots) plot.setSize({ width: this.#width(), height: plot.height });
    });
    this.#watch.observe(this.#holder);
    this.#timer = setInterval(() => document.hidden || this.read(), 10_000);
    this.scheme = matchMedia('(prefers-color-scheme: dark)');
    this.recolor = () => this.#redraw();
    this.scheme.addEventListener('change', this.recolor);
    void this.read();
  }

  update(service) {
    this.#service = service;
  }

  end() {
    clearInterval(this.#timer);
    this.#watch.disconnect();
    this.scheme.removeEventListener('change', this.recolor);
    this.#clear();
  }

  #clear() {
    for (const plot of this.#plots) plot.destroy();
    this.#plots = [];
  }

  #width() {
    return Math.max(160, this.#holder.clientWidth);
  }

  #choose(value, button) {
    this.#span = value;
    for (const other of button.parentNode.children) other.setAttribute('aria-pressed', String(other === button));
    this.#clear();
    void this.read();
  }

  #redraw() {
    this.#clear();
    void this.read();
  }

  async read() {
    const { name, registry } = this.#service;
    try {
      const query = `resolution=${this.#span}&registry=${encodeURIComponent(registry)}`;
      const [history] = await get(`api/v1/resilience/history/${encodeURIComponent(name)}?${query}`);
      const { points } = history;
      this.#note.textContent = points.length < 2 ? this.#span === '10s' ? 'The first points come after 20 s.' : 'The first points come after two minutes.' : '';
      if (points.length >= 2) this.#draw((await uPlot()).default, points);
    } catch (error) {
      this.#note.textContent = `No history: ${error.message}`;
    }
  }

  #draw(UPlot, points) {
    const times = points.map((point) => point.at_unix_ms / 1000);
    const column = (name) => points.map((point) => point[name]);
    const data = [
      [times, column('calls_per_second'), column('error_ratio')],
      [times, column('p99_seconds')],
    ];
    if (this.#plots.length) {
      this.#plots.forEach((plot, index) => plot.setData(data[index]));
      return;
    }
    const options = (height, hasTimes, axes, all, draw) => ({
      width: this.#width(),
      height,
      cursor: { sync: { key: this.#service.name }, drag: { x: false, y: false } },
      scales: { '%': { range: [0, 1] }, calls: { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] }, s: { range: (_, low, high) => [0, Math.max(high * 1.1, 0.001)] } },
      axes: [{ show: hasTimes, size: 26, values: (_, all) => all.map((at) => time(at * 1000, all.at(-1) - all[0] < 600)), stroke: color('--dim'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' }, ...axes],
      series: [{ label: 'at', value: (_, value) => (value ? clock(value * 1000) : '–') }, ...all],
      hooks: { draw },
    });
    const calls = options(
      170,
      true,
      [axis('calls', 3, number, true), axis('%', 1, percent, false)],
      [
        series('calls/s', 'calls', '--info', number, { fill: color('--info-soft') }),
        series('errors', '%', '--down', percent),
      ],
      [threshold(() => this.#service.error_threshold)],
    );
    const p99 = options(110, true, [axis('s', 3, latency, true), { show: true, side: 1, size: 52, scale: 's', values: (_, all) => all.map(() => ''), grid: { show: false }, ticks: { show: false } }], [series('p99', 's', '--warn', latency)], []);
    this.#plots = [new UPlot(calls, data[0], this.#holder), new UPlot(p99, data[1], this.#holder)];
  }
}
