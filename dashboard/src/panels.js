// What is beside the services: the verdict, totals, alerts, the score, orders, the trading mode.

import { byId, attr, el, keyed, text } from './dom.js';
import { clock, number, percent, span, words } from './format.js';
import { bar, setBar, setShape, shape } from './shapes.js';
import { get, may, post } from './api.js';
import { confirm } from './control.js';

let verdictShape = null;

/** The answer to the question: in one word, then why. */
export function showVerdict(verdict, isLive, age) {
  if (!verdictShape) {
    verdictShape = shape(56);
    byId('verdict-shape').append(verdictShape);
  }
  const [, short, rest] = /^(yes|no|with care)(?:: (.*))?$/s.exec(verdict.words) ?? [null, verdict.level === 'ok' ? 'Yes' : words(verdict.level), verdict.words];
  const answer = short.charAt(0).toUpperCase() + short.slice(1);
  const level = isLive ? verdict.level : 'unknown';
  attr(byId('verdict'), 'data-level', level);
  setShape(verdictShape, level, '');
  text(byId('answer'), isLive ? answer : 'Not known');
  text(byId('why'), isLive ? (rest ?? 'Everything works as it should.') : `It was “${verdict.words}” ${span(age)} ago.`);
  document.title = `${isLive ? answer : '?'} · ${byId('program').textContent}`;
}

const TOTALS = [
  ['Calls/s', (it) => [number(it.totals.calls_per_second)]],
  ['Errors', (it) => [percent(it.totals.error_ratio), it.totals.error_ratio >= 0.1 ? 'degraded' : null]],
  ['Circuits open', (it) => [`${number(it.totals.open_circuits)} of ${number(it.totals.circuits)}`, it.totals.open_circuits ? 'down' : null]],
  ['Half-open', (it) => [number(it.totals.half_open_circuits), it.totals.half_open_circuits ? 'degraded' : null]],
  ['Rejected/s', (it) => [number(it.totals.rejections_per_second), it.totals.rejections_per_second > 0 ? 'degraded' : null]],
  ['Orders in doubt', (it) => [it.orders ? number(it.orders.in_doubt) : '–', it.orders?.in_doubt ? 'degraded' : null]],
  ['Alerts', (it) => [number(it.totals.active_alerts), it.totals.active_alerts ? 'degraded' : null]],
  ['Score', (it) => [it.score ? `${Math.round(it.score.score)} of 100` : '–', it.score && it.score.score < it.score.threshold ? 'degraded' : null]],
];

export function showTotals(overview) {
  keyed(
    byId('totals'),
    TOTALS,
    ([name]) => name,
    ([name]) => el('div', el('dt', name), el('dd')),
    (node, [, show]) => {
      const [value, level] = show(overview);
      text(node.lastChild, value);
      attr(node, 'data-level', level ?? 'plain');
    },
  );
}

const SEVERITIES = { critical: 'down', warning: 'degraded', info: 'unknown' };

function alert() {
  const parts = { shape: shape(16), name: el('strong'), severity: el('span.dim'), words: el('p'), when: el('p.dim'), note: el('p.holds'), buttons: el('span.buttons') };
  const node = el('li', parts.shape, el('div', parts.name, ' ', parts.severity, parts.words, parts.note, el('div.layer', parts.when, parts.buttons)));
  node.parts = parts;
  return node;
}

/** A button that asks why something is done about alerts, and for how long where `body` is given. */
function button(of, name, effect, path, body) {
  const act = (reason, seconds) => post(`api/v1/resilience/${path}`, body ? { ...body, reason, expires_in_seconds: seconds } : { reason });
  const ask = () => confirm({ title: `${name}: ${of}`, effect, action: name, expires: Boolean(body), isTimed: true, act });
  return el('button.small', { type: 'button', onclick: ask }, name);
}

const endSilence = (of, id) => button(of, 'End silence', 'Alerts that it has held back are sent.', `silences/${id}/end`);

/** Buttons of an alert: what is done about it. */
function alertButtons(view) {
  const of = `alerts/${view.id}`;
  const matcher = { rule: view.name };
  if (view.service) matcher.service = view.service;
  return [
    view.acknowledged
      ? button(view.name, 'Unacknowledge', 'Nobody takes care of it any more.', `${of}/unacknowledge`)
      : button(view.name, 'Acknowledge', 'Others see that you know of it. If it still fires after that time, it is sent again.', `${of}/acknowledge`, {}),
    view.silenced
      ? endSilence(view.name, view.silence)
      : button(view.name, 'Silence', `Alerts of this rule${view.service ? ` and of ${view.service}` : ''} are shown and not sent for that time.`, 'silences', matcher),
  ];
}

const noteOf = (done, what) => (done ? `${what} by ${done.by} until ${clock(done.until_unix_ms)}: ${done.reason}` : '');

/** A silence, whether an alert that it matches is firing or not: nobody would know else that none is sent. */
function silence(view) {
  const of = `${view.rule ?? 'Every alert'}${view.service ? ` of ${view.service}` : ''}`;
  return el('li', el('div', el('p.holds', `${of}: ${noteOf(view, 'silenced')}`), may('operator') && el('span.buttons', endSilence(of, view.id))));
}

export class Alerts {
  #list = el('ul.alerts', { tabindex: 0 });
  #silences = el('ul.alerts', { 'aria-label': 'Silences' });
  #none = el('p.dim', 'No alert is firing.');
  #count = el('span.tag');

  constructor() {
    byId('alerts').append(el('div.title', el('h2', { id: 'alerts-title' }, 'Alerts'), this.#count), this.#list, this.#none, this.#silences);
  }

  show(overview) {
    const firing = overview.alerts.filter((it) => it.state === 'firing');
    const over = overview.alerts.filter((it) => it.state !== 'firing').slice(0, 3);
    text(this.#count, firing.length);
    this.#count.hidden = firing.length === 0;
    this.#none.hidden = firing.length > 0;
    const now = overview.at_unix_ms;
    keyed(this.#silences, overview.silences, (it) => `${it.id}${may('operator')}`, silence);
    keyed(this.#list, [...firing, ...over], (it) => it.id, alert, (node, it) => {
      const { parts } = node;
      const isFiring = it.state === 'firing';
      attr(node, 'class', isFiring ? 'firing' : 'over');
      setShape(parts.shape, isFiring ? SEVERITIES[it.severity] : 'ok', '');
      text(parts.name, it.name);
      text(parts.words, it.words);
      text(parts.severity, it.severity);
      text(parts.when, isFiring ? `for ${span((now - it.raised_at_unix_ms) / 1000)}` : `over since ${clock(it.resolved_at_unix_ms)}`);
      const note = [noteOf(it.acknowledged, 'Known'), noteOf(it.silenced, 'Silenced')].filter(Boolean).join(' · ');
      text(parts.note, note);
      parts.note.hidden = note === '';
      const state = `${isFiring && may('operator')}${Boolean(it.acknowledged)}${it.silence}`;
      if (node.state !== state) {
        node.state = state;
        parts.buttons.replaceChildren(...(isFiring && may('operator') ? alertButtons(it) : []));
      }
    });
  }
}

export class Score {
  #value = el('strong');
  #parts = el('ul.parts');
  #advice = el('ul.advice');
  #checks = el('ul.checks');

  constructor() {
    byId('score').append(el('div.title', el('h2', { id: 'score-title' }, 'Health'), this.#value), this.#parts, this.#checks, this.#advice);
  }

  show({ score, checks }) {
    byId('score').hidden = !score && !checks.length;
    text(this.#value, score ? `${Math.round(score.score)} of 100` : '');
    keyed(
      this.#parts,
      score?.parts ?? [],
      (part) => part.name,
      () => el('li', el('span'), bar(), el('span.figure')),
      (node, part) => {
        const [name, line, value] = node.children;
        text(name, `${words(part.name)} (${number(part.weight)} %)`);
        text(value, Math.round(part.score));
        setBar(line, part.score / 100, null, part.score < 50 ? 'down' : part.score < 80 ? 'degraded' : 'ok');
      },
    );
    const levels = { healthy: 'ok', degraded: 'degraded', unhealthy: 'down' };
    keyed(
      this.#checks,
      checks,
      (check) => check.name,
      () => el('li', shape(14), el('span')),
      (node, check) => {
        setShape(node.firstChild, levels[check.status] ?? 'unknown', '');
        text(node.lastChild, `${check.name}: ${check.status}${check.message ? `, ${check.message}` : ''}`);
      },
    );
    keyed(this.#advice, score?.recommendations ?? [], (words) => words, (words) => el('li', words));
  }
}

const MODES = ['automatic', 'normal', 'reduce_only', 'cancel_only', 'halted'];
const MODE_EFFECTS = {
  automatic: 'The mode follows what works again.',
  normal: 'Every order passes, or fewer where something is wrong.',
  reduce_only: 'Only orders that reduce a position pass, and cancels and queries.',
  cancel_only: 'Only cancels and queries pass.',
  halted: 'No order passes.',
};

/** Orders in doubt, the trading mode and the kill switch of each broker. */
export class Trading {
  #last = '';
  #all = [];

  async read() {
    try {
      this.#all = await get('api/v1/trading');
    } catch {
      // Without orders there is no such route.
      this.#all = [];
    }
    this.draw();
  }

  /** Reads again when the overview has other figures of orders than at the last time. */
  take(orders) {
    const now = JSON.stringify(orders);
    if (now === this.#last) return;
    this.#last = now;
    if (orders) void this.read();
  }

  draw() {
    byId('trading').replaceChildren(...this.#all.map((it) => this.#broker(it)));
    const open = this.#all.flatMap((it) => it.orders.map((order) => ({ broker: it.name, ...order })));
    const section = byId('orders');
    section.hidden = open.length === 0;
    section.replaceChildren(
      el('h2', { id: 'orders-title' }, 'Orders in doubt'),
      el('ul.orders', open.slice(0, 50).map((order) => el('li', el('strong', order.symbol ?? order.id), el('span', `${words(order.state)}, sent ${order.copies}×`), el('span.dim', order.symbol ? order.id : order.broker)))),
      open.length > 50 ? el('p.dim', `and ${open.length - 50} more`) : '',
    );
  }

  #broker(it) {
    const path = `api/v1/trading/${encodeURIComponent(it.name)}`;
    const after = () => this.read();
    const mode = may('operator')
      ? el('select', { 'aria-label': `Trading mode of ${it.name}`, onchange: (event) => this.#askMode(it, path, event.target) }, el('option', { value: '', selected: true }, 'Change mode…'), MODES.map((name) => el('option', { value: name }, words(name))))
      : null;
    const engaged = it.kill_switch?.engaged;
    const canSwitch = it.kill_switch && may(engaged ? 'admin' : 'operator');
    const ask = () =>
      confirm({
        title: engaged ? `Release the kill switch of ${it.name}` : `Engage the kill switch of ${it.name}`,
        effect: engaged ? 'New orders pass again.' : 'All new orders stop at once, also after a restart. Cancels and queries pass.',
        action: engaged ? 'Release' : 'Stop all new orders',
        isGrave: !engaged,
        act: async (reason) => {
          await post(`${path}/kill-switch`, { engaged: !engaged, reason });
          await after();
        },
      });
    return el(
      'div',
      { class: 'broker' },
      el('p', `${it.name}: `, el('strong', `trading ${words(it.mode)}`), it.started ? '' : ', still reading its journal'),
      it.kill_switch ? el('p', { class: engaged ? 'engaged' : 'dim' }, engaged ? `Kill switch engaged by ${it.kill_switch.by ?? 'somebody'} at ${clock(it.kill_switch.since_unix_ms)}: ${it.kill_switch.reason ?? ''}` : 'Kill switch not engaged') : null,
      el('div.buttons', mode, canSwitch ? el('button', { type: 'button', class: engaged ? 'small' : 'small grave', 'data-command': engaged ? 'release' : 'engage', onclick: ask }, engaged ? 'Release kill switch' : 'Kill switch') : null),
    );
  }

  #askMode(it, path, select) {
    const mode = select.value;
    select.value = '';
    if (!mode) return;
    confirm({
      title: `Trading mode of ${it.name}: ${words(mode)}`,
      effect: MODE_EFFECTS[mode],
      action: `Set ${words(mode)}`,
      isGrave: mode === 'halted',
      act: async (reason) => {
        await post(`${path}/mode`, { mode, reason });
        await this.read();
      },
    });
  }
}

