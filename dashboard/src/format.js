// Figures in words.

const NONE = '–';

const known = (value) => typeof value === 'number' && Number.isFinite(value);

/** A number with as many digits as say something. */
export function number(value) {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return size >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}

/** What is left: rounded down. */
export const left = (value) => (known(value) ? number(Math.floor(value)) : NONE);

export function percent(share) {
  if (!known(share)) return NONE;
  const hundredths = share * 100;
  if (hundredths === 0 || hundredths >= 10) return `${Math.round(hundredths)} %`;
  return `${Math.max(hundredths, 0.1).toFixed(1)} %`;
}

/** How long a call took. */
export function latency(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds === 0) return '0 s';
  if (seconds < 1e-3) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(seconds < 1e-2 ? 1 : 0)} ms`;
  return `${seconds.toFixed(seconds < 10 ? 2 : 0)} s`;
}

/** A time that people wait for or look back on. */
export function span(seconds) {
  if (!known(seconds)) return NONE;
  const whole = Math.max(0, Math.round(seconds));
  if (seconds > 0 && seconds < 1) return `${seconds.toFixed(1)} s`;
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

const times = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const dates = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

/** The time of a day; with the date when it is not of today. */
export function clock(ms) {
  if (!known(ms)) return NONE;
  const date = new Date(ms);
  return (date.toDateString() === new Date().toDateString() ? times : dates).format(date);
}

/** The time of an axis, with seconds where it is short. */
export const time = (ms, isShort) => clock(ms).slice(-8, isShort ? undefined : -3);

export const iso = (ms) => (known(ms) ? new Date(ms).toISOString() : null);

/** Words of a name in code: `half_open` is `half-open`. */
export const words = (name) => {
  const hyphened = { half_open: 'half-open', fail_open: 'fail-open' };
  return hyphened[name] ?? String(name ?? '').replaceAll('_', ' ');
};

const PATTERNS = {
  gate: 'circuit gate',
  breaker: 'circuit breaker',
  bulkhead: 'bulkhead',
  ratelimit: 'rate limit',
  ratelimit_per_key: 'rate limit per key',
  attempt_timeout: 'attempt timeout',
  read_deadline: 'deadline of the response',
  orders: 'order safety',
};

/** A pattern in words. */
export const pattern = (name) => PATTERNS[name] ?? words(name);

export const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? '' : 's'}`;
