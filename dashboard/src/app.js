// The page: what comes by the streams, what is shown of it, and whether it is of now.

import { byId, text } from './dom.js';
import { clock, span } from './format.js';
import { get, may, readSession, session, signIn, signOut } from './api.js';
import { askToken } from './control.js';
import { Stream } from './stream.js';
import { Feed, Timeline } from './timeline.js';
import { Services } from './services.js';
import { Alerts, Score, Trading, showTotals, showVerdict } from './panels.js';

/** A page that nobody sees for so long lets its streams go: a browser has six connections to a host. */
const HIDDEN_MS = 30_000;

const feed = new Feed();
const services = new Services({ feed });
const alerts = new Alerts();
const score = new Score();
const trading = new Trading();
byId('timeline').append(new Timeline({ title: 'Timeline', level: 'h2', id: 'timeline-title', feed }).node);

let overview = null;
/** When the last overview came, by the clock of this page. */
let cameAt = 0;
let isDrawn = true;
let stream = { state: 'connecting', error: null, again: null };
let lastEvent = null;

function figuresAge() {
  const late = (performance.now() - cameAt) / 1000;
  const sampled = overview.monitor.last_sample_unix_ms ?? overview.at_unix_ms;
  return late + Math.max(0, overview.at_unix_ms - sampled) / 1000;
}

/** Whether the figures are those of now: the stream is open, and the monitor samples. */
function isLive() {
  if (!overview || stream.state !== 'open') return false;
  return overview.monitor.is_running && figuresAge() < Math.max(3, 3 * overview.monitor.interval_seconds);
}

/** What is said where figures are not live. */
function lostWords() {
  if (stream.state === 'denied') return 'Sign in to see what this program does.';
  const parts = [];
  if (stream.state === 'lost') {
    parts.push(`Connection lost: ${stream.error.message}.`);
    parts.push(`Trying again in ${span(Math.max(0, (stream.again - Date.now()) / 1000))}.`);
  } else if (stream.state === 'connecting') {
    parts.push('Connecting again.');
  } else if (overview && !overview.monitor.is_running) {
    parts.push('The monitor of the program is stopped.');
  } else {
    parts.push('No new figures come.');
  }
  if (overview) parts.push(`The figures below are ${span(figuresAge())} old, of ${clock(overview.monitor.last_sample_unix_ms ?? overview.at_unix_ms)}.`);
  return parts.join(' ');
}

function draw() {
  isDrawn = true;
  const live = isLive();
  document.body.dataset.stream = live ? 'live' : overview ? 'stale' : stream.state;
  const isFirst = !overview && stream.state === 'connecting';
  byId('lost').hidden = live || isFirst;
  byId('retry').hidden = stream.state === 'denied';
  if (!live && !isFirst) text(byId('lost-words'), lostWords());
  if (!overview) {
    text(byId('live-words'), stream.state === 'denied' ? 'signed out' : stream.state === 'lost' ? 'no connection' : 'connecting');
    return;
  }
  text(byId('program'), overview.program);
  text(byId('live-words'), live ? `live, ${clock(overview.at_unix_ms)}` : `${span(figuresAge())} old`);
  showVerdict(overview.verdict, live, figuresAge());
  showTotals(overview);
  services.show();
  alerts.show(overview);
  score.show(overview);
}

function drawSoon() {
  if (!isDrawn) return;
  isDrawn = false;
  // No frames come while the page is hidden.
  if (document.hidden) draw();
  else requestAnimationFrame(draw);
}

/** `overview` has whole sparklines, `frame` the last point of each. */
function take(event) {
  if (event.type !== 'overview' && event.type !== 'frame') return;
  const before = overview?.monitor.samples;
  overview = JSON.parse(event.data);
  cameAt = performance.now();
  const isWhole = event.type === 'overview';
  services.take(overview, isWhole, isWhole || overview.monitor.samples !== before);
  trading.take(overview.orders);
  drawSoon();
}

const overviews = new Stream({
  path: () => 'api/v1/resilience/dashboard/stream',
  event: take,
  state(state, error = null, again = null) {
    stream = { state, error, again };
    if (state === 'denied') {
      Object.assign(session, { who: null, role: null });
      showSession(true);
    }
    drawSoon();
  },
});

let auditWaits = false;

/** Reads who has commanded what, for those that may see it. */
function readAudit() {
  if (!may('operator') || auditWaits) return;
  auditWaits = true;
  setTimeout(async () => {
    auditWaits = false;
    try {
      feed.audit(await get('api/v1/audit?limit=200'));
    } catch {
      // The timeline goes on without names.
    }
  }, 300);
}

const changes = new Stream({
  // From before the first change: what is kept is replayed.
  path: () => `api/v1/events?last_event_id=${encodeURIComponent(lastEvent ?? '0-0')}`,
  event({ type, data, id }) {
    if (id) lastEvent = id;
    if (type !== 'change') return;
    const change = JSON.parse(data);
    feed.change(change);
    if (change.kind.type === 'commanded') {
      readAudit();
      services.changed(change.service, change.name);
      void trading.read();
    }
  },
  state() {},
});

function showSession(isDenied) {
  const button = byId('session');
  text(byId('who'), session.who ? `${session.who}, ${session.role}` : session.control || isDenied ? '' : 'view only: no token is configured');
  text(button, session.who ? 'Sign out' : 'Sign in');
  button.hidden = !session.control && !isDenied;
  if (isDenied && !byId('dialog').open) ask();
}

function ask() {
  askToken(async (token) => {
    await signIn(token);
    await start();
  });
}

async function start() {
  try {
    await readSession();
    const isDenied = session.control && !session.who;
    if (isDenied) stream = { state: 'denied', error: null, again: null };
    showSession(isDenied);
    draw();
    if (isDenied) return;
  } catch {
    // The streams say what is wrong, and try again.
  }
  overviews.start();
  changes.start();
  readAudit();
  void trading.read();
}

byId('session').addEventListener('click', async () => {
  if (!session.who) return ask();
  await signOut().catch(() => {});
  overview = null;
  location.reload();
});
byId('retry').addEventListener('click', () => start());

document.addEventListener('keydown', (event) => {
  if (event.key === '/' && !event.target.closest('input, select, textarea, dialog')) {
    byId('filter').focus();
    event.preventDefault();
  } else if (event.key === 'Escape' && event.target.id === 'filter') {
    event.target.value = '';
    event.target.dispatchEvent(new Event('input'));
  } else if (event.key === 'ArrowDown' && event.target.id === 'filter') {
    byId('rows').querySelector('button.open')?.focus();
    event.preventDefault();
  }
});

let hiding = null;
document.addEventListener('visibilitychange', () => {
  clearTimeout(hiding);
  if (document.hidden) {
    hiding = setTimeout(() => {
      overviews.stop();
      changes.stop();
      stream = { state: 'connecting', error: null, again: null };
      hiding = 'stopped';
    }, HIDDEN_MS);
  } else {
    if (hiding === 'stopped') void start();
    hiding = null;
    drawSoon();
  }
});

// Ages grow also when nothing comes.
setInterval(() => {
  if (overview ? !isLive() : stream.state !== 'connecting') drawSoon();
}, 1000);

draw();
void start();
