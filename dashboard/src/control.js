// Commands: only with a reason, for a time, and after a second look.

import { byId, el } from './dom.js';
import { words } from './format.js';

const TIMES = [
  [900, '15 minutes'],
  [3600, '1 hour'],
  [14400, '4 hours'],
  [86400, '1 day'],
];

/** What commands are called, by pattern. */
const LABELS = {
  breaker: { block: 'Force open', bypass: 'Force closed', resume: 'Back to automatic' },
  gate: { block: 'Force open', bypass: 'Force closed', resume: 'Back to automatic' },
};
const COMMON = {
  block: 'Pause',
  bypass: 'Let everything pass',
  drain: 'Drain',
  resume: 'Resume',
  reset: 'Reset',
  shadow_on: 'Shadow mode on',
  shadow_off: 'Shadow mode off',
};

export const label = (pattern, command) => LABELS[pattern]?.[command] ?? COMMON[command] ?? words(command);

/** What a command does, in a sentence. */
export const EFFECTS = {
  block: 'Every call is rejected, nothing is sent.',
  bypass: 'Every call passes, nothing is held back.',
  drain: 'No new call passes; those that are queued are served.',
  resume: 'It works by its rules again, and keeps what it has learned.',
  reset: 'It forgets what it has learned and every earlier command, and works by its rules again.',
  shadow_on: 'It decides and counts, and lets every call pass.',
  shadow_off: 'What it decides is carried out again.',
};

/** Commands that hold until something ends them. */
export const HOLDS = new Set(['block', 'bypass', 'drain', 'shadow_on']);

/** Opens a dialog with fields, of which the first has the focus; `act` throws what is wrong. */
function open(title, effect, fields, submit, act) {
  const dialog = byId('dialog');
  const failed = el('p.failed', { role: 'alert' });
  const cancel = el('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
  const form = el('form', { method: 'dialog' }, el('h2', { id: 'dialog-title' }, title), el('p', effect), fields, failed, el('div.buttons', cancel, submit));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    failed.textContent = '';
    try {
      await act();
      dialog.close();
    } catch (error) {
      failed.textContent = error.message;
      submit.disabled = false;
    }
  });
  dialog.replaceChildren(form);
  if (!dialog.open) dialog.showModal();
  form.querySelector('input:not([hidden])').focus();
}

/**
 * Asks for a reason, for a time if it `expires`, which it must if `isTimed`, and whether to do it. `act` carries
 * it out. `isGrave` colours the button.
 */
export function confirm({ title, effect, action, expires = false, isGrave = false, isTimed = false, act }) {
  const reason = el('input', { id: 'reason', required: true, pattern: '.*\\S.*', maxlength: 500, autocomplete: 'off', placeholder: 'It is shown to others and kept in the audit log' });
  const times = TIMES.map(([seconds, words]) => el('option', { value: seconds }, words));
  const time = el('select', { id: 'time' }, times, isTimed ? null : el('option', { value: '' }, 'Until somebody ends it'));
  const fields = [el('label', { for: 'reason' }, 'Reason'), reason, expires && [el('label', { for: 'time' }, 'Ends by itself after'), time]];
  const submit = el(isGrave ? 'button.grave' : 'button.go', { type: 'submit' }, action);
  open(title, effect, fields.flat(), submit, () => act(reason.value.trim(), expires && time.value ? Number(time.value) : null));
}

/** Asks for a token. */
export function askToken(signIn) {
  const token = el('input', { id: 'token', type: 'password', required: true, autocomplete: 'current-password' });
  // For managers of passwords, which want a name.
  const name = el('input', { autocomplete: 'username', value: location.host, hidden: true });
  const submit = el('button.go', { type: 'submit' }, 'Sign in');
  open('Sign in', 'A token of this program; the session lasts for 12 hours.', [name, el('label', { for: 'token' }, 'Token'), token], submit, () => signIn(token.value));
}
