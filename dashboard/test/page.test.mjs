// The page with figures that a real program seldom has: many services, odd names, streams that stall.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, row, until } from './browser.mjs';
import { fake } from './fake.mjs';

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

const live = (page) => page.locator('[data-stream="live"]').waitFor();

test('names, words and reasons are text, whatever is in them', async () => {
  const evil = '<img src=x onerror="window.hacked=1"><b>bold';
  const long = 'x'.repeat(300);
  const server = await fake({ names: [evil, long, '__proto__', 'constructor'] });
  server.change = (view) => {
    view.program = evil;
    view.verdict.words = `no: ${evil} ${long}`;
    for (const service of view.services) {
      service.verdict = `${evil} ${long}`;
      service.last_rejection = { at_unix_ms: 1, pattern: evil, name: evil, reason: evil, words: evil, advice: evil, passed: [evil] };
    }
    view.alerts = [{ id: 1, name: evil, severity: 'critical', state: 'firing', service: evil, words: evil, value: 1, threshold: 1, raised_at_unix_ms: 1, resolved_at_unix_ms: null, labels: {}, runbook: 'javascript:alert(1)', acknowledged: { by: evil, reason: evil, until_unix_ms: 1 }, silenced: null }];
    view.checks = [{ name: evil, status: evil, critical: true, message: evil }];
    view.score = { score: 50, threshold: 60, parts: [{ name: evil, score: 50, weight: 100 }], recommendations: [evil], services: [] };
    return view;
  };
  const page = await open(browser, server.url);
  await live(page);
  for (const button of await page.locator('.open').all()) await button.click();
  await page.locator('.rejects').first().waitFor();
  assert.equal(await page.locator('.service').count(), 4);
  assert.ok((await page.locator('body').textContent()).includes(evil));
  assert.equal(await page.locator('main img, main b').count(), 0);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.deepEqual(page.errors, []);
  for (const width of [1366, 1000, 390, 320]) {
    await page.setViewportSize({ width, height: 800 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${wide} px wider than a window of ${width}`);
  }
  server.close();
  await page.context().close();
});

test('a hundred services are updated in place, without long tasks', async () => {
  const names = Array.from({ length: 100 }, (_, number) => `service-${String(number).padStart(3, '0')}`);
  const server = await fake({ names });
  const page = await open(browser, server.url);
  await live(page);
  assert.equal(await page.locator('.service').count(), 100);
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const busy = async () => (await session.send('Performance.getMetrics')).metrics.find((it) => it.name === 'TaskDuration').value;
  await page.evaluate(() => {
    window.kept = document.querySelector('.service');
    window.text = document.getElementById('live-words').textContent;
    window.longest = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration);
    }).observe({ type: 'longtask' });
  });
  const [before, seconds] = [await busy(), 6];
  await page.waitForTimeout(seconds * 1000);
  const share = ((await busy()) - before) / seconds;
  const { isKept, isNew, longest } = await page.evaluate(() => ({
    isKept: window.kept.isConnected,
    isNew: window.text !== document.getElementById('live-words').textContent,
    longest: window.longest,
  }));
  console.log(`100 services: ${(share * 100).toFixed(1)} % of the main thread, longest task ${Math.round(longest)} ms`);
  assert.ok(isKept && isNew);
  assert.ok(share < 0.25, `${share} of the main thread`);
  assert.ok(longest < 250, `a task of ${longest} ms`);

  await page.locator('#filter').fill('-042');
  assert.equal(await page.locator('.service').count(), 1);
  await page.locator('#filter').fill('nothing');
  await page.getByText('No service has “nothing” in its name.').waitFor();
  server.close();
  await page.context().close();
});

test('rows go by trouble, and the focus stays in its row', async () => {
  const server = await fake({ names: ['a', 'b', 'c'], every: 300 });
  let worst = 'c';
  server.change = (view) => {
    for (const service of view.services) Object.assign(service, service.name === worst ? { level: 'down', trouble: 95 } : { level: 'ok', trouble: 0 });
    return view;
  };
  const page = await open(browser, server.url);
  await live(page);
  const order = () => page.locator('.service .name').allTextContents();
  await until(page, () => document.querySelector('.service .name').textContent === 'c');
  await row(page, 'b').locator('.open').focus();
  worst = 'b';
  await until(page, () => document.querySelector('.service .name').textContent === 'b');
  assert.equal(await page.evaluate(() => document.activeElement.querySelector('.name').textContent), 'b');
  assert.equal((await order()).length, 3);
  server.close();
  await page.context().close();
});

test('figures that are not of now are said to be old, and live again when they come', async () => {
  const server = await fake({ names: ['alpaca'], every: 300 });
  const page = await open(browser, server.url);
  await live(page);
  server.isStalled = true;
  await page.locator('[data-stream="stale"]').waitFor();
  assert.match(await page.locator('#lost-words').textContent(), /^No new figures come\. The figures below are \d+ s old, of /);
  assert.equal(await page.locator('#answer').textContent(), 'Not known');
  const filter = await page.locator('main').evaluate((main) => getComputedStyle(main).filter);
  assert.equal(filter, 'grayscale(1)');
  server.isStalled = false;
  await live(page);
  assert.notEqual(await page.locator('#answer').textContent(), 'Not known');
  assert.equal(await page.locator('#lost').isVisible(), false);

  // A monitor that is stopped sends figures that are not of now, too.
  server.change = (view) => ({ ...view, monitor: { ...view.monitor, is_running: false } });
  await page.locator('#lost', { hasText: 'The monitor of the program is stopped.' }).waitFor();
  server.change = (view) => view;
  await live(page);
  server.close();
  await page.context().close();
});

test('a connection that breaks is tried again, with longer and longer waits', async () => {
  let server = await fake({ names: ['alpaca'] });
  const { url } = server;
  const page = await open(browser, url);
  await live(page);
  let tries = 0;
  page.on('request', (request) => request.url().endsWith('/stream') && (tries += 1));
  server.close();
  await page.locator('#lost', { hasText: 'Connection lost' }).waitFor();
  await page.waitForTimeout(6000);
  assert.ok(tries >= 2 && tries <= 6, `${tries} tries in 6 s`);
  server = await fake({ names: ['alpaca'], port: Number(new URL(url).port) });
  await page.locator('#retry').click();
  await live(page);
  server.close();
  await page.context().close();
});

test('a page that nobody sees lets its connections go, and is live when it is seen again', async () => {
  const server = await fake({ names: ['alpaca'] });
  const page = await open(browser, 'about:blank', {});
  await page.clock.install();
  await page.goto(`${server.url}/dashboard`);
  await live(page);
  const see = (isHidden) =>
    page.evaluate((it) => {
      Object.defineProperty(document, 'hidden', { value: it, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, isHidden);
  const viewers = async (number) => {
    for (let tries = 0; tries < 50 && server.viewers.size !== number; tries += 1) await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(server.viewers.size, number);
  };
  await see(true);
  await page.clock.runFor(20_000);
  await viewers(1);
  await page.clock.runFor(11_000);
  await viewers(0);
  await see(false);
  await viewers(1);
  await page.clock.runFor(1000);
  await live(page);
  server.close();
  await page.context().close();
});

test('less motion where it is asked for', async () => {
  const server = await fake({ names: ['alpaca'] });
  for (const [reducedMotion, expected] of [['no-preference', 'pulse'], ['reduce', 'none']]) {
    const page = await open(browser, server.url, { reducedMotion });
    await live(page);
    const name = await page.locator('#live-dot').evaluate((dot) => getComputedStyle(dot).animationName);
    assert.equal(name, expected);
    await page.context().close();
  }
  server.close();
});
