// A browser, the program that the page is of, and what both have in common.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Where screenshots go. */
export const OUT = process.env.DASHBOARD_OUT ?? fileURLToPath(new URL('../../target/dashboard', import.meta.url));

export const TOKENS = { viewer: 'token-of-the-viewer-1', operator: 'token-of-the-operator-1', admin: 'token-of-the-admin-1' };
const NAMES = { viewer: 'vera', operator: 'olga', admin: 'anna' };

export const launch = () => chromium.launch({ executablePath: CHROMIUM, args: FLAGS });

/** A page that notes what it logs and which hosts it asks. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1366, height: 900 }, colorScheme: 'dark', ...options });
  const page = await context.newPage();
  page.errors = [];
  page.foreign = [];
  page.on('console', (message) => message.type() === 'error' && page.errors.push(message.text()));
  page.on('pageerror', (error) => page.errors.push(error.stack));
  page.on('request', (request) => request.url().startsWith(`${url}/`) || page.foreign.push(request.url()));
  page.setDefaultTimeout(15_000);
  if (url !== 'about:blank') await page.goto(`${url}/dashboard`);
  return page;
}

export async function signIn(page, role) {
  await page.locator('#token').fill(TOKENS[role]);
  await page.keyboard.press('Enter');
  await page.locator('[data-stream="live"]').waitFor();
}

/** The row of a service. */
export const row = (page, name) => page.locator('.service', { has: page.locator('.name', { hasText: new RegExp(`^${name}$`) }) });

/** Waits until a check of the page holds. */
export const until = (page, check, argument, timeout = 30_000) => page.waitForFunction(check, argument, { timeout, polling: 100 });

/** Runs the trading desk, and answers where it serves. */
export async function desk(...options) {
  const program = process.env.TRADING_DESK;
  if (!program) throw new Error('TRADING_DESK is not set: run scripts/dashboard_test.sh');
  const tokens = Object.entries(TOKENS).map(([role, token]) => `${role} ${NAMES[role]} ${token}`);
  const child = spawn(program, ['--serve', '127.0.0.1:0', ...options], {
    env: { ...process.env, SEAWALL_ADMIN_TOKENS: tokens.join(';') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const url = await new Promise((resolve, reject) => {
    child.stdout.on('data', (data) => {
      output += data;
      const found = /(http:\/\/\S+)\/dashboard\n/.exec(output);
      if (found) resolve(found[1]);
    });
    child.once('exit', (code) => reject(new Error(`the trading desk has ended: ${code}\n${output}`)));
  });
  return {
    url,
    async stop() {
      child.kill('SIGINT');
      return [await ended, output];
    },
  };
}
