// Requests. Paths are relative to the page, so that the routes can be nested under any path.

const BASE = new URL('.', document.baseURI);
const PATIENCE_MS = 10_000;

/** A request that was answered by a problem, or not at all. */
export class Failed extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

export const url = (path) => new URL(path, BASE);

/** What a response says that is not a success. */
export async function problem(response) {
  const body = await response.json().catch(() => null);
  const mistakes = body?.mistakes?.length ? `: ${body.mistakes.join('; ')}` : '';
  return new Failed(`${body?.detail ?? `status ${response.status}`}${mistakes}`, response.status);
}

async function request(method, path, body) {
  const headers = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response;
  try {
    response = await fetch(url(path), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch (error) {
    throw new Failed(
      error.name === 'TimeoutError' ? 'no answer within 10 s: whether it was done is not known' : 'the server cannot be reached',
    );
  }
  if (!response.ok) throw await problem(response);
  return response.status === 204 ? null : response.json();
}

export const get = (path) => request('GET', path);
export const post = (path, body) => request('POST', path, body);
export const remove = (path, body) => request('DELETE', path, body);

const RANKS = { viewer: 1, operator: 2, admin: 3 };

/** Whom this browser is signed in as, and what they may do. */
export const session = { who: null, role: null, control: false };

export const may = (role) => session.control && (RANKS[session.role] ?? 0) >= RANKS[role];

/** Reads the session; 401 is thrown where the server shows nothing without one. */
export async function readSession() {
  Object.assign(session, { who: null, role: null, control: false }, await get('api/v1/session'));
}

export async function signIn(token) {
  Object.assign(session, await post('api/v1/session', { token }));
}

export async function signOut() {
  await remove('api/v1/session');
  Object.assign(session, { who: null, role: null, control: false });
}
