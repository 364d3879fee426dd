// The page of a real program: a trading desk whose broker fails.

import assert from 'node:assert/strict';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { OUT, TOKENS, desk, launch, open, row, signIn, until } from './browser.mjs';

const INCIDENTS = fileURLToPath(new URL('outage.toml', import.meta.url));

let browser;
let program;

before(async () => {
  await mkdir(OUT, { recursive: true });
  browser = await launch();
  program = await desk('--seconds', '24', '--incidents', INCIDENTS);
});

after(async () => {
  await browser?.close();
  await program?.stop();
});

const answer = (page) => page.locator('#answer').textContent();

test('signs in, is painted in a second, and reads 100 kB of its own host alone', async () => {
  const page = await open(browser, program.url);
  await page.locator('#token').waitFor();
  assert.deepEqual(page.errors, [], 'asking for a token is no error');
  assert.equal(await page.locator('main').isVisible(), false, 'nothing is shown before');
  const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime);
  assert.ok(paint < 1000, `painted after ${paint} ms`);

  await page.locator('#token').fill('a-token-that-nobody-has');
  await page.keyboard.press('Enter');
  await page.getByText('this token is not known').waitFor();
  page.errors = page.errors.filter((error) => !error.includes('401'));
  await signIn(page, 'viewer');
  await row(page, 'ai').locator('.open').click();
  // The first points of the past come after 20 s.
  await page.locator('.u-legend').first().waitFor({ timeout: 60_000 });

  const sizes = await page.evaluate(() => {
    const entries = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
    return entries.filter((entry) => entry.name.includes('/dashboard') && !entry.name.includes('/api/')).map((entry) => [entry.name, entry.decodedBodySize]);
  });
  const bytes = sizes.reduce((sum, [, size]) => sum + size, 0);
  assert.ok(sizes.length >= 4 && bytes > 80_000 && bytes < 100_000, `${bytes} bytes: ${sizes}`);
  console.log(`first contentful paint after ${Math.round(paint)} ms, ${bytes} bytes in ${sizes.length} files`);
  assert.deepEqual(page.foreign, []);
  assert.deepEqual(page.errors, []);
  const ids = await page.evaluate(() => [...document.querySelectorAll('[id]')].map((node) => node.id));
  assert.equal(new Set(ids).size, ids.length, 'an id is there twice');
  await page.context().close();
});

test('shows an outage of the broker as it happens, why, and that it is over', async () => {
  const page = await open(browser, program.url);
  await signIn(page, 'viewer');
  const broker = row(page, 'broker');
  await until(page, () => document.getElementById('answer').textContent === 'No');
  assert.match(await page.locator('#why').textContent(), /^broker: the circuit is open/);
  assert.equal(await page.locator('.service').first().locator('.name').textContent(), 'broker', 'most trouble is first');
  await broker.locator('.open').click();
  await broker.locator('.rejects').waitFor();
  assert.match(await broker.locator('.explain').textContent(), /circuit.*nothing was sent.*what to do: /s);
  await broker.locator('.state', { hasText: /^open: the circuit is open, next probe in / }).waitFor();
  assert.match(await broker.locator('.detail .head .dim').textContent(), /in this state for .*next probe in /);
  await broker.locator('.timeline', { hasText: 'closed → open' }).waitFor();
  assert.match(await broker.locator('.timeline').textContent(), /consecutive failures|% of|failure/);
  await page.locator('#alerts', { hasText: 'BreakerOpened' }).waitFor();
  await page.screenshot({ path: `${OUT}/outage-dark.png` });
  await until(page, () => document.getElementById('answer').textContent !== 'No');
  await broker.locator('.timeline', { hasText: 'half-open → closed' }).waitFor();
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('a circuit is forced open and reset by keyboard alone, with a reason and an end', async () => {
  const page = await open(browser, program.url);
  // The field has the focus as soon as the page asks for a token, which is after it has asked the server.
  await page.locator('#token:focus').waitFor();
  await page.keyboard.type(TOKENS.admin);
  await page.keyboard.press('Enter');
  await page.locator('[data-stream="live"]').waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('ai');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  const ai = row(page, 'ai');
  await ai.locator('[data-command="block"]').waitFor();

  const press = async (command) => {
    for (let tabs = 0; tabs < 80; tabs += 1) {
      if (await page.evaluate((it) => document.activeElement.dataset.command === it, command)) return page.keyboard.press('Enter');
      await page.keyboard.press('Tab');
    }
    throw new Error(`no Tab leads to ${command}`);
  };
  await press('block');
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('dialog[open]').count(), 1, 'without a reason nothing is done');
  await page.keyboard.type('a test of the page');
  await page.keyboard.press('Enter');
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  await until(page, () => document.querySelector('.service .verdict').textContent.includes('forced open'));
  await ai.locator('.holds', { hasText: /^Force open by anna since .* until .*: a test of the page$/ }).waitFor();
  await ai.locator('.timeline', { hasText: /block for 15 min 0 s by anna.*a test of the page/ }).waitFor();

  await press('reset');
  await page.keyboard.type('the test is over');
  await page.keyboard.press('Enter');
  await until(page, () => !document.querySelector('.service .verdict').textContent.includes('forced'));
  await ai.locator('.timeline', { hasText: 'reset by anna' }).waitFor();
  // Escape leaves the details, and goes back to the row.
  await page.keyboard.press('Escape');
  assert.equal(await ai.locator('.below').isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.className), 'open');
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('what a role may not do is not offered, and rejected by the server', async () => {
  for (const [role, offered] of [
    ['viewer', []],
    ['operator', ['block', 'bypass']],
    ['admin', ['block', 'bypass', 'reset']],
  ]) {
    const page = await open(browser, program.url);
    await signIn(page, role);
    const ai = row(page, 'ai');
    await ai.locator('.open').click();
    await ai.locator('.layers li').first().waitFor();
    const shown = await ai.locator('[data-command]').evaluateAll((nodes) => nodes.map((node) => node.dataset.command));
    assert.deepEqual(shown, offered, role);
    assert.equal(await page.locator('#trading [data-command="engage"]').count(), role === 'viewer' ? 0 : 1);
    const status = (command) =>
      page.evaluate(async (it) => {
        const body = JSON.stringify({ command: it, reason: 'a test' });
        const headers = { 'content-type': 'application/json' };
        return (await fetch('api/v1/components/breaker/ai/commands', { method: 'POST', headers, body })).status;
      }, command);
    assert.equal(await status('reset'), role === 'admin' ? 200 : 403, role);
    assert.equal(await status('resume'), role === 'viewer' ? 403 : 200, role);
    await page.context().close();
  }
});

test('the kill switch stops trading, and an alert is acknowledged', async () => {
  const page = await open(browser, program.url);
  await signIn(page, 'admin');
  const command = async (button, reason) => {
    await button.click();
    await page.locator('#reason').fill(reason);
    await page.keyboard.press('Enter');
    await page.locator('dialog[open]').waitFor({ state: 'detached' });
  };
  await command(page.locator('[data-command="engage"]'), 'positions do not match');
  await until(page, () => document.getElementById('why').textContent.startsWith('the kill switch is engaged'));
  assert.equal(await answer(page), 'No');
  await page.getByText(/Kill switch engaged by anna at .*: positions do not match/).waitFor();
  const alert = page.locator('.alerts li.firing', { hasText: 'KillSwitchEngaged' }).or(page.locator('.alerts li.firing', { hasText: /kill switch/i })).first();
  await command(alert.getByRole('button', { name: 'Acknowledge' }), 'I am on it');
  await alert.getByText(/^Known by anna until .*: I am on it$/).waitFor();
  await command(alert.getByRole('button', { name: 'Silence', exact: true }), 'it is known');
  await alert.getByText(/Silenced by anna until .*: it is known$/).waitFor();
  await command(alert.getByRole('button', { name: 'End silence' }), 'it is to be heard again');
  await alert.getByRole('button', { name: 'Silence', exact: true }).waitFor();
  await command(alert.getByRole('button', { name: 'Silence', exact: true }), 'until it is over');
  await command(page.locator('[data-command="release"]'), 'they match again');
  await until(page, () => !document.getElementById('why').textContent.includes('kill switch'));
  // It holds for the next one as well, so it is shown without any.
  await alert.waitFor({ state: 'detached' });
  const silence = page.getByRole('list', { name: 'Silences' }).getByRole('listitem');
  await silence.getByText(/^KillSwitchOn.*: silenced by anna until .*: until it is over$/).waitFor();
  await command(silence.getByRole('button', { name: 'End silence' }), 'it is over');
  await silence.waitFor({ state: 'detached' });
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('has no fault that axe knows of', async () => {
  const axe = await readFile(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
  for (const options of [{ colorScheme: 'dark' }, { colorScheme: 'light' }, { viewport: { width: 390, height: 844 } }]) {
    const page = await open(browser, program.url, { ...options, bypassCSP: true });
    await signIn(page, 'admin');
    await page.locator('.open').first().click();
    await page.locator('.layers li').first().waitFor();
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run());
    const faults = found.violations.map((it) => `${it.id}: ${it.nodes.map((node) => `${node.target} ${node.failureSummary}`).join('; ')}`);
    assert.deepEqual(faults, []);
    await page.context().close();
  }
});

test('is shown to strangers: dark, light, on a phone', async () => {
  for (const [name, options] of [
    ['desktop-dark', { colorScheme: 'dark' }],
    ['desktop-light', { colorScheme: 'light' }],
    ['phone', { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }],
  ]) {
    const page = await open(browser, program.url, options);
    await signIn(page, 'operator');
    await until(page, () => document.getElementById('answer').textContent === 'No');
    await page.screenshot({ path: `${OUT}/${name}.png` });
    await page.locator('.open').first().click();
    await page.locator('.u-legend').first().waitFor();
    await page.waitForTimeout(300);
    await page.screenshot({ path: `${OUT}/${name}-open.png`, fullPage: true });
    // The picture of the README: `docs/dashboard.png`.
    if (name === 'desktop-dark') await page.screenshot({ path: `${OUT}/readme.png`, clip: { x: 0, y: 0, width: 1366, height: 860 }, fullPage: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name} is ${wide} px wider than the window`);
    assert.ok((await stat(`${OUT}/${name}.png`)).size > 10_000);
    await page.context().close();
  }
});

test('a program that ends is shown as lost, and ends in good order', async () => {
  const page = await open(browser, program.url);
  await signIn(page, 'viewer');
  const [code, output] = await program.stop();
  program = null;
  assert.equal(code, 0, output);
  assert.match(output, /stopping\nstopped\n$/);
  await page.locator('[data-stream="stale"]').waitFor();
  assert.match(await page.locator('#lost-words').textContent(), /^Connection lost: .* The figures below are .* old/);
  assert.equal(await answer(page), 'Not known');
  await page.screenshot({ path: `${OUT}/lost.png` });
  await page.context().close();
});
