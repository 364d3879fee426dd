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

/**
 * Asks for a reason, a time if it `expires`, and whether to do it; `act` carries it out and throws what is
 * wrong. `isGrave` colours the button.
 */
export function confirm({ title, effect, action, expires = false, isGrave = false, isTimed = false, act }) {
  const dialog = byId('dialog');
  const reason = el('input', { id: 'reason', name: 'reason', required: true, maxlength: 500, autocomplete: 'off', placeholder: 'It is shown to others and kept in the audit log' });
  const time = el(
    'select',
    { id: 'time', name: 'time' },
    ...TIMES.map(([seconds, words], index) => el('option', { value: seconds, selected: index === 0 }, words)),
    isTimed ? null : el('option', { value: '' }, 'Until somebody ends it'),
  );
  const failed = el('p', { class: 'failed', role: 'alert' });
  const submit = el('button', { type: 'submit', class: isGrave ? 'grave' : 'go' }, action);
  const cancel = el('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
  const form = el(
    'form',
    { method: 'dialog' },
    el('h2', { id: 'dialog-title' }, title),
    el('p', {}, effect),
    el('label', { for: 'reason' }, 'Reason'),
    reason,
    expires ? [el('label', { for: 'time' }, 'Ends by itself after'), time] : null,
    failed,
    el('div', { class: 'buttons' }, cancel, submit),
  );
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (!reason.value.trim()) {
      reason.setCustomValidity('A reason is needed');
      reason.reportValidity();
      reason.setCustomValidity('');
      return;
    }
    submit.disabled = true;
    failed.textContent = '';
    try {
      const seconds = expires && time.value ? Number(time.value) : null;
      await act(reason.value.trim(), seconds);
      dialog.close();
    } catch (error) {
      failed.textContent = error.message;
      submit.disabled = false;
    }
  });
  open(form, reason);
}

/** Asks for a token. */
export function askToken(signIn) {
  const token = el('input', { id: 'token', type: 'password', name: 'token', required: true, autocomplete: 'current-password', spellcheck: 'false' });
  const failed = el('p', { class: 'failed', role: 'alert' });
  const submit = el('button', { type: 'submit', class: 'go' }, 'Sign in');
  const form = el(
    'form',
    { method: 'dialog' },
    el('h2', { id: 'dialog-title' }, 'Sign in'),
    el('p', {}, 'A token of this program; the session lasts for 12 hours.'),
    el('label', { for: 'token' }, 'Token'),
    token,
    failed,
    el('div', { class: 'buttons' }, el('button', { type: 'button', onclick: () => byId('dialog').close() }, 'Cancel'), submit),
  );
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      await signIn(token.value);
      byId('dialog').close();
    } catch (error) {
      failed.textContent = error.message;
      submit.disabled = false;
      token.select();
    }
  });
  open(form, token);
}

function open(form, focus) {
  const dialog = byId('dialog');
  dialog.replaceChildren(form);
  if (!dialog.open) dialog.showModal();
  focus.focus();
}
