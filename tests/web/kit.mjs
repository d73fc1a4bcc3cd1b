// A real server with cameras of the synthetic town, and a browser that notes what it should not have met.
import {spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {createRequire} from 'node:module';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const program = process.env.ATTUNE_PROGRAM ?? join(root, 'build/src/cmd/attune');
const browserPath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const AWAIT_MS = 120000;

const skip = why => {
  console.log(why);
  process.exit(77);
};

export const loadBrowser = () => {
  if (!existsSync(browserPath))
    skip('needs a browser: apt-get install chromium (or CHROMIUM=PATH)');
  try {
    return createRequire(join(root, 'web/')) ('playwright-core').chromium;
  } catch {
    return skip('needs playwright-core: npm ci in web/');
  }
};

export const launch = chromium => chromium.launch({executablePath: browserPath, args: ['--no-sandbox', '--disable-gpu']});

export const sleep = ms => new Promise(done => setTimeout(done, ms));

// Until `look` gives something true; what it threw or gave last is in the message.
export const until = async (what, look, limit_ms = AWAIT_MS) => {
  let last;
  for (const end = Date.now() + limit_ms; Date.now() < end; await sleep(60)) {
    last = await Promise.resolve().then(look).catch(e => {
      last = e;
      return false;
    });
    if (last)
      return last;
  }
  throw new Error(`waited in vain: ${what}`);
};

// ---- processes ----

const running = new Set();

const run = (args, options = {}) => {
  const child = spawn(program, args, {stdio: ['pipe', 'pipe', 'pipe'], env: {...process.env, OMP_NUM_THREADS: '1'}, ...options});
  child.text = '';
  child.stdout.on('data', d => child.text += d);
  child.stderr.on('data', d => child.text = (child.text + d).slice(-20000));
  child.over = new Promise(done => child.on('exit', code => {
    running.delete(child);
    done(code);
  }));
  running.add(child);
  return child;
};

export const command = async (args, input) => {
  const child = run(args);
  child.stdin.end(input ?? '');
  const code = await child.over;
  if (code !== 0)
    throw new Error(`attune ${args.join(' ')}: ${child.text}`);
  return child.text;
};

export const end = async (child, signal = 'SIGTERM') => {
  if (!running.has(child))
    return;
  child.kill(signal);
  await child.over;
};

export const endAll = async () => {
  await Promise.all([...running].map(c => end(c, 'SIGKILL')));
};

export const makeFolder = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-web-'));
  await writeFile(join(folder, 'night.yaml'), 'scenario: night\nkeyframes:\n  - {t_s: 0, night: 0.9, rain: 0.5, traffic: 0.4, crowd: 0.4}\n');
  return {folder, remove: () => rm(folder, {recursive: true, force: true})};
};

const model = name => join(root, 'models', `town-${name}.onnx`);

// Trains often, little and without a gate: every training is a version. port 0: any. Resolves when it listens.
export const startServer = async (state, port = 0, more = []) => {
  const child = run(['server', '--state', state, '--student', model('student'), '--teacher', model('teacher'), '--listen', 'off', '--http', `127.0.0.1:${port}`,
    '--chunk-s', '1', '--period-s', '1', '--frames-min', '2', '--steps', '4', '--batch', '2', '--preset', 'full', '--window-s', '8', '--sampling-fps-max', '2', ...more]);
  const found = await until('the server listens', () => /http port (\d+)/.exec(child.text) ?? running.has(child) === false);
  if (found === true)
    throw new Error(`the server ended: ${child.text}`);
  child.base = `http://127.0.0.1:${found[1]}/`;
  return child;
};

export const startCamera = (folder, server, i, count) => run(['camera', '--server', server.base.slice(0, -1), '--student', model('student'), '--id', `cam-${i}`, '--state', join(folder, `cam-${i}`),
  '--source', `town:scenario=${join(folder, 'night.yaml')},camera=${i},cameras=${count},width=320,height=192,fps=2`, '--seconds', '600']);

export const api = server => async path => {
  const answer = await fetch(new URL(path, server.base));
  if (!answer.ok)
    throw new Error(`${path}: ${answer.status}`);
  return answer.json();
};

// ---- the browser ----

// A page that notes errors, broken policies and requests to elsewhere in `notes`.
export const openPage = async (browser, url, options) => {
  const page = await browser.newPage(options), notes = [];
  page.on('pageerror', e => notes.push(`exception: ${e.message}`));
  page.on('console', m => m.type() === 'error' && notes.push(`console: ${m.text()} ${m.location().url}`));
  page.on('request', r => {
    if (new URL(r.url()).origin !== new URL(url).origin)
      notes.push(`asked elsewhere: ${r.url()}`);
  });
  await page.addInitScript(() => addEventListener('securitypolicyviolation', e => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`)));
  await page.goto(url);
  return {page, notes};
};

// Texts whose contrast with their ground is below WCAG AA (4.5, large ones 3).
export const faintTexts = page => page.evaluate(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, ground) => top.slice(0, 3).map((v, i) => v * top[3] / 255 + ground[i] * (1 - top[3] / 255));
  const groundOf = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c[3])
        layers.push(c);
      if (c[3] === 255)
        break;
    }
    return layers.reverse().reduce((ground, layer) => over(layer, ground), [255, 255, 255]);
  };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const faint = [];
  for (const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); walker.nextNode();) {
    const element = walker.currentNode.parentElement, style = getComputedStyle(element);
    if (!walker.currentNode.data.trim() || !element.checkVisibility({visibilityProperty: true}) || element.closest(':disabled, noscript, script, svg'))
      continue;
    const ground = groundOf(element), a = light(over(rgba(style.color), ground)), b = light(ground);
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05), px = parseFloat(style.fontSize);
    if (ratio < (px >= 24 || px >= 18.6 && style.fontWeight >= 700 ? 3 : 4.5))
      faint.push(`"${walker.currentNode.data.trim().slice(0, 40)}" ${ratio.toFixed(2)}`);
  }
  return faint;
});
