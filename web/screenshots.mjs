// Every page in pictures: npm run screenshots -- http://127.0.0.1:8080/ FOLDER
// 1280x800 and 390x844, light; fleet, camera and compute dark as well. Needs a Chromium (CHROMIUM=PATH).
import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {chromium} from 'playwright-core';

const [base, folder] = process.argv.slice(2);
if (!folder) {
  console.error('usage: npm run screenshots -- URL FOLDER');
  process.exit(2);
}
const SIZES = {desktop: {width: 1280, height: 800}, phone: {width: 390, height: 844}};
const SETTLE_MS = 1200;
await mkdir(folder, {recursive: true});
const cameras = (await (await fetch(new URL('v1/cameras', base))).json()).cameras;
const busiest = [...cameras].sort((a, b) => b.chunks - a.chunks)[0]?.id;
const pages = ['fleet', ...busiest ? [`camera/${busiest}`] : [], 'accuracy', 'groups', 'compute', 'network', 'models', 'samples', 'events', 'settings'];
const dark = new Set(['fleet', `camera/${busiest}`, 'compute', 'groups']);

const browser = await chromium.launch({executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox']});
for (const [size, viewport] of Object.entries(SIZES))
  for (const colorScheme of ['light', 'dark']) {
    const page = await browser.newPage({viewport, colorScheme});
    await page.goto(base);
    for (const name of pages.filter(p => colorScheme === 'light' || dark.has(p))) {
      await page.evaluate(hash => location.hash = hash, `#/${name}`);
      await page.waitForTimeout(SETTLE_MS);
      const path = join(folder, `${name.split('/')[0]}-${size}${colorScheme === 'dark' ? '-dark' : ''}.png`);
      await page.screenshot({path});
      console.log(path);
    }
    await page.close();
  }
await browser.close();
