// What has changed, newest first: transitions with their causes, commands with who gave them and why.

import { el, keyed } from './dom.js';
import { clock, iso, pattern, span, words } from './format.js';
import { belongs } from './services.js';

const KEPT = 500;
const SHOWN = 40;
/** Between entries that are shown as one. */
const FOLDED_MS = 60_000;

/** A change in words: what happened, why, how it is marked, and what distinguishes it from others alike. */
function describe(kind) {
  switch (kind.type) {
    case 'transition':
      return [`${words(kind.from)} → ${words(kind.to)}`, words(kind.reason), { open: 'down', forced_open: 'down', half_open: 'degraded', closed: 'ok' }[kind.to]];
    case 'commanded':
      return [`command: ${words(kind.command)}`, '', 'operator'];
    case 'alert':
      return [`${kind.raised ? 'alert' : 'alert over'}: ${kind.rule}`, kind.severity, kind.raised ? 'degraded' : 'ok'];
    case 'check_changed':
      return [`check ${kind.check}: ${kind.from} → ${kind.to}`, '', { healthy: 'ok', degraded: 'degraded', unhealthy: 'down' }[kind.to]];
    case 'throttled':
      return [`throttled for ${span(kind.wait_seconds)}`, 'the upstream asks for fewer calls', 'degraded'];
    case 'recovery':
      return [`recovery: ${words(kind.step)}`, `attempt ${kind.attempt}`, kind.step === 'restored' ? 'ok' : 'degraded'];
    case 'order':
    case 'order_settled':
      return [`order ${words(kind.state)}`, words(kind.reason), kind.state === 'confirmed' ? 'ok' : 'degraded', kind.number && `number ${kind.number}`];
    default: {
      const { type, ...rest } = kind;
      return [words(type), Object.entries(rest).map(([name, value]) => `${words(name)} ${value}`).join(', '), 'degraded'];
    }
  }
}

/** Entries that are alike and follow each other, or alternate as those of a circuit that flaps, are one. */
function fold(entries, most) {
  const folded = [];
  for (const entry of entries) {
    const alike = folded.slice(-3).find((it) => it.name === entry.name && it.of === entry.of && it.what === entry.what && it.why === entry.why && it.type !== 'audit' && it.first - entry.at < FOLDED_MS);
    if (alike) {
      alike.count += 1;
      alike.first = entry.at;
    } else {
      if (folded.length === most) break;
      folded.push({ ...entry, count: 1, first: entry.at });
    }
  }
  return folded;
}

/** Every change that was heard of, and what the audit log says of commands. */
export class Feed {
  #changes = [];
  #audit = [];
  #listeners = new Set();
  #next = 1;
  missed = 0;

  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  change({ service, sequence, at_unix_ms: at, pattern: of, name, kind }) {
    // After a reconnection some may come again.
    if (sequence && this.#changes.some((it) => it.sequence === sequence && it.registry === service && it.at === at)) return;
    const [what, why, mark, extra] = describe(kind);
    this.#changes.push({ key: `c${this.#next++}`, sequence, registry: service, at, of, name, what, why, mark, extra, type: kind.type });
    if (this.#changes.length > KEPT) this.#changes.shift();
    this.#emit();
  }

  /** Entries of the audit log take the place of commands that are not known by whom. */
  audit(entries) {
    this.#audit = entries
      .filter((entry) => entry.outcome !== 'requested' && entry.action !== 'log_in')
      .map((entry) => {
        // `desk: breaker/alpaca`, `orders/alpaca`; of alerts it is no component.
        const [, registry = '', of, name] = /^(?:(.*?): )?(?!alert)([^/]*)\/(.*)$/s.exec(entry.target) ?? [null, '', '', entry.target];
        const lasts = entry.expires_in_seconds ? ` for ${span(entry.expires_in_seconds)}` : '';
        const failed = entry.outcome === 'done' || entry.outcome === 'expired' ? '' : ` (${entry.outcome})`;
        return { key: `a${entry.number}`, registry, at: entry.at_unix_ms, of, name, what: `${words(entry.action)}${lasts} by ${entry.who}${failed}`, why: entry.reason, mark: 'operator', type: 'audit' };
      });
    this.#emit();
  }

  clear() {
    this.#changes = [];
    this.#audit = [];
    this.#emit();
  }

  #emit() {
    for (const listener of this.#listeners) listener();
  }

  /** Newest first; of one service, if it is said. */
  entries(service, most) {
    const isOf = (it) => !service || (belongs(it.name, service.name) && (!it.registry || it.registry === service.registry));
    const isKnown = (it) => it.type === 'commanded' && this.#audit.some((entry) => entry.name === it.name && entry.of === it.of && Math.abs(entry.at - it.at) < 2000);
    const all = [...this.#changes.filter((it) => !isKnown(it)), ...this.#audit].filter(isOf);
    return fold(all.sort((a, b) => b.at - a.at), most);
  }
}

export class Timeline {
  #of;
  #feed;
  #list = el('ol.timeline', { tabindex: 0 });
  #none = el('p.dim', 'Nothing has changed yet.');
  #end;
  #waiting = false;

  constructor({ title, level, id, of, feed }) {
    this.#of = of;
    this.#feed = feed;
    this.node = el('div', el(level, id ? { id } : {}, title), this.#list, this.#none);
    this.#end = feed.listen(() => this.#later());
    this.#show();
  }

  end() {
    this.#end();
  }

  /** At most once per frame: a replay has many changes. */
  #later() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.#show();
    });
  }

  #show() {
    const entries = this.#feed.entries(this.#of, SHOWN);
    this.#none.hidden = entries.length > 0;
    keyed(this.#list, entries, (it) => `${it.key} ${it.count}`, (it) => {
      const about = this.#of && it.name === this.#of.name ? pattern(it.of) : `${it.name}${it.of ? ` · ${pattern(it.of)}` : ''}`;
      return el(
        'li',
        { 'data-mark': it.mark ?? 'plain' },
        el('time', { datetime: iso(it.at) }, clock(it.at)),
        el('span.about', about),
        el('span.what', it.what, it.count > 1 ? el('b', ` ×${it.count} since ${clock(it.first)}`) : it.extra ? el('span.dim', `, ${it.extra}`) : null),
        it.why ? el('span.cause', it.why) : null,
      );
    });
  }
}
