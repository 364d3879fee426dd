// Server-sent events over `fetch`, which says why it is not answered; `EventSource` does not.

import { Failed, problem, url } from './api.js';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** The server sends a comment every 10 s: after so long without a byte the connection is dead. */
const SILENCE_MS = 25_000;

/** Splits a stream of bytes into events. */
async function* events(body, alive) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let event = { type: 'message', data: [], id: undefined };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    alive();
    rest += value;
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === '') {
        if (event.data.length) yield { ...event, data: event.data.join('\n') };
        event = { type: 'message', data: [], id: undefined };
        continue;
      }
      const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (field === 'event') event.type = value;
      else if (field === 'data') event.data.push(value);
      else if (field === 'id') event.id = value;
    }
  }
}

/**
 * A stream that connects again by itself, after longer and longer waits with jitter.
 *
 * `path()` is asked before each connection, `event` gets each event, and `state` is notified with
 * `connecting`, `open`, `lost` (with the error and when it tries again) and `denied` (sign in first).
 */
export class Stream {
  #run = 0;
  #wake = null;
  #abort = null;

  constructor({ path, event, state }) {
    Object.assign(this, { path, event, state });
  }

  /** Connects, or connects again at once. */
  start() {
    this.stop();
    void this.#loop(this.#run);
  }

  stop() {
    this.#run += 1;
    this.#abort?.abort();
    this.#wake?.();
  }

  async #loop(run) {
    let wait = FIRST_WAIT_MS;
    while (run === this.#run) {
      let error;
      try {
        this.state('connecting');
        await this.#connect(run, () => (wait = FIRST_WAIT_MS));
        error = new Failed('the server has ended the stream');
      } catch (thrown) {
        error = thrown instanceof Failed ? thrown : new Failed('the server cannot be reached');
      }
      if (run !== this.#run) return;
      if (error.status === 401 || error.status === 403) {
        this.state('denied', error);
        return;
      }
      const delay = wait * (0.5 + Math.random() / 2);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
      this.state('lost', error, Date.now() + delay);
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, delay);
      });
    }
  }

  async #connect(run, succeeded) {
    const abort = new AbortController();
    this.#abort = abort;
    let silence;
    const alive = () => {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE_MS);
    };
    alive();
    try {
      const response = await fetch(url(this.path()), {
        headers: { accept: 'text/event-stream' },
        cache: 'no-store',
        signal: abort.signal,
      });
      if (!response.ok) throw await problem(response);
      this.state('open');
      for await (const event of events(response.body, alive)) {
        if (run !== this.#run) return;
        succeeded();
        this.event(event);
      }
    } finally {
      clearTimeout(silence);
      abort.abort();
    }
  }
}
