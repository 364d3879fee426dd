// What opens below a service: every figure, why its last call was rejected, its past, its components.

import { attr, el, keyed, text } from './dom.js';
import { clock, latency, left, number, pattern, percent, plural, span, words } from './format.js';
import { bar, setBar, setShape, shape } from './shapes.js';
import { Chart } from './chart.js';
import { get, may, post } from './api.js';
import { EFFECTS, HOLDS, confirm, label } from './control.js';
import { belongs, levelOf } from './services.js';
import { Timeline } from './timeline.js';

/** The figures: a name, what is shown, and a bar with its threshold where there is one. */
const FIGURES = [
  ['Calls/s', (it) => [number(it.calls_per_second)]],
  ['Errors', (it) => [percent(it.error_ratio), it.error_threshold === null ? '' : `opens at ${percent(it.error_threshold)}`, it.error_ratio, it.error_threshold, levelOf(it.error_ratio, it.error_threshold)]],
  ['Slow', (it) => [percent(it.slow_ratio), it.slow_threshold === null ? '' : `opens at ${percent(it.slow_threshold)}`, it.slow_ratio, it.slow_threshold, levelOf(it.slow_ratio, it.slow_threshold)]],
  ['Rejected', (it) => [percent(it.rejected_ratio), 'by our layers', it.rejected_ratio, null, it.rejected_ratio >= 0.1 ? 'degraded' : 'ok']],
  ['Throttled/s', (it) => [number(it.throttled_per_second), 'by the upstream']],
  ['p50', (it) => [latency(it.p50_seconds), `average ${latency(it.average_seconds)}`]],
  ['p95', (it) => [latency(it.p95_seconds)]],
  ['p99', (it) => [latency(it.p99_seconds)]],
  ['In flight', (it) => [number(it.in_flight), `of ${number(it.max_concurrent)}`, it.max_concurrent ? it.in_flight / it.max_concurrent : null]],
  ['Queue', (it) => [number(it.queue_depth), it.max_waiting === null ? '' : `of ${number(it.max_waiting)}`, it.max_waiting ? it.queue_depth / it.max_waiting : null]],
  ['Retry budget', (it) => (it.retry_budget ? [left(it.retry_budget.balance), `of ${number(it.retry_budget.capacity)}`, it.retry_budget.capacity ? it.retry_budget.balance / it.retry_budget.capacity : null] : ['–'])],
  ['Hedged', (it) => [percent(it.hedge_share), 'of the calls']],
  ['Fallback', (it) => [percent(it.fallback_share), 'of the calls']],
  ['Degraded', (it) => [percent(it.degraded_share), 'of the answers']],
  ['Health', (it) => [it.health ?? '–', it.score === null ? '' : `score ${number(it.score)}`]],
];

function figure([name]) {
  const node = el('div', el('dt', name), el('dd', el('span.big'), bar(), el('span.dim')));
  node.line = node.lastChild.children;
  return node;
}

function setFigure(node, service, show) {
  const [value, note = '', share = null, threshold = null, level] = show(service);
  const [big, line, small] = node.line;
  text(big, value);
  text(small, value === '–' ? '' : note);
  const hasBar = share !== null && share !== undefined;
  attr(line, 'visibility', hasBar ? 'visible' : 'hidden');
  if (hasBar) setBar(line, share, threshold, level);
}

const GRAVE = new Set(['block', 'bypass', 'reset']);
/** Layers with what one looks for first; the others follow. */
const FIRST = ['breaker', 'ratelimit', 'ratelimit_per_key', 'throttle', 'bulkhead', 'retry', 'orders'];
const rankOf = (component) => (FIRST.indexOf(component.pattern) + 1 || 99) + component.name.length / 1000;

const COLUMNS = ['Limit', 'Left', 'Full again in', 'Upstream says', 'Renewed in', 'Used'];

export class Detail {
  #parts;
  #chart;
  #timeline;
  #components = null;
  #rejection = null;
  #ended = false;

  constructor(service, context) {
    this.service = service;
    this.context = context;
    const parts = {
      shape: shape(28),
      state: el('p.state'),
      times: el('p.dim'),
      figures: el('dl.figures'),
      limits: el('tbody'),
      limitsBox: el('section', el('h3', 'Limits')),
      explain: el('section.explain'),
      components: el('section.components', el('h3', 'Layers')),
      list: el('ul.layers'),
    };
    parts.components.append(parts.list);
    parts.limitsBox.append(
      el('div.scroll', { tabindex: 0, role: 'region', 'aria-label': 'Limits' }, el('table', el('thead', el('tr', COLUMNS.map((name) => el('th', { scope: 'col' }, name)))), parts.limits)),
    );
    keyed(parts.figures, FIGURES, ([name]) => name, figure);
    this.#parts = parts;
    this.#chart = new Chart(service);
    this.#timeline = new Timeline({ title: 'Timeline', level: 'h3', of: service, feed: context.feed });
    this.node = el(
      'div',
      { class: 'detail', role: 'cell' },
      el('div.head', parts.shape, el('div', parts.state, parts.times)),
      parts.figures,
      parts.limitsBox,
      el('div', parts.explain, this.#timeline.node),
      this.#chart.node,
      parts.components,
    );
    void this.readComponents();
  }

  end() {
    this.#ended = true;
    this.#chart.end();
    this.#timeline.end();
  }

  show(service, now) {
    this.service = service;
    this.#chart.update(service);
    const { shape: sign, state, times, figures, limitsBox } = this.#parts;
    setShape(sign, service.level, service.state);
    text(state, `${words(service.state)}: ${service.verdict}`);
    const since = [];
    if (service.state_seconds !== null) since.push(`in this state for ${span(service.state_seconds)}`);
    if (service.next_probe_seconds !== null) since.push(`next probe in ${span(service.next_probe_seconds)}`);
    if (service.pause_seconds !== null) since.push(`paused for ${span(service.pause_seconds)} more`);
    text(times, since.join(' · '));
    FIGURES.forEach(([, show], index) => setFigure(figures.children[index], service, show));
    limitsBox.hidden = service.limits.length === 0;
    this.#showLimits(service.limits);
    this.#explain(service.last_rejection, now);
  }

  #showLimits(limits) {
    const create = () => {
      const cells = COLUMNS.map((name, index) => el(index ? 'td' : 'th', index ? { 'data-label': name } : { scope: 'row' }));
      const line = bar();
      const share = el('span');
      cells[5].append(share, line);
      const row = el('tr', cells);
      row.show = (limit) => {
        const theirs = limit.provider;
        const per = limit.window_seconds === null ? '' : ` in ${span(limit.window_seconds)}`;
        text(cells[0], `${limit.name} (${limit.unit})`);
        text(cells[1], `${left(limit.available)} of ${number(limit.capacity)}${per}`);
        text(cells[2], span(limit.resets_in_seconds));
        text(cells[3], theirs ? `${left(theirs.remaining)} of ${number(theirs.limit)}, ${span(theirs.age_seconds)} ago` : 'nothing yet');
        text(cells[4], theirs ? span(theirs.resets_in_seconds) : '–');
        text(share, percent(limit.used_share));
        setBar(line, limit.used_share, null, limit.used_share >= 0.9 ? 'degraded' : 'plain');
      };
      return row;
    };
    keyed(this.#parts.limits, limits, (limit) => limit.name + limit.unit, create, (row, limit) => row.show(limit));
  }

  /** The last rejection as the chain of layers that the call passed, and the one that rejected it. */
  #explain(last, now) {
    const { explain } = this.#parts;
    const key = last ? `${last.at_unix_ms} ${last.words}` : 'none';
    if (key !== this.#rejection) {
      this.#rejection = key;
      const title = el('h3', 'Why the last call was rejected');
      if (!last) {
        explain.replaceChildren(title, el('p.dim', 'No call was rejected since the start.'));
        return;
      }
      const step = (name, isLast) =>
        el('li', { class: isLast ? 'rejects' : 'passed' }, el('span', { 'aria-hidden': 'true' }, isLast ? '✕ ' : '✓ '), el('span.hidden', isLast ? 'rejected by ' : 'passed '), pattern(name));
      explain.replaceChildren(
        title,
        el('ol.chain', last.passed.map((name) => step(name, false)), step(last.pattern ?? last.name, true)),
        el('p', last.words),
        el('p.dim', el('span'), ` · ${words(last.reason)} · what to do: ${last.advice}`),
      );
      this.when = explain.lastChild.firstChild;
    }
    if (last) text(this.when, `${span((now - last.at_unix_ms) / 1000)} ago, at ${clock(last.at_unix_ms)}`);
  }

  /** The layers with their settings and what may be commanded. */
  async readComponents() {
    const { name, registry } = this.service;
    try {
      const all = await get(`api/v1/components?service=${encodeURIComponent(registry)}`);
      this.#components = all.filter((component) => belongs(component.name, name)).sort((a, b) => rankOf(a) - rankOf(b));
    } catch (error) {
      this.#parts.list.replaceChildren(el('li.failed', error.message));
      return;
    }
    if (this.#ended) return;
    const { list } = this.#parts;
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const at = [...list.children].findIndex((layer) => layer.contains(focused));
    list.replaceChildren(...this.#components.map((component) => this.#layer(component)));
    // The button that was used may be gone: another one of the same layer has the focus then.
    if (focused) (list.children[at]?.querySelector(`[data-command="${focused.dataset.command}"]`) ?? list.children[at]?.querySelector('button, select, summary'))?.focus();
  }

  #layer(component) {
    const holds = (component.active ?? []).map((active) =>
      el('p.holds', `${label(component.pattern, active.command)} by ${active.who} since ${clock(active.since_unix_ms)}${active.until_unix_ms ? ` until ${clock(active.until_unix_ms)}` : ''}: ${active.reason}`),
    );
    const settings = Object.entries(component.settings);
    return el(
      'li',
      {},
      el('div.layer', el('strong', pattern(component.pattern)), el('span.dim', component.name === this.service.name ? '' : component.name), el('span.tag', words(component.state)), ...this.#buttons(component)),
      holds,
      (component.misconfigured ?? []).map((what) => el('p.holds', `Probably not wanted: ${words(what)}`)),
      settings.length ? el('details', el('summary', plural(settings.length, 'setting')), el('dl.settings', settings.flatMap(([name, value]) => [el('dt', name), el('dd', value)]))) : null,
    );
  }

  /** The circuit has buttons, since it is what one comes for; the other layers have a list. */
  #buttons(component) {
    const isIdle = { resume: !component.active?.length, shadow_on: component.settings.shadow === 'true', shadow_off: component.settings.shadow === 'false' };
    const allowed = component.commands.filter((command) => may(command === 'reset' ? 'admin' : 'operator') && !isIdle[command]);
    const isFirst = (command) => component.pattern === 'breaker' && !command.startsWith('shadow');
    const rest = allowed.filter((command) => !isFirst(command));
    const choose = (event) => {
      const { value } = event.target;
      event.target.value = '';
      if (value) this.#ask(component, value);
    };
    return [
      ...allowed.filter(isFirst).map((command) => el('button', { type: 'button', class: GRAVE.has(command) ? 'small grave' : 'small', 'data-command': command, onclick: () => this.#ask(component, command) }, label(component.pattern, command))),
      rest.length ? el('select.small', { 'aria-label': `Command to the ${pattern(component.pattern)} of ${component.name}`, onchange: choose }, el('option', { value: '' }, 'Command…'), rest.map((command) => el('option', { value: command }, label(component.pattern, command)))) : null,
    ];
  }

  #ask(component, command) {
    const name = label(component.pattern, command);
    confirm({
      title: `${name}: ${component.name}`,
      effect: `${EFFECTS[command] ?? ''} This is the ${pattern(component.pattern)} of ${component.name}.`,
      action: `${name} ${component.name}`,
      expires: HOLDS.has(command),
      isGrave: GRAVE.has(command),
      act: async (reason, seconds) => {
        const of = [component.pattern, component.name].map(encodeURIComponent).join('/');
        const body = { command, reason };
        if (seconds !== null) body.expires_in_seconds = seconds;
        await post(`api/v1/components/${of}/commands?service=${encodeURIComponent(component.service)}`, body);
        void this.readComponents();
      },
    });
  }
}
