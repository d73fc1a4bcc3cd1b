// The page: one state object, filled from the interface and kept up to date by the event stream.
import {h, render} from 'preact';
import {useEffect, useRef, useState} from 'preact/hooks';
import htm from 'htm';
import {getJson, follow} from './api.js';
import {openChart} from './chart.js';
import {Groups, colourer} from './groups.js';

const html = htm.bind(h);
const EVENTS_MAX = 200, POINTS_MAX = 4000;
const AWAY_US = 120e6; // not heard of for so long: shown as away

const state = {cameras: new Map(), series: new Map(), events: [], health: null, groups: null, live: null, theme: 0};
let redraw = () => {};

// ---- data ----

const mergeSeries = (old, more) => {
  if (!old)
    return more;
  const out = {...more};
  for (const key of Object.keys(more))
    if (key !== 'marks' && Array.isArray(more[key]))
      out[key] = old[key].concat(more[key]).slice(-POINTS_MAX);
  const seen = new Set(old.marks.map(m => m.t_us));
  out.marks = old.marks.concat(more.marks.filter(m => !seen.has(m.t_us))).slice(-500);
  return out;
};

const loading = new Map(); // camera: a load is under way; 'again': another is wanted after it

// What is new since `old`.
const loadSeries = async (id, old) => {
  const since = old?.t_us[old.t_us.length - 1] ?? 0;
  const marksSince = old?.marks.length ? old.marks[old.marks.length - 1].t_us : since;
  const more = await getJson(`v1/cameras/${id}/series?since_us=${since}`);
  // Marks carry the server's time, frames the camera's: ask for those separately.
  if (old && marksSince < since)
    more.marks = (await getJson(`v1/cameras/${id}/series?since_us=${marksSince}&limit=1`)).marks;
  return more;
};

const loadCamera = async id => {
  if (loading.has(id)) {
    loading.set(id, 'again');
    return;
  }
  loading.set(id, 'once');
  try {
    const camera = await getJson(`v1/cameras/${id}`), old = state.series.get(id);
    state.cameras.set(id, camera);
    if (camera.created_us) // otherwise no picture has come yet
      state.series.set(id, mergeSeries(old, await loadSeries(id, old)));
  } catch (e) {
    console.warn(id, e);
  }
  const again = loading.get(id) === 'again';
  loading.delete(id);
  redraw();
  if (again)
    loadCamera(id);
};

const loadAll = async () => {
  try {
    const [list, health] = await Promise.all([getJson('v1/cameras'), getJson('v1/health'), loadGroups()]);
    state.health = health;
    for (const camera of list.cameras) {
      state.cameras.set(camera.id, camera);
      loadCamera(camera.id);
    }
    redraw();
  } catch (e) {
    state.live = false;
    redraw();
  }
};

const loadGroups = async () => {
  state.groups = await getJson('v1/groups').catch(() => state.groups);
};

let due = null; // health and lists are asked for at most twice a second
const loadHealthSoon = () => {
  due ??= setTimeout(async () => {
    due = null;
    state.health = await getJson('v1/health').catch(() => state.health);
    await loadGroups();
    redraw();
  }, 500);
};

const onEvent = event => {
  if (event.kind !== 'labelled') {
    state.events.unshift(event);
    state.events.length = Math.min(state.events.length, EVENTS_MAX);
  }
  if (state.live)
    for (const id of event.cameras ?? (event.camera ? [event.camera] : []))
      loadCamera(id);
  loadHealthSoon();
  redraw();
};

const onState = live => {
  if (live && state.live !== true)
    loadAll();
  state.live = live;
  redraw();
};

// ---- words ----

const percent = v => v == null ? '–' : (v * 100).toFixed(1);
const rate = v => v == null ? '–' : v < 10 ? v.toFixed(1) : Math.round(v).toString();
const clock = us => new Date(us / 1000).toLocaleTimeString([], {hour12: false});
const KIND = {
  accepted: 'deployed', rejected: 'rejected', sampling_changed: 'sampling', camera_joined: 'joined', camera_back: 'back',
  worker_restarted: 'worker lost', phase_failed: 'phase failed', chunk_failed: 'chunk failed',
  backlog_full: 'backlog full', server_started: 'started', stream_failed: 'stream failed',
  training_dropped: 'training dropped', chunk_untrained: 'not trained on',
  stream_lost: 'no picture', stream_back: 'picture back',
  grouped: 'grouping', regrouped: 'grouping', group_joined: 'joined a group', group_left: 'left its group',
  group_refused: 'stays in its group', groups_lost: 'groups lost', model_kept: 'model kept', trial_failed: 'trial failed', drift_request: 'its world changed', camera_fault: 'camera faulty', camera_well: 'camera well',
};

// Where a camera infers, and which part of the frames and of the size where it is not all.
const inference = camera => {
  const told = camera.inference;
  if (told?.source || camera.stream?.reason)
    return 'no picture';
  const words = [camera.infers_at === 'server' ? 'server' : 'camera'];
  if (told && told.rate < 1)
    words.push(`1/${Math.round(1 / told.rate)} rate`);
  if (told && told.resolution < 1)
    words.push(`${Math.round(told.resolution * 100)} %`);
  return words.join(', ');
};

const inferenceNote = (told, stream) => !told ? stream?.reason : [
  `needs ${told.demand.toFixed(2)} processors of ${told.share == null ? 'all' : told.share.toFixed(2)}`,
  `keeps ${percent(told.factor)} % of the accuracy`,
  `${told.skipped} frames left out`, told.source, told.note, stream?.reason].filter(Boolean).join('; ');

// ---- parts ----

const View = ({camera}) => {
  const [view, setView] = useState('student');
  const [missing, setMissing] = useState(false);
  const shape = `--shape: ${camera.width}/${camera.height}`;
  const source = `v1/cameras/${camera.id}/frame?view=${view}&t=${camera.frame_t_us}`;
  useEffect(() => setMissing(false), [source]);
  return html`<div class="view" style=${shape}>
    ${camera.frame_t_us && !missing
      ? html`<img src=${source} alt=${`newest frame of ${camera.id}, ${view}`} onError=${() => setMissing(true)}/>`
      : html`<div class="none">no labelled frame yet</div>`}
    <div class="toggle" role="group" aria-label="what to show">
      ${['image', 'student', 'teacher'].map(name => html`
        <button aria-pressed=${view === name} onClick=${() => setView(name)}>${name}</button>`)}
    </div>
  </div>`;
};

const Numbers = ({camera, metric}) => {
  const gain = camera.accuracy != null && camera.accuracy_unadapted != null ? (camera.accuracy - camera.accuracy_unadapted) * 100 : null;
  return html`<div class="numbers">
    <div>
      <div class="big">${percent(camera.accuracy)}<small> %</small></div>
      <div class="label">${metric} with the teacher, last 10 s</div>
    </div>
    <dl>
      <dt>unadapted</dt><dd>${percent(camera.accuracy_unadapted)} %</dd>
      <dt>gain</dt><dd class=${gain >= 0 ? 'gain' : 'loss'}>${gain == null ? '–' : (gain >= 0 ? '+' : '−') + Math.abs(gain).toFixed(1) + ' points'}</dd>
      <dt>version</dt><dd>${camera.camera_version}${camera.version > camera.camera_version ? ` → ${camera.version}` : ''}</dd>
      <dt>rejected</dt><dd>${camera.rejected}</dd>
      <dt>inference</dt><dd title=${inferenceNote(camera.inference, camera.stream)}>${inference(camera)}</dd>
      <dt>sampling</dt><dd>${camera.sampling_fps.toFixed(2)} fps</dd>
      <dt>up</dt><dd>${rate(camera.up_kbps)} kbit/s</dd>
      <dt>down</dt><dd>${rate(camera.down_kbps)} kbit/s</dd>
    </dl>
  </div>`;
};

// The newest point at or before t_s, or the last.
const pointAt = (series, t_s) => {
  let i = series.t_us.length - 1;
  while (t_s != null && i > 0 && series.t_us[i] / 1e6 > t_s)
    i--;
  return i;
};

const nearestMark = (marks, t_us) => {
  let best = null;
  for (const m of marks)
    if (!best || Math.abs(m.t_us - t_us) < Math.abs(best.t_us - t_us))
      best = m;
  return best && Math.abs(best.t_us - t_us) < 15e6 ? best : null;
};

const Chart = ({series, theme, bands}) => {
  const element = useRef(), chart = useRef();
  const [cursor, setCursor] = useState(null);
  useEffect(() => {
    chart.current = openChart(element.current, series, bands, setCursor);
    return () => chart.current.close();
  }, [theme]);
  useEffect(() => chart.current.update(series, bands), [series, bands]);
  const i = pointAt(series, cursor);
  const mark = cursor != null ? nearestMark(series.marks, cursor * 1e6) : null;
  return html`<div class="chart"><div ref=${element}></div>
    <div class="key">
      <span><i></i>adapted <b>${percent(series.accuracy[i])}</b></span>
      <span><i class="ghost"></i>unadapted <b>${percent(series.accuracy_unadapted[i])}</b></span>
      ${cursor != null
        ? html`<span>${clock(series.t_us[i])}, version <b>${series.version[i]}</b></span>`
        : html`<span><span class="mark">▲</span> deployed  <span class="mark no">✕</span> rejected</span>`}
      ${mark && html`<span class=${mark.accepted ? 'mark' : 'mark no'}>${mark.accepted ? '▲' : '✕'} ${mark.reason}</span>`}
    </div>
  </div>`;
};

const Camera = ({camera, series, metric, theme, colours}) => {
  const silent_us = Date.now() * 1000 - camera.seen_us, away = camera.seen_us > 0 && silent_us > AWAY_US;
  return html`<section class=${'card' + (away ? ' away' : '')}>
    <div class="title"><h2>${camera.id}</h2>
      ${colours.shared(camera.group) && html`<span class="group" style=${`--group: ${colours.of(camera.group)}`}
        title=${colours.why(camera.id)}><i></i>learns with ${colours.others(camera).join(', ') || 'nobody'}</span>`}
      <span>${camera.width} × ${camera.height}${camera.state ? `, ${camera.state}` : ''}</span>
      <span class="right">${away ? `silent for ${Math.round(silent_us / 60e6)} min` : camera.backlog_chunks ? `${camera.backlog_chunks} waiting` : ''}</span>
    </div>
    <div class="body"><${View} camera=${camera}/><${Numbers} camera=${camera} metric=${metric}/></div>
    ${series && series.t_us.length > 1 && html`<${Chart} series=${series} theme=${theme}
      bands=${colours.bands(camera.id)}/>`}
  </section>`;
};

const Facts = ({health}) => health && html`<div class="facts">
  <span>cameras <b>${health.cameras}</b></span>
  <span>training phases <b>${health.phases}</b>${health.phases_failed ? html`, failed <b>${health.phases_failed}</b>` : ''}</span>
  <span>a phase takes <b>${health.phase_s == null ? '–' : health.phase_s.toFixed(1) + ' s'}</b></span>
  <span>a label takes <b>${health.label_ms == null ? '–' : Math.round(health.label_ms) + ' ms'}</b></span>
  <span>waiting chunks <b>${health.backlog_chunks}</b></span>
  <span>worker <b>${health.worker}</b></span>
</div>`;

const Events = ({events}) => html`<section class="card events"><h2>What was decided, and why</h2>
  ${events.length === 0 ? html`<div class="empty">nothing yet</div>` : html`<ol>${events.map(e => html`
    <li key=${e.id}><time>${clock(e.t_us)}</time><span class="who">${e.camera || e.cameras?.join(', ') || 'server'}</span>
      <span class=${'kind ' + e.kind}>${KIND[e.kind] || e.kind}${e.version != null && (e.kind === 'accepted' || e.kind === 'rejected') ? ` v${e.version}` : ''}</span>
      <span>${e.reason}</span></li>`)}</ol>`}
</section>`;

const Empty = () => html`<div class="card empty">
  <p>No camera has joined yet. On a camera:</p>
  <p><code>attune camera --server ${location.origin} --id gate --student student.onnx --source rtsp://…</code></p>
</div>`;

const nextTheme = () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  state.theme++; // charts are drawn anew in the other colours
  redraw();
};

const App = () => {
  const [, set] = useState(0);
  redraw = () => set(n => n + 1);
  const cameras = [...state.cameras.values()].sort((a, b) => a.id < b.id ? -1 : 1);
  const colours = colourer(state.groups);
  return html`<main>
    <header><h1>attune</h1><p>keeps the small models on these cameras accurate</p>
      <span class=${'live' + (state.live ? '' : ' gone')}><i></i>${state.live == null ? 'connecting' : state.live ? 'live' : 'no connection'}</span>
      <button class="theme" onClick=${nextTheme}>dark / light</button></header>
    ${state.live === false && html`<div class="gone-bar" role="alert">The server does not answer. What you see may be old; the page goes on trying.</div>`}
    <${Facts} health=${state.health}/>
    ${cameras.length > 1 && state.groups && html`<${Groups} cameras=${cameras} groups=${state.groups} colours=${colours}/>`}
    ${cameras.length === 0 && state.live && state.health ? html`<${Empty}/>` : html`<div class="cards">
      ${cameras.map(c => html`<${Camera} key=${c.id} camera=${c} series=${state.series.get(c.id)}
        metric=${state.health?.metric ?? 'accuracy'} theme=${state.theme} colours=${colours}/>`)}</div>`}
    <${Events} events=${state.events}/>
  </main>`;
};

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  state.theme++;
  redraw();
});
render(html`<${App}/>`, document.getElementById('app'));
follow(onEvent, onState);
