// One camera: what it sees and answers, how well, what was decided about it, and what one can do.
import {useEffect, useState} from 'preact/hooks';
import {AccuracyChart} from '../accuracy_chart.js';
import {send} from '../api.js';
import {colourer} from '../groups.js';
import {concerns, loadWhole, mayOperate, sorted, state} from '../store.js';
import {Badge, Confirm, html, Toggle} from '../ui.js';
import {ago, bytes, health, inference, kindOf, noPicture, percent, points, rate, tone, when} from '../words.js';

const VIEWS = [['student', 'student'], ['teacher', 'teacher'], ['image', 'plain']];

const View = ({camera}) => {
  const [view, setView] = useState('student'), [missing, setMissing] = useState('');
  const source = `v1/cameras/${camera.id}/frame?view=${view}&at=${camera.frame_t_us}`;
  const text = {student: 'what its student answers', teacher: 'what the teacher says', image: 'as it was sampled'}[view];
  return html`<figure class="view">
    ${camera.frame_t_us && missing !== source
      ? html`<img src=${source} width=${camera.width} height=${camera.height} alt=${`newest labelled frame of ${camera.id}: ${text}`} onError=${() => setMissing(source)}/>`
      : html`<div class="none">${noPicture(camera)}</div>`}
    <figcaption><${Toggle} label="picture" value=${view} onChange=${setView} options=${VIEWS}/>
      <span>${text}${camera.frame_t_us ? `, ${ago(camera.frame_t_us)}` : ''}</span></figcaption>
  </figure>`;
};

const Numbers = ({camera, colours}) => {
  const gain = camera.accuracy != null && camera.accuracy_unadapted != null ? camera.accuracy - camera.accuracy_unadapted : null;
  const told = camera.inference, others = colours.others(camera);
  const rows = [
    ['without adapting', `${percent(camera.accuracy_unadapted)} %`],
    ['gain', html`<span class=${gain >= 0 ? 'good' : 'warn'}>${points(gain)} points</span>`],
    ['learns with', html`<a href=${`#/models/${camera.group}`}>${others.length ? others.join(', ') : 'nobody'}</a>`],
    ['version', `${camera.camera_version}${camera.version > camera.camera_version ? `, ${camera.version} is on its way` : ''}`],
    ['deployed, rejected', `${camera.versions}, ${camera.rejected}`],
    ['infers', inference(camera)],
    told && ['needs', `${told.demand.toFixed(2)} processors of ${told.share == null ? 'all' : told.share.toFixed(2)}`],
    told?.timing?.run_s && ['an inference takes', `${(told.timing.run_s.p50 * 1e3).toFixed(1)} ms, 95 % at most ${(told.timing.run_s.p95 * 1e3).toFixed(1)} ms`],
    told && ['frames left out', told.skipped],
    ['picture', `${camera.width} × ${camera.height}, ${camera.fps.toFixed(1)} fps`],
    ['samples', `${camera.sampling_fps.toFixed(2)} fps`],
    ['up', `${rate(camera.up_kbps)} of ${rate(camera.uplink_kbps)} kbit/s, ${bytes(camera.up_bytes)} in all`],
    ['down', `${rate(camera.down_kbps)} kbit/s, ${bytes(camera.down_bytes)} in all`],
    ['waiting for labels', `${camera.backlog_chunks} chunks`],
    ['heard of', ago(camera.seen_us)], ['state', camera.state],
  ].filter(Boolean);
  return html`<div class="numbers"><p><span class="big" data-value="accuracy">${percent(camera.accuracy)}<small> %</small></span>
      <span class="soft"> ${state.health?.metric ?? 'accuracy'} with the teacher, over 10 s</span></p>
    <dl class="facts">${rows.map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl></div>`;
};

const ACTIONS = {
  pause: {title: id => `Pause the learning of ${id}?`, verb: 'pause', method: 'PUT', path: 'learning', body: {paused: true},
    text: 'Its frames go on being labelled and scored, but nobody trains on them, and it keeps the version that it has until you resume.'},
  retrain: {title: id => `Retrain ${id} now?`, verb: 'retrain', method: 'POST', path: 'retrain', body: {},
    text: 'Its group trains on its newest frames as soon as a worker is free. What comes of it is deployed only if the gate finds it better.'},
};

const Buttons = ({camera}) => {
  const [asked, ask] = useState(null), [busy, setBusy] = useState(false), [error, setError] = useState('');
  const act = async (method, path, body) => {
    setBusy(true);
    setError('');
    try {
      await send(method, `v1/cameras/${camera.id}/${path}`, body);
      state.cameras.set(camera.id, {...camera, ...path === 'learning' && {paused: body.paused}});
      ask(null);
    } catch (e) {
      setError(e.message);
    }
    setBusy(false);
  };
  if (!mayOperate())
    return html`<p class="soft">You may look; who may operate can pause and retrain.</p>`;
  const action = ACTIONS[asked];
  return html`<div class="actions">
    ${camera.paused ? html`<button type="button" disabled=${busy} onClick=${() => act('PUT', 'learning', {paused: false})}>resume learning</button>`
      : html`<button type="button" onClick=${() => ask('pause')}>pause learning</button>`}
    <button type="button" disabled=${camera.paused} onClick=${() => ask('retrain')}>retrain now</button>
    <a class="button" href=${`v1/cameras/${camera.id}/model.onnx`} download>download its model (ONNX)</a>
    <a class="button" href=${`#/samples/${camera.id}`}>doubtful samples</a>
    ${error && !action && html`<p class="notice" role="alert">${error}</p>`}
    ${action && html`<${Confirm} title=${action.title(camera.id)} verb=${action.verb} busy=${busy} error=${error}
      onDone=${yes => yes ? act(action.method, action.path, action.body) : (ask(null), setError(''))}><p>${action.text}</p><//>`}
  </div>`;
};

const Decisions = ({id}) => {
  const events = state.events.filter(e => concerns(e, id)).slice(0, 60);
  return html`<section class="card"><h2>What was decided, and why</h2>
    ${events.length === 0 ? html`<p class="soft">nothing yet</p>` : html`<ol class="events">${events.map(e => html`
      <li key=${e.id}><time>${when(e.t_us)}</time><span class=${`kind ${tone(e.kind)}`}>${kindOf(e.kind)}${e.version != null ? ` v${e.version}` : ''}</span>
        <span>${e.reason}</span></li>`)}</ol>`}
  </section>`;
};

export const Camera = ({id}) => {
  const camera = state.cameras.get(id), series = state.series.get(id), all = sorted();
  useEffect(() => {
    if (camera?.created_us)
      loadWhole(id);
  }, [id, !camera?.created_us]);
  if (!camera)
    return html`<h1 tabindex="-1">${id}</h1>${state.health || state.live === false ? html`<p class="notice" role="alert">There is no camera “${id}” here.
      It may have another name, or has not joined yet. <a href="#/fleet">All cameras</a></p>` : html`<p class="soft">loading…</p>`}`;
  const colours = colourer(state.groups), h = health(camera, series), at = all.findIndex(c => c.id === id);
  return html`<div class="head"><h1 tabindex="-1">${id}</h1><${Badge} tone=${h.tone}>${h.word}<//>
      <nav class="beside" aria-label="other cameras">
        ${at > 0 && html`<a data-previous href=${`#/camera/${all[at - 1].id}`}>← ${all[at - 1].id}</a>`}
        ${at + 1 < all.length && html`<a data-next href=${`#/camera/${all[at + 1].id}`}>${all[at + 1].id} →</a>`}</nav></div>
    ${h.tone !== 'good' && html`<p class="soft">${h.why}</p>`}
    <div class="two"><section class="card"><${View} camera=${camera}/></section>
      <section class="card"><${Numbers} camera=${camera} colours=${colours}/><${Buttons} camera=${camera}/></section></div>
    ${series && series.t_us.length > 1 && html`<section class="card"><h2>Accuracy over time</h2>
      <${AccuracyChart} label=${`accuracy of ${id} over time`} series=${series} ids=${[id]} bands=${colours.bands(id)} height=${240}/></section>`}
    <${Decisions} id=${id}/>`;
};
