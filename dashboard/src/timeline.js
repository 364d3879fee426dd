// What has changed, newest first: transitions with their causes, commands with who gave them and why.

import { el, keyed } from './dom.js';
import { clock, iso, pattern, span, words } from './format.js';
import { belongs } from './services.js';

const KEPT = 500;
const SHOWN = 40;

/** A change in words: what it is about, what happened, why, and how it is marked. */
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
      return [`order ${kind.number ?? ''} ${words(kind.state)}`, words(kind.reason), kind.state === 'confirmed' ? 'ok' : 'degraded'];
    default: {
      const { type, ...rest } = kind;
      return [words(type), Object.entries(rest).map(([name, value]) => `${words(name)} ${value}`).join(', '), 'degraded'];
    }
  }
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
    const [what, why, mark] = describe(kind);
    this.#changes.push({ key: `c${this.#next++}`, sequence, registry: service, at, of, name, what, why, mark, type: kind.type });
    if (this.#changes.length > KEPT) this.#changes.shift();
    this.#emit();
  }

  /** Entries of the audit log take the place of commands that are not known by whom. */
  audit(entries) {
    this.#audit = entries
      .filter((entry) => entry.outcome !== 'requested' && entry.action !== 'log_in')
      .map((entry) => {
        const [, registry, of, name] = /^(.*?): ([^/]*)\/(.*)$/s.exec(entry.target) ?? [null, '', '', entry.target];
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
    return all.sort((a, b) => b.at - a.at).slice(0, most);
  }
}

export class Timeline {
  #of;
  #feed;
  #list = el('ol', { class: 'timeline' });
  #none = el('p', { class: 'dim' }, 'Nothing has changed yet.');
  #end;
  #waiting = false;

  constructor({ title, level, id, of, feed }) {
    this.#of = of;
    this.#feed = feed;
    this.node = el('div', {}, el(level, id ? { id } : {}, title), this.#list, this.#none);
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
    keyed(this.#list, entries, (it) => it.key, (it) => {
      const about = this.#of && it.name === this.#of.name ? pattern(it.of) : `${it.name}${it.of ? ` · ${pattern(it.of)}` : ''}`;
      return el(
        'li',
        { 'data-mark': it.mark ?? 'plain' },
        el('time', { datetime: iso(it.at) }, clock(it.at)),
        el('span', { class: 'about' }, about),
        el('span', { class: 'what' }, it.what),
        it.why ? el('span', { class: 'cause' }, it.why) : null,
      );
    });
  }
}
