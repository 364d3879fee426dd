// A server with the routes that the page reads, and figures that a test chooses: many services, names with
// markup, a stream that stalls. The page itself comes from its files.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';

const ASSETS = new URL('../../crates/seawall-admin/assets/', import.meta.url);
const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };
const STATES = ['closed', 'closed', 'closed', 'closed', 'half_open', 'open', 'paused'];

const spark = (service, ago, at) => ({
  ago_seconds: ago,
  calls_per_second: 20 + 15 * Math.sin((at / 1000 - ago) / 9 + service),
  error_ratio: Math.max(0, Math.sin((at / 1000 - ago) / 20 + service)) ** 4 * (service % 5 === 0 ? 0.8 : 0.04),
  p99_seconds: 0.05 + 0.04 * Math.sin((at / 1000 - ago) / 11 + service),
});

function service(number, name, at, sparks) {
  const state = STATES[number % STATES.length];
  const level = { closed: 'ok', half_open: 'degraded', open: 'down', paused: 'degraded' }[state];
  const now = spark(number, 0, at);
  return {
    name,
    registry: 'desk',
    level,
    verdict: { closed: 'ok', half_open: 'the circuit is half-open', open: 'the circuit is open, next probe in 12 s', paused: 'throttled, 12 s left, 3 of 200 requests left' }[state],
    trouble: { closed: 0, half_open: 60, open: 95, paused: 75 }[state] + now.error_ratio,
    state,
    state_seconds: 12.5 + number,
    next_probe_seconds: state === 'open' ? 12 : null,
    calls_per_second: now.calls_per_second,
    error_ratio: now.error_ratio,
    error_threshold: 0.5,
    slow_ratio: 0.01,
    slow_threshold: null,
    rejected_ratio: state === 'open' ? 1 : 0,
    throttled_per_second: 0,
    average_seconds: 0.031,
    p50_seconds: 0.02,
    p95_seconds: 0.05,
    p99_seconds: now.p99_seconds,
    in_flight: number % 9,
    max_concurrent: 16,
    queue_depth: number % 4,
    max_waiting: 128,
    pause_seconds: state === 'paused' ? 12 : null,
    limits: [
      { name, unit: 'requests', available: 8, capacity: 200, window_seconds: 60, resets_in_seconds: 31, provider: { remaining: 3, limit: 200, resets_in_seconds: 12, age_seconds: 1 }, used_share: 0.985 },
    ],
    retry_budget: { balance: 7.5, capacity: 10 },
    hedge_share: null,
    fallback_share: null,
    degraded_share: null,
    last_rejection: state === 'open' ? { at_unix_ms: at - 1500, pattern: 'gate', name, reason: 'circuit_open', words: `circuit breaker \`${name}\`: the circuit is open (62% of the calls failed); nothing was sent`, advice: 'try again later', passed: ['retry', 'hedge'] } : null,
    sparkline: Array.from({ length: sparks }, (_, index) => spark(number, sparks - 1 - index, at)),
    summary: {},
    health: null,
    orders: null,
    score: null,
  };
}

export function overview(names, at = Date.now(), sparks = 120) {
  const services = names.map((name, number) => service(number, name, at, sparks)).sort((a, b) => b.trouble - a.trouble);
  const of = (level) => services.filter((it) => it.level === level).length;
  return {
    at_unix_ms: at,
    program: 'desk',
    monitor: { is_running: true, since_unix_ms: at - 60_000, last_sample_unix_ms: at, samples: Math.floor(at / 1000), interval_seconds: 1 },
    verdict: of('down') ? { level: 'degraded', words: `with care: ${services[0].name}: ${services[0].verdict}` } : { level: 'ok', words: 'yes' },
    services,
    services_left_out: 0,
    alerts: [],
    score: null,
    orders: null,
    checks: [],
    totals: { circuits: services.length, open_circuits: of('down'), half_open_circuits: 0, calls_per_second: 20 * services.length, error_ratio: 0.01, rejections_per_second: 0, rate_limited_per_second: 0, bulkhead_rejections_per_second: 0, average_seconds: 0.03, active_alerts: 0 },
  };
}

/** Serves `names`; `every` is the time between two frames in milliseconds. */
export async function fake({ names, every = 1000, port = 0 }) {
  const control = { isStalled: false, viewers: new Set(), change: (view) => view };
  const frame = (response, sparks) => {
    const view = control.change(overview(names, Date.now(), sparks));
    response.write(`event: ${sparks > 1 ? 'overview' : 'frame'}\ndata: ${JSON.stringify(view)}\n\n`);
  };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const json = (value, status = 200) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (pathname === '/dashboard' || pathname.startsWith('/dashboard/')) {
      const name = pathname === '/dashboard' ? 'dashboard.html' : pathname.slice('/dashboard/'.length);
      const body = await readFile(new URL(name, ASSETS)).catch(() => null);
      response.writeHead(body ? 200 : 404, { 'content-type': TYPES[name.split('.').pop()] ?? 'text/plain' }).end(body ?? '');
    } else if (pathname === '/api/v1/resilience/dashboard/stream') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      control.viewers.add(response);
      response.on('close', () => control.viewers.delete(response));
      frame(response, 120);
    } else if (pathname === '/api/v1/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(': nothing yet\n\n');
    } else if (pathname === '/api/v1/session') {
      json({ who: null, role: null, control: false });
    } else if (pathname === '/api/v1/components' || pathname === '/api/v1/trading') {
      json([]);
    } else if (pathname.startsWith('/api/v1/resilience/history/')) {
      const minutes = Array.from({ length: 360 }, (_, index) => ({ ...spark(1, (360 - index) * 10, Date.now()), at_unix_ms: Date.now() - (360 - index) * 10_000 }));
      json([{ name: names[0], registry: 'desk', resolution_seconds: 10, points: minutes }]);
    } else {
      json({ detail: 'there is no such path' }, 404);
    }
  });
  // A test that fails does not close it.
  server.unref();
  const timer = setInterval(() => {
    if (!control.isStalled) for (const viewer of control.viewers) frame(viewer, 1);
  }, every).unref();
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  control.url = `http://127.0.0.1:${server.address().port}`;
  control.close = () => {
    clearInterval(timer);
    server.closeAllConnections();
    server.close();
  };
  return control;
}
