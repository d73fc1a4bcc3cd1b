// The page in a real browser on a real server: what it shows is what the interface says, it follows what happens, its buttons
// do what they say, and it says when something is wrong.
import assert from 'node:assert/strict';
import {join} from 'node:path';
import {api, command, end, endAll, faintTexts, launch, loadBrowser, makeFolder, openPage, startCamera, startServer, until} from './kit.mjs';

const CAMERAS = 2;
const chromium = loadBrowser();
const {folder, remove} = await makeFolder();
const state = join(folder, 'state');
let server, cameras = [], browser, page, notes, get;

const text = selector => page.locator(selector).first().innerText();
const shown = (selector, what) => until(what ?? `${selector} is there`, () => page.locator(selector).first().isVisible());
const heading = () => text('h1');
const clean = () => assert.deepEqual(notes.splice(0), []);
const goTo = async (hash, title) => {
  await page.evaluate(h => location.hash = h, hash);
  await until(`the page ${title}`, async () => (await heading()) === title);
};
const percent = v => (v * 100).toFixed(1);

const HASHES = ['fleet', 'camera/cam-0', 'accuracy', 'groups', 'compute', 'network', 'models', 'samples', 'settings', 'events'];

// ---- the tests, in the order in which the fleet comes to life ----

const emptyFleet = async () => {
  await shown('.empty', 'an empty fleet says what to do next');
  assert.match(await text('.empty'), /attune camera/);
  await shown('.live .dot', 'it says that it is live');
  for (const name of HASHES.filter(h => !['fleet', 'camera/cam-0', 'settings', 'events'].includes(h))) {
    await page.evaluate(h => location.hash = h, `#/${name}`);
    await until(`${name} of an empty fleet`, async () => !/loading|failed|undefined|NaN/.test(await page.locator('main').innerText()));
  }
  await goTo('#/fleet', 'Fleet');
};

const camerasAppear = async () => {
  cameras = Array.from({length: CAMERAS}, (_, i) => startCamera(folder, server, i, CAMERAS));
  for (let i = 0; i < CAMERAS; i++)
    await shown(`[data-camera=cam-${i}] img`, `a tile with the picture of cam-${i}, without a reload`);
  await until('the picture of a tile is loaded', () => page.evaluate(() => document.querySelector('.tile img').naturalWidth > 0));
  await until('the version in a tile grows without a reload', async () => Number(await text('[data-camera=cam-0] [data-value=version]')) >= 1);
};

const settle = async () => {
  await until('every group has versions to go back to', async () => {
    const {groups} = await get('v1/groups');
    const kept = await Promise.all(groups.map(async g => (await get(`v1/groups/${g.id}/versions`)).versions.filter(v => v.kept)));
    return groups.length && kept.every(k => k.length >= 2);
  });
  await Promise.all(cameras.map(c => end(c)));
  await until('all chunks are labelled', async () => (await get('v1/health')).backlog_chunks === 0);
};

const fleetNumbers = async () => {
  for (let i = 0; i < CAMERAS; i++)
    await until(`the tile of cam-${i} has the interface's numbers`, async () => {
      const c = await get(`v1/cameras/cam-${i}`), tile = `[data-camera=cam-${i}]`;
      return (await text(`${tile} [data-value=accuracy]`)) === `${percent(c.accuracy)} %` && (await text(`${tile} [data-value=version]`)) === String(c.camera_version);
    });
  await page.locator('[data-search]').fill('cam-1');
  await until('only cameras of this name or group', async () => {
    const fit = (await get('v1/cameras')).cameras.filter(c => c.id === 'cam-1' || c.group.includes('cam-1'));
    return await page.locator('.tile').count() === fit.length;
  });
  await page.locator('[data-search]').fill('no such');
  await shown('.empty');
  await page.locator('.empty button').click();
};

const byKeyboard = async () => {
  await page.locator('body').click({position: {x: 5, y: 300}});
  for (const [key, title] of [['a', 'Accuracy'], ['g', 'Groups'], ['c', 'Compute'], ['n', 'Network'], ['m', 'Models'], ['s', 'Samples'], ['e', 'Events'], ['t', 'Settings'], ['f', 'Fleet']]) {
    await page.keyboard.press('g');
    await page.keyboard.press(key);
    await until(`g ${key}`, async () => (await heading()) === title);
    await until(`the title ${title}`, async () => (await page.title()).startsWith(title));
  }
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.evaluate(() => document.activeElement.closest('.tile')?.dataset.camera), 'cam-1');
  await page.keyboard.press('Enter');
  await until('Enter opens the camera', async () => (await heading()) === 'cam-1');
  await page.keyboard.press('[');
  await until('[ goes to the one before', async () => (await heading()) === 'cam-0');
  await page.keyboard.press('?');
  await shown('dialog[open]');
  assert.match(await text('dialog'), /teacher[\s\S]*g f/, 'words and keys');
  await page.keyboard.press('Escape');
  await until('Escape closes the help', async () => await page.locator('dialog[open]').count() === 0);
  const before = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.keyboard.press('d');
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), before);
  await page.keyboard.press('d');
  await page.reload();
  await shown('.chart');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
};

const cameraPage = async () => {
  await goTo('#/camera/cam-0', 'cam-0');
  await until('its accuracy', async () => (await text('.numbers [data-value=accuracy]')) === `${percent((await get('v1/cameras/cam-0')).accuracy)} %`);
  for (const view of ['teacher', 'plain', 'student']) {
    await page.locator('.view .toggle button', {hasText: view}).click();
    await until(`the colours of the ${view} picture have names`, async () =>
      view === 'plain' ? await page.locator('.colours').count() === 0 : /road/.test(await text('.colours')));
    await until(`the ${view} picture`, () => page.evaluate(() => document.querySelector('.view img')?.complete && document.querySelector('.view img').naturalWidth === 320));
  }
  await page.locator('.chart .plot').focus();
  await page.keyboard.press('ArrowLeft');
  await until('arrow keys read the chart', async () => /at \d\d:\d\d/.test(await text('.chart .key')));
  await until('its decisions', async () => await page.locator('.events li').count() > 2);
  await goTo('#/camera/nobody', 'nobody');
  assert.match(await text('.notice'), /no camera/);
};

const otherPages = async () => {
  await goTo('#/accuracy', 'Accuracy');
  await until('a chart a camera', async () => await page.locator('.chart canvas').count() === CAMERAS);
  await page.locator('.toggle button', {hasText: 'groups'}).click();
  await until('a chart a group', async () => await page.locator('.chart canvas').count() === (await get('v1/groups')).groups.length);
  await goTo('#/groups', 'Groups');
  const {groups} = await get('v1/groups');
  for (const g of groups)
    await until(`version of ${g.id}`, async () => (await text(`[data-group="${g.id}"] [data-value=version]`)) === String((await get('v1/groups')).groups.find(x => x.id === g.id).version));
  await goTo('#/network', 'Network');
  await until('what a camera sent', async () => (await text('tr[data-camera=cam-0]')).includes(`of ${(await get('v1/cameras/cam-0')).uplink_kbps}`));
  await goTo('#/samples', 'Samples');
  const worst = (await get('v1/cameras/cam-0/samples?limit=3')).samples[0];
  await until('the worst sample, with its agreement', async () => (await text(`[data-t="${worst.t_us}"] [data-value=agreement]`)) === `${percent(worst.agreement)} %`);
  await until('three pictures of it', () => page.evaluate(t => [...document.querySelectorAll(`[data-t="${t}"] img`)].filter(i => i.naturalWidth === 320).length === 3, String(worst.t_us)));
  await goTo('#/settings', 'Settings');
  await until('a setting', async () => (await text('[data-setting=chunk_s] [data-value=value]')) === '1');
  assert.match(await text('[data-setting=chunk_s]'), /command line/);
  await goTo('#/events', 'Events');
  const events = (await get('v1/events?format=json&before=0&limit=30&without=labelled,scheduled')).events;
  for (const e of events.slice(-5))
    await until(`event ${e.id}`, async () => (await text(`[data-event="${e.id}"]`)).includes(e.reason.replace(/\s+/g, ' ')));
  await page.locator('select').first().selectOption('camera_joined');
  await until('only what is asked for', async () => await page.locator('.events li').count() === CAMERAS);
  await goTo('#/nonsense', 'Nothing here');
};

const pauseAndRetrain = async () => {
  await goTo('#/camera/cam-0', 'cam-0');
  const retrain = page.locator('button', {hasText: 'retrain now'});
  await retrain.focus();
  await page.keyboard.press('Enter');
  await shown('dialog[open]');
  await page.keyboard.press('Escape');
  await until('the focus is where it was', () => retrain.evaluate(b => b === document.activeElement));
  await page.route('**/retrain', r => r.fulfill({status: 403, json: {error: 'who may view cannot do this'}}));
  await page.keyboard.press('Enter');
  await page.locator('dialog .primary').click();
  await until('why it is refused', async () => (await text('dialog .notice')).includes('who may view'));
  await page.locator('dialog button', {hasText: 'cancel'}).click();
  await page.unroute('**/retrain');
  notes.length = 0; // the 403
  for (let i = 0; i < CAMERAS; i++) {
    await goTo(`#/camera/cam-${i}`, `cam-${i}`);
    await page.locator('button', {hasText: 'pause learning'}).click();
    await page.locator('dialog button', {hasText: 'pause'}).first().click();
    await until('the server has paused it', async () => (await get(`v1/cameras/cam-${i}`)).paused);
    await shown('.badge.warn');
  }
};

const rollBack = async () => {
  await goTo('#/models', 'Models');
  const group = (await get('v1/groups')).groups[0], at = `section[data-group="${group.id}"]`;
  const oldest = page.locator(`${at} [data-rollback]`).last();
  await shown(`${at} [data-rollback]`);
  const to = Number(await oldest.getAttribute('data-rollback'));
  await oldest.click();
  assert.match(await text('dialog'), new RegExp(`version ${to}\\b`));
  await page.locator('dialog .primary').click();
  await until('the dialog is gone', async () => await page.locator('dialog').count() === 0);
  const event = await until('the event', async () => (await get('v1/events?format=json&before=0&limit=50')).events.find(e => e.kind === 'rolled_back'));
  assert.equal(event.to, to);
  await until('the page shows what is served now', async () => { // a training that was under way may have come before it
    const {version} = (await get('v1/groups')).groups.find(x => x.id === group.id);
    return version > group.version && (await text(`${at} [data-value=version]`)) === String(version);
  });
  const model = await fetch(new URL(await page.locator(`${at} a[download]`).first().getAttribute('href'), server.base));
  assert.equal(model.status, 200);
  assert.ok((await model.arrayBuffer()).byteLength > 10000);
};

// Late, since it takes two samples, one each five seconds.
const computePage = async () => {
  await goTo('#/compute', 'Compute');
  assert.equal(Number(await until('the capacity', () => text('[data-value=capacity]'))), (await get('v1/compute')).capacity);
  await until('a history of compute', async () => (await get('v1/compute/series')).t_us.length > 1);
  await shown('.chart canvas', 'the shares over time');
  const {used} = await get('v1/compute/series');
  assert.ok(used.train.some(v => v > 0) && used.label.some(v => v > 0));
};

const everyWidthAndColour = async () => {
  for (const [width, colorScheme] of [[360, 'light'], [1280, 'dark']]) {
    await page.setViewportSize({width, height: 800});
    await page.emulateMedia({colorScheme});
    for (const name of HASHES) {
      await page.evaluate(h => location.hash = h, `#/${name}`);
      await until(`${name} is there`, async () => await page.locator('h1').count() && !(await page.locator('main').innerText()).includes('loading…'));
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, `${name} scrolls sideways at ${width}`);
      assert.deepEqual(await faintTexts(page), [], `${name}, ${colorScheme}`);
    }
  }
};

const serverGone = async () => {
  await goTo('#/fleet', 'Fleet');
  clean();
  const port = Number(new URL(server.base).port);
  await end(server, 'SIGKILL');
  await shown('.gone-bar', 'it says that the server is gone');
  assert.match(await text('.gone-bar'), /No connection since \d\d:\d\d/);
  assert.ok(await page.locator('.tile').count() === CAMERAS, 'what was there stays');
  for (const name of ['camera/cam-0', 'compute', 'network', 'models', 'samples']) { // each asks for something itself
    await page.evaluate(h => location.hash = h, `#/${name}`);
    await until(`${name} says so, too`, async () => /No connection/.test(await text('.gone-bar')) && /\w/.test(await heading()));
    assert.doesNotMatch(await text('main'), /view failed/);
  }
  await goTo('#/settings', 'Settings');
  server = await startServer(state, port, ['--auth=false']);
  await page.evaluate(() => dispatchEvent(new Event('online'))); // its next try need not wait
  await until('it is live again by itself', async () => await page.locator('.gone-bar').count() === 0 && (await text('.live')) === 'live');
  await shown('[data-setting=chunk_s]', 'what could not be loaded comes');
  await page.goBack();
  await until('the page before', async () => (await heading()) !== 'Settings');
  notes.length = 0; // requests that failed meanwhile
};

const firstUser = async () => {
  server = await startServer(state);
  ({page, notes} = await openPage(browser, server.base));
  await shown('form.login');
  assert.match(await text('form.login'), /no users yet[\s\S]*sudo attune user add NAME --role operate --state/, 'how the first user is added');
  const told = await page.locator('body').innerText();
  for (const secret of [folder, 'cam-0', 'town-student'])
    assert.ok(!told.includes(secret), `${secret} is not for strangers`);
  await command(['user', 'add', 'ann', '--role', 'view', '--state', state, '--password-file', '-'], 'correct horse battery\n');
};

const login = async () => {
  notes.length = 0; // 401 is what it has to get
  await page.locator('[name=user]').fill('ann');
  await page.locator('[name=password]').fill('wrong');
  await page.keyboard.press('Enter');
  await until('a wrong password is said', async () => /wrong/.test(await text('.notice')));
  notes.length = 0;
  await page.locator('[name=password]').fill('correct horse battery');
  await page.keyboard.press('Enter');
  await until('the fleet after the right one', async () => (await heading()) === 'Fleet');
  assert.match(await text('header'), /ann \(view\)/);
  await goTo('#/camera/cam-0', 'cam-0');
  assert.match(await text('.numbers + p'), /You may look/);
  await goTo('#/models', 'Models');
  await shown('.versions', 'the versions');
  assert.match(await text('main'), /Who may operate/);
  assert.equal(await page.locator('main button').filter({hasNotText: 'all versions'}).count(), 0, 'no button that is refused');
  clean();
  await page.locator('button', {hasText: 'log out'}).click();
  await shown('form.login');
};

// A fleet as it may come: fifty cameras, names as long as they may be, one that never said anything, no groups, and a
// computer whose clock is an hour ahead of the server's. The real answers, made more.
const strangeFleet = async () => {
  const {cameras: [model]} = await get('v1/cameras'), series = await get('v1/cameras/cam-0/series');
  const alive = () => ({...model, seen_us: Date.now() * 1000, frame_t_us: 0, paused: false, drift: null, requests: []});
  let reason = 'no route to the camera';
  const silent = () => ({...model, id: 'never', group: '', state: 'no picture yet', fps: 0, created_us: 0, seen_us: 0, frame_t_us: 0, accuracy: null, accuracy_unadapted: null,
    version: 0, camera_version: 0, sampling_fps: 0, inference: null, infers_at: 'server', stream: {running: false, starts: 3, reason}, requests: []});
  const ids = Array.from({length: 49}, (_, i) => `camera-at-the-corner-of-${'a'.repeat(37)}-${10 + i}`);
  const fleet = () => [silent(), ...ids.map(id => ({...alive(), id, group: id}))];
  const other = await openPage(browser, 'about:blank');
  const strange = other.page, at = server.base;
  await strange.setViewportSize({width: 360, height: 800});
  await strange.emulateMedia({reducedMotion: 'reduce'});
  await strange.addInitScript(() => {
    const now = Date.now;
    Date.now = () => now() + 3600e3;
  });
  const answer = (path, json) => strange.route(path, r => r.fulfill({json: json(r.request().url()), headers: {Date: new Date().toUTCString()}}));
  await answer(/v1\/cameras\/[^/?]+$/, url => fleet().find(c => url.endsWith(c.id)));
  await answer(/v1\/cameras\/[^/]+\/series/, () => series);
  await answer(/v1\/cameras\/[^/]+\/samples/, () => ({samples: []}));
  await answer(/v1\/cameras$/, () => ({cameras: fleet()}));
  await answer(/v1\/groups$/, () => ({sharing: 'attune', division: 'plans', policy: 'attune', grouping: 'none', groups: [], memberships: [], requests: []}));
  await strange.goto(at);
  const tiles = strange.locator('.tile');
  await until('fifty tiles', async () => await tiles.count() === 50);
  const told = await strange.locator('main').innerText();
  assert.doesNotMatch(told, /silent/, 'ages are by the clock of the server');
  assert.match(told, /50 cameras: 1 no picture/);
  assert.match(await strange.locator('[data-camera=never]').innerText(), /no route to the camera/);
  reason = 'wrong password';
  await strange.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await until('what is no event is seen, too', async () => /wrong password/.test(await strange.locator('[data-camera=never]').innerText()));
  assert.equal(await strange.evaluate(() => getComputedStyle(document.querySelector('.tile')).transitionDuration), '0s');
  await tiles.nth(30).scrollIntoViewIfNeeded();
  const y = await strange.evaluate(() => scrollY), id = await tiles.nth(30).getAttribute('data-camera');
  await tiles.nth(30).locator('a').click();
  await until('the camera of the tile', async () => (await strange.locator('h1').innerText()) === id);
  await strange.goBack();
  await until('back where the fleet was left', async () => Math.abs(await strange.evaluate(() => scrollY) - y) < 50);
  await strange.goForward();
  await until('forward again', async () => (await strange.locator('h1').innerText()) === id);
  for (const name of ['camera/never', ...HASHES.map(h => h.replace('cam-0', ids[1]))]) {
    await strange.evaluate(h => location.hash = h, `#/${name}`);
    await until(`${name} is there`, async () => !/loading…/.test(await strange.locator('main').innerText()));
    assert.equal(await strange.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, `${name} of a strange fleet scrolls sideways`);
    assert.doesNotMatch(await strange.locator('main').innerText(), /view failed|undefined|NaN/, name);
  }
  assert.deepEqual(other.notes.filter(n => !/asked elsewhere/.test(n)), []);
  await strange.close();
};

// What the checks above are for is found when it is there.
const checksFind = async () => {
  await page.evaluate(() => {
    const p = document.querySelector('main').appendChild(document.createElement('p'));
    p.textContent = 'faint';
    p.style.color = '#8a8a8a';
    p.style.background = '#fff';
  });
  assert.match((await faintTexts(page)).join(), /faint/);
  await page.evaluate(() => document.querySelector('main').lastChild.setAttribute('style', 'color: red'));
  await until('a broken policy is noted', () => notes.some(n => /policy: style-src/.test(n)));
  await page.evaluate(() => fetch('http://127.0.0.1:9/').catch(() => 0));
  await until('a request to elsewhere is noted', () => notes.some(n => /policy: connect-src|asked elsewhere/.test(n)));
  notes.length = 0;
};

// ---- all of them ----

const timed = async test => {
  const start = Date.now();
  await test();
  console.log(`${test.name}: ${Date.now() - start} ms`);
};

try {
  server = await startServer(state, 0, ['--auth=false']);
  get = api(server);
  browser = await launch(chromium);
  ({page, notes} = await openPage(browser, server.base));
  for (const test of [emptyFleet, camerasAppear, settle, fleetNumbers, byKeyboard, cameraPage, otherPages, pauseAndRetrain, rollBack, computePage, everyWidthAndColour, strangeFleet, checksFind]) {
    await timed(test);
    clean();
  }
  await timed(serverGone);
  await page.close();
  await end(server);
  await timed(firstUser);
  await timed(login);
} catch (e) {
  console.error(e);
  console.error(`at ${page?.url()}; notes: ${notes?.join('\n')}`);
  console.error(await page?.locator('body').innerText().then(t => t.slice(0, 2000)).catch(() => ''));
  console.error(server?.text.slice(-1500));
  process.exitCode = 1;
} finally {
  await browser?.close();
  await endAll();
  await remove();
}
