// The page as a new user opens it: signs in, waits until the camera's picture is there and newer ones follow.
//   trial_page.mjs URL USER PASSWORD CAMERA OUT
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const [url, user, password, camera, out] = process.argv.slice(2);
const web = join(dirname(fileURLToPath(import.meta.url)), '../web/');
const {chromium} = createRequire(web)('playwright-core');
const WAIT = {timeout: 240000};
const started = Date.now();
const say = what => console.log(`${((Date.now() - started) / 1000).toFixed(1)} s ${what}`);

const browser = await chromium.launch({executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu']});
const page = await browser.newPage({ignoreHTTPSErrors: true, viewport: {width: 1280, height: 800}});
await page.goto(url);
await page.fill('input[autocomplete=username]', user, WAIT);
await page.fill('input[type=password]', password);
await page.keyboard.press('Enter');
// A picture of the stream that has come, and another one after it. (Not by waitForFunction: the page's policy forbids eval.)
const shown = async () => {
  const sources = [];
  for (const image of await page.$$('img'))
    if ((await image.evaluate(i => i.complete ? i.naturalWidth : 0)) > 32)
      sources.push(await image.getAttribute('src'));
  return sources.join();
};
const until = async wanted => {
  for (const end = Date.now() + 240000; Date.now() < end; await page.waitForTimeout(100)) {
    const now = await shown().catch(() => '');
    if (wanted(now))
      return now;
  }
  throw new Error('waited in vain for a picture');
};
const before = await until(now => now !== '');
say(`the first picture of ${camera}`);
await page.screenshot({path: join(out, 'first.png')});
await until(now => now !== '' && now !== before);
say('a newer one');
await page.screenshot({path: join(out, 'fleet.png')});
await page.goto(`${url}/#/camera/${camera}`);
await page.waitForTimeout(3000);
await page.screenshot({path: join(out, 'camera.png')});
await browser.close();
