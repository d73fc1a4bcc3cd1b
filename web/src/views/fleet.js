// A tile a camera, from frames that were uploaded anyway.
import {useState} from 'preact/hooks';
import {colourer} from '../groups.js';
import {mayOperate, sorted, state} from '../store.js';
import {Badge, Empty, Facts, html, Legend, Search, Select, Spark, Toggle} from '../ui.js';
import {ago, count, gainOf, gainText, gainTone, health, names, noPicture, percent, PICTURES, rate, span} from '../words.js';

// When the camera came to the version that it has; 0: longer ago than is known here.
const lastUpdate = series => {
  const at = series ? series.version.findLastIndex((v, i) => i && v > series.version[i - 1]) : -1;
  return at < 0 ? series?.marks.filter(m => m.accepted).pop()?.t_us ?? 0 : series.t_us[at];
};
const updated = (camera, series) => {
  const t_us = lastUpdate(series);
  return t_us || !camera.camera_version ? ago(t_us) : '–';
};
const metric = () => state.health?.metric ?? 'accuracy';
const ORDER = {bad: 0, warn: 1, '': 2, good: 3};

const healthOf = camera => health(camera, state.series.get(camera.id));

const Picture = ({camera, view}) => {
  const [missing, setMissing] = useState('');
  const source = `v1/cameras/${camera.id}/frame?view=${view}&at=${camera.frame_t_us}`;
  return camera.frame_t_us && missing !== source
    ? html`<img loading="lazy" decoding="async" src=${source} width=${camera.width} height=${camera.height} alt="" onError=${() => setMissing(source)}/>`
    : html`<div class="none">${noPicture(camera)}</div>`;
};

const Tile = ({camera, view, colours}) => {
  const series = state.series.get(camera.id), h = health(camera, series), gain = gainOf(camera);
  return html`<li class=${`tile ${h.tone}`} data-camera=${camera.id}>
    <a href=${`#/camera/${camera.id}`} data-item>
      <${Picture} camera=${camera} view=${view}/>
      <div class="name"><h2>${camera.id}</h2><${Badge} tone=${h.tone} title=${h.why}>${h.word}<//></div>
      <div class="score"><span><span class="big" data-value="accuracy">${percent(camera.accuracy)}<small> %</small></span> <span class="soft">${metric()}</span></span>
        <${Spark} series=${series}/></div>
      ${['bad', 'warn'].includes(h.tone) && html`<p class="with reason">${h.why}</p>`}
      <${Facts} rows=${[
        ['gain by adapting', html`<span class=${gainTone(gain)}>${gainText(gain)}</span>`],
        ['version', html`<span data-value="version">${camera.camera_version}</span>${camera.version > camera.camera_version ? ` → ${camera.version}` : ''}`],
        ['last update', updated(camera, series)],
        ['sends', html`<span data-value="up">${rate(camera.up_kbps)}</span> kbit/s`]]}/>
      ${colours.shared(camera.group) && html`<p class="with"><i class="dot" style=${`--group: ${colours.of(camera.group)}`}></i>learns with ${names(colours.others(camera))}</p>`}
    </a></li>`;
};

// The fleet in one sentence.
const Summary = ({cameras, colours}) => {
  const words = new Map(), scored = cameras.filter(c => gainOf(c) != null);
  for (const h of cameras.map(healthOf).sort((a, b) => ORDER[a.tone] - ORDER[b.tone]))
    words.set(h.kind ?? h.word, {tone: h.tone, count: (words.get(h.kind ?? h.word)?.count ?? 0) + 1});
  const mean = f => scored.reduce((sum, c) => sum + f(c), 0) / scored.length, gain = scored.length ? mean(gainOf) : null;
  const sharing = cameras.filter(c => colours.shared(c.group)).length;
  return html`<p class="summary"><b>${count(cameras.length, 'camera')}</b>: ${[...words].map(([word, w], i) => html`${i ? ', ' : ''}<span key=${word} class=${w.tone}>${w.count} ${word}</span>`)}.
    ${scored.length > 0 && html`${' '}On average <b data-value="mean">${percent(mean(c => c.accuracy))} %</b> ${metric()}, <b class=${gainTone(gain)}>${gainText(gain)}</b> against the same students unadapted.`}
    ${sharing > 0 && ` ${sharing === cameras.length ? 'All' : sharing} share what they learn.`}</p>`;
};

const Work = ({health: h}) => h && h.cameras != null && html`<${Facts} kind="strip" rows=${[
  ['frames labelled', h.frames_labelled + (h.label_ms == null ? '' : `, ${Math.round(h.label_ms)} ms each`), 'by the teacher, since the server started'],
  ['trainings', h.phases + (h.phases_failed ? `, ${h.phases_failed} failed` : '') + (h.phase_s == null ? '' : `, ${h.phase_s.toFixed(1)} s each`), 'of students, since the server started'],
  ['chunks that wait', h.backlog_chunks, 'a chunk is a few seconds of sampled frames; these have come and are not labelled yet'],
  ['workers', h.worker, 'the processes that train'], ['server runs for', span(h.uptime_s * 1e6)]]}/>`;

const First = () => html`<${Empty}>
  <h2>No camera has joined yet</h2>
  ${state.session?.auth && html`<p>Here, a code for the camera: <code>attune access code gate</code></p>
    <p>At the camera, with that code: <code>attune camera enroll --server ${location.origin} --code CODE</code></p>`}
  <p>On a computer at the camera:</p>
  <p><code>attune camera --server ${location.origin} --id gate --student student.onnx --source rtsp://…</code></p>
  <p>or, where the camera only streams, in the server's configuration file:</p>
  <pre>cameras:
  gate:
    source: rtsp://camera.example/stream</pre>
  ${mayOperate() && html`<p class="soft">Its tile is here as soon as it has said hello.</p>`}
<//>`;

const passes = (camera, text, only) => (!text || camera.id.includes(text.toLowerCase()) || (camera.group ?? '').includes(text.toLowerCase()))
  && (only !== 'trouble' || ['bad', 'warn'].includes(healthOf(camera).tone));

const sorters = {
  name: () => 0,
  accuracy: (a, b) => (a.accuracy ?? 2) - (b.accuracy ?? 2),
  trouble: (a, b) => ORDER[healthOf(a).tone] - ORDER[healthOf(b).tone],
};

const groupsOf = (cameras, by) => {
  if (by !== 'group')
    return [[null, cameras]];
  const all = new Map();
  for (const c of cameras)
    all.set(c.group, [...all.get(c.group) ?? [], c]);
  return [...all];
};

const keep = (key, value) => {
  try {
    localStorage[key] = value;
  } catch { /* a browser without storage forgets */ }
};
const kept = (key, standard) => {
  try {
    return localStorage[key] ?? standard;
  } catch {
    return standard;
  }
};

export const Fleet = () => {
  const [text, setText] = useState(''), [only, setOnly] = useState('all');
  const [view, setView] = useState(kept('view', 'student')), [sort, setSort] = useState(kept('sort', 'name'));
  const cameras = sorted(), colours = colourer(state.groups);
  if (cameras.length === 0)
    return state.health ? html`<h1 tabindex="-1">Fleet</h1><${First}/>` : html`<h1 tabindex="-1">Fleet</h1><p class="soft">loading…</p>`;
  const shown = cameras.filter(c => passes(c, text, only)).sort(sorters[sort] ?? sorters.name);
  const set = (setter, key) => value => {
    keep(key, value);
    setter(value);
  };
  return html`<h1 tabindex="-1">Fleet</h1><${Summary} cameras=${cameras} colours=${colours}/>
    <${Work} health=${state.health}/>
    <div class="tools"><${Search} label="find" value=${text} onInput=${setText}/>
      <${Select} label="show" value=${only} onChange=${setOnly} options=${[['all', 'all cameras'], ['trouble', 'those with trouble']]}/>
      <${Select} label="order" value=${sort} onChange=${set(setSort, 'sort')} options=${[['name'], ['accuracy', 'worst accuracy first'], ['trouble', 'trouble first'], ['group', 'by group']]}/>
      <span class="field pick">picture<${Toggle} label="picture" value=${view} onChange=${set(setView, 'view')} options=${PICTURES}/></span><${Legend} view=${view}/></div>
    ${shown.length === 0 && html`<${Empty}>No camera fits. <button type="button" onClick=${() => {
      setText('');
      setOnly('all');
    }}>show all ${cameras.length}</button><//>`}
    ${groupsOf(shown, sort).map(([group, members]) => html`<section key=${group ?? ''}>
      ${group && html`<h2 class="group"><i class="dot" style=${`--group: ${colours.of(group)}`}></i>group ${group}, ${members.length} camera${members.length > 1 ? 's' : ''}</h2>`}
      <ul class="tiles">${members.map(c => html`<${Tile} key=${c.id} camera=${c} view=${view} colours=${colours}/>`)}</ul></section>`)}`;
};
