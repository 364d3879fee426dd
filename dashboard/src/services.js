// The table of services: a row each, most trouble first, and what opens below it.

import { attr, byId, el, keyed, text } from './dom.js';
import { latency, left, number, percent, words } from './format.js';
import { bar, setBar, setShape, setSparkline, shape, sparkline } from './shapes.js';
import { Detail } from './detail.js';

const MINUTES = 120_000;
const RANK = { down: 0, degraded: 1, ok: 2 };

export const keyOf = (service) => `${service.registry}\n${service.name}`;

/** The limit of which most is used. */
export function scarcest(limits) {
  const used = limits.filter((limit) => limit.used_share !== null);
  return used.reduce((most, limit) => (most && most.used_share >= limit.used_share ? most : limit), null) ?? limits[0];
}

/** What is left of a limit, and of how much: the upstream's own figures where they are known. */
export function leftOf(limit) {
  const theirs = limit.provider;
  if (theirs && theirs.remaining !== null && theirs.limit !== null) return [theirs.remaining, theirs.limit];
  return [limit.available, limit.capacity];
}

/** How bad a share is beside its threshold. */
export const levelOf = (share, threshold) => {
  if (!share) return 'ok';
  if (threshold !== null && share >= threshold) return 'down';
  return share >= (threshold ?? 0.2) / 2 ? 'degraded' : 'ok';
};

class Row {
  #cells;
  #detail = null;

  constructor(service, context) {
    this.context = context;
    this.points = [];
    this.id = `service-${context.next++}`;
    this.#build(service);
  }

  #build(service) {
    const cell = (label, ...children) => el('span', { role: 'cell', 'data-label': label }, ...children);
    const figure = () => el('span.figure');
    const cells = {
      shape: shape(),
      name: el('span.name', service.name),
      registry: el('span.dim'),
      verdict: el('span.verdict'),
      calls: figure(),
      errors: figure(),
      errorBar: bar(),
      p99: figure(),
      flight: figure(),
      flightBar: bar(),
      limit: figure(),
      limitBar: bar(),
      spark: sparkline(),
    };
    cells.button = el(
      'button',
      { type: 'button', class: 'open', 'aria-expanded': 'false', 'aria-controls': this.id },
      el('span.first', cells.name, cells.registry),
      cells.verdict,
    );
    cells.row = el(
      'div',
      { class: 'row', role: 'row' },
      cell(null, cells.shape, (cells.level = el('span.hidden'))),
      cell(null, cells.button),
      cell('calls/s', cells.calls),
      cell('errors', cells.errors, cells.errorBar),
      cell('p99', cells.p99),
      cell('in flight', cells.flight, cells.flightBar),
      cell('limit left', cells.limit, cells.limitBar),
      cell(null, cells.spark),
    );
    cells.row.addEventListener('click', (event) => {
      // A click anywhere in the row, on the button as well; but not one that ends a selection of text.
      const selection = getSelection();
      const selects = event.detail > 0 && !selection.isCollapsed && cells.row.contains(selection.anchorNode);
      if (!selects) this.toggle();
    });
    cells.below = el('div', { id: this.id, class: 'below', role: 'row', hidden: true });
    this.node = el('div.service', cells.row, cells.below);
    this.#cells = cells;
  }

  get button() {
    return this.#cells.button;
  }

  get isOpen() {
    return this.#detail !== null;
  }

  toggle(open = !this.isOpen) {
    const { below, button } = this.#cells;
    if (open === this.isOpen) return;
    button.setAttribute('aria-expanded', String(open));
    below.hidden = !open;
    if (open) {
      this.#detail = new Detail(this.service, this.context);
      below.replaceChildren(this.#detail.node);
      this.#detail.show(this.service, this.context.now);
    } else {
      this.#detail.end();
      this.#detail = null;
      below.replaceChildren();
    }
  }

  /** Takes new figures; the sparkline is whole, or has what is new, if that is a sample. */
  take(service, now, isWhole, isSample) {
    this.service = service;
    if (!isSample) return;
    const points = service.sparkline.map((spark) => ({
      at: now - spark.ago_seconds * 1000,
      calls: spark.calls_per_second,
      errors: spark.error_ratio ?? 0,
    }));
    if (isWhole) {
      this.points = points;
      return;
    }
    this.points.push(...points);
    while (this.points.length && this.points[0].at < now - MINUTES) this.points.shift();
  }

  show(now) {
    const { service } = this;
    const cells = this.#cells;
    attr(this.node, 'data-level', service.level);
    setShape(cells.shape, service.level, service.state);
    text(cells.level, `${service.level}, ${words(service.state)}`);
    text(cells.registry, this.context.hasSeveralRegistries ? service.registry : '');
    text(cells.verdict, service.verdict);
    text(cells.calls, number(service.calls_per_second));
    text(cells.errors, percent(service.error_ratio));
    const errors = levelOf(service.error_ratio, service.error_threshold);
    setBar(cells.errorBar, service.error_ratio, service.error_threshold, errors);
    text(cells.p99, latency(service.p99_seconds));
    const { in_flight: flight, max_concurrent: most } = service;
    const waits = service.queue_depth > 0 ? ` +${number(service.queue_depth)}` : '';
    text(cells.flight, flight === null ? '–' : `${number(flight)}${waits} / ${number(most)}`);
    const used = flight === null || !most ? null : flight / most;
    setBar(cells.flightBar, used, null, used >= 0.9 ? 'degraded' : 'plain');
    const limit = scarcest(service.limits);
    const [remaining, all] = limit ? leftOf(limit) : [null, null];
    text(cells.limit, limit ? `${left(remaining)} / ${number(all)}` : '–');
    const share = limit && all ? remaining / all : null;
    setBar(cells.limitBar, share, null, share !== null && share <= 0.1 ? 'degraded' : 'plain');
    const sparkWords = `${service.name}: ${number(service.calls_per_second)} calls per second, ${percent(service.error_ratio)} errors`;
    setSparkline(cells.spark, this.points, now, sparkWords);
    this.#detail?.show(service, now);
  }

  command() {
    this.#detail?.readComponents();
  }

  end() {
    this.#detail?.end();
  }
}

/** The table. */
export class Services {
  #rows = new Map();
  #order = [];
  #filter = '';
  #overview = null;

  constructor(context) {
    this.context = Object.assign(context, { next: 1, now: 0, hasSeveralRegistries: false });
    byId('filter').addEventListener('input', (event) => {
      this.#filter = event.target.value.trim().toLowerCase();
      if (this.#overview) this.#place();
    });
    byId('rows').addEventListener('keydown', (event) => this.#key(event));
  }

  take(overview, isWhole, isSample) {
    this.#overview = overview;
    const now = overview.at_unix_ms;
    this.context.now = now;
    const registries = new Set(overview.services.map((service) => service.registry));
    this.context.hasSeveralRegistries = registries.size > 1;
    const gone = new Set(this.#rows.keys());
    for (const service of overview.services) {
      const key = keyOf(service);
      gone.delete(key);
      let row = this.#rows.get(key);
      if (row) {
        row.take(service, now, isWhole, isSample);
      } else {
        row = new Row(service, this.context);
        row.take(service, now, true, true);
        this.#rows.set(key, row);
      }
    }
    for (const key of gone) {
      this.#rows.get(key).end();
      this.#rows.delete(key);
    }
  }

  show() {
    if (!this.#overview) return;
    this.#place();
    for (const row of this.#rows.values()) if (row.isShown) row.show(this.context.now);
  }

  /** The order: by level and trouble. Of alike ones each stays where it is, so that rows do not jump. */
  #place() {
    const before = new Map(this.#order.map((key, index) => [key, index]));
    const rank = (key) => {
      const { level, trouble } = this.#rows.get(key).service;
      return (RANK[level] ?? 3) * 1000 - Math.floor(trouble);
    };
    const keys = this.#overview.services.map(keyOf);
    const served = new Map(keys.map((key, index) => [key, index]));
    const place = (key) => before.get(key) ?? served.get(key) + keys.length;
    this.#order = [...served.keys()].sort((a, b) => rank(a) - rank(b) || place(a) - place(b));
    const shown = this.#order.map((key) => this.#rows.get(key));
    for (const row of shown) row.isShown = row.service.name.toLowerCase().includes(this.#filter);
    const visible = shown.filter((row) => row.isShown);
    keyed(byId('rows'), visible, (row) => row.id, (row) => row.node);
    const out = this.#overview.services_left_out;
    let none = '';
    if (!keys.length) none = 'No service is registered.';
    else if (!visible.length) none = `No service has “${this.#filter}” in its name.`;
    else if (out > 0) none = `${out} more services are left out.`;
    text(byId('no-rows'), none);
    byId('no-rows').hidden = none === '';
  }

  /** Reads the components of a service again, of which something has changed. */
  changed(registry, name) {
    for (const row of this.#rows.values()) {
      const { service } = row;
      if (service.registry === registry && belongs(name, service.name)) row.command();
    }
  }

  openFirst() {
    for (const key of this.#order.slice(0, 1)) this.#rows.get(key).toggle(true);
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const buttons = [...byId('rows').querySelectorAll('button.open')];
    const at = buttons.indexOf(document.activeElement);
    if (step && at >= 0) {
      buttons[Math.min(buttons.length - 1, Math.max(0, at + step))].focus();
      event.preventDefault();
    } else if (event.key === 'Escape') {
      const inside = document.activeElement?.closest('.service');
      for (const row of this.#rows.values()) {
        if (row.node === inside && row.isOpen) {
          row.toggle(false);
          row.button.focus();
        }
      }
    }
  }
}

/** Whether an instance belongs to a service: `alpaca`, `alpaca.reserved` and `alpaca/orders` to `alpaca`. */
export function belongs(instance, service) {
  const base = String(instance).split('/', 1)[0].replace(/\.reserved$/, '');
  return (base || instance) === service;
}
