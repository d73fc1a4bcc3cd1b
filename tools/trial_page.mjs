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
// A picture of the stream that has come, and another one after it.
const shown = () => [...document.querySelectorAll('img')].filter(i => i.complete && i.naturalWidth > 32).map(i => i.src).join();
await page.waitForFunction(`(${shown})() !== ''`, null, WAIT);
say(`the first picture of ${camera}`);
await page.screenshot({path: join(out, 'first.png')});
const before = await page.evaluate(shown);
await page.waitForFunction(`(before => { const now = (${shown})(); return now && now !== before; })(${JSON.stringify(before)})`, null, WAIT);
say('a newer one');
await page.screenshot({path: join(out, 'fleet.png')});
await page.goto(`${url}/#/camera/${camera}`);
await page.waitForTimeout(3000);
await page.screenshot({path: join(out, 'camera.png')});
await browser.close();
