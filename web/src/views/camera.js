// One camera: what it sees and answers, how well, what was decided about it, and what one can do.
import {useEffect, useState} from 'preact/hooks';
import {AccuracyChart} from '../accuracy_chart.js';
import {send} from '../api.js';
import {colourer} from '../groups.js';
import {concerns, loadWhole, mayOperate, sorted, state} from '../store.js';
import {Badge, Confirm, Facts, html, Legend, Toggle} from '../ui.js';
import {ago, bytes, count, gainOf, gainText, gainTone, health, inference, kindOf, names, noPicture, percent, PICTURES, rate, tone, when} from '../words.js';

const View = ({camera}) => {
  const [view, setView] = useState('student'), [missing, setMissing] = useState('');
  const source = `v1/cameras/${camera.id}/frame?view=${view}&at=${camera.frame_t_us}`;
  const text = PICTURES.find(p => p[0] === view)[2];
  return html`<figure class="view">
    ${camera.frame_t_us && missing !== source
      ? html`<img src=${source} width=${camera.width} height=${camera.height} alt=${`newest labelled frame of ${camera.id}: ${text}`} onError=${() => setMissing(source)}/>`
      : html`<div class="none">${noPicture(camera)}</div>`}
    <${Legend} view=${view}/><figcaption><${Toggle} label="picture" value=${view} onChange=${setView} options=${PICTURES}/>
      <span>${text}${camera.frame_t_us ? `, ${ago(camera.frame_t_us)}` : ''}</span></figcaption>
  </figure>`;
};

const ms = s => `${(s * 1e3).toFixed(s < .01 ? 1 : 0)} ms`;
const spread = of => `${ms(of.p50)}, 95 % within ${ms(of.p95)}`;

const Numbers = ({camera, colours}) => {
  const gain = gainOf(camera), told = camera.inference, others = colours.others(camera);
  const rows = [
    ['without adapting', `${percent(camera.accuracy_unadapted)} %`, 'the same student as its file has it, on the same frames'],
    ['gain', html`<span class=${gainTone(gain)}>${gainText(gain)}</span>`, 'what adapting brings just now'],
    ['learns with', html`<a href=${`#/models/${camera.group}`}>${others.length ? names(others) : 'nobody, its model'}</a>`, 'the cameras that share its model and its trainings'],
    ['version', `${camera.camera_version}${camera.version > camera.camera_version ? `, ${camera.version} is on its way` : ''}`, 'of the weights that it runs'],
    ['trainings', `${camera.versions} deployed, ${camera.rejected} rejected`, 'the gate deploys what is better on frames that the training did not see'],
    ['infers', inference(camera), 'where its student runs, and on which part of the frames'],
    told && ['inference takes', `${told.demand.toFixed(2)} processors${told.share == null ? '' : ` of its share of ${told.share.toFixed(2)}`}`, 'to keep up with its frames'],
    told?.timing?.run_s && ['an answer takes', spread(told.timing.run_s), 'of the student, for one frame'],
    told?.timing?.age_s && ['frame to answer', spread(told.timing.age_s), 'how old a frame is when its answer is there'],
    told?.skipped > 0 && ['frames left out', told.skipped, 'to keep up with real time'],
    ['picture', camera.fps ? `${camera.width} × ${camera.height}, ${camera.fps.toFixed(1)} frames a second` : 'none yet'],
    ['samples', `${camera.sampling_fps.toFixed(2)} frames a second`, 'so many frames are sent to be labelled'],
    ['sends', `${rate(camera.up_kbps)} of ${rate(camera.uplink_kbps)} kbit/s, ${bytes(camera.up_bytes)} in all`, 'over the last minute, of what it may send'],
    ['gets', `${rate(camera.down_kbps)} kbit/s, ${bytes(camera.down_bytes)} in all`, 'updates of its model'],
    ['waiting for labels', count(camera.backlog_chunks, 'chunk')],
    ['last heard of', ago(camera.seen_us)], ['state', camera.state],
  ];
  return html`<div class="numbers"><p><span class="big" data-value="accuracy">${percent(camera.accuracy)}<small> %</small></span>
      <span class="soft"> ${state.health?.metric ?? 'accuracy'} with the teacher, over 10 s</span></p>
    <${Facts} rows=${rows}/></div>`;
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
      state.cameras.set(camera.id, {...state.cameras.get(camera.id), ...path === 'learning' && {paused: body.paused}});
      ask(null);
    } catch (e) {
      setError(e.message);
    }
    setBusy(false);
  };
  const action = ACTIONS[asked];
  return html`${!mayOperate() && html`<p class="soft">You may look; who may operate can pause and retrain.</p>`}<div class="actions">
    ${mayOperate() && html`${camera.paused ? html`<button type="button" disabled=${busy} onClick=${() => act('PUT', 'learning', {paused: false})}>resume learning</button>`
      : html`<button type="button" onClick=${() => ask('pause')}>pause learning</button>`}
    <button type="button" disabled=${camera.paused} title=${camera.paused ? 'its learning is paused' : ''} onClick=${() => ask('retrain')}>retrain now</button>`}
    <a class="button" href=${`v1/cameras/${camera.id}/model.onnx`} download>download its model (ONNX)</a>
    <a class="button" href=${`#/samples/${camera.id}`}>doubtful samples</a>
    ${error && !action && html`<p class="notice" role="alert">${error}</p>`}
    ${action && html`<${Confirm} title=${action.title(camera.id)} verb=${action.verb} busy=${busy} error=${error}
      onDone=${yes => yes ? act(action.method, action.path, action.body) : (ask(null), setError(''))}><p>${action.text}</p><//>`}
  </div>`;
};

const Decisions = ({id}) => {
  const events = state.events.filter(e => concerns(e, id)).slice(0, 60);
  return html`<section class="card"><h2>What was decided about it, and why</h2>
    ${events.length === 0 ? html`<p class="soft">nothing yet</p>` : html`<ol class="events">${events.map(e => html`
      <li key=${e.id}><time>${when(e.t_us)}</time><span class=${`kind ${tone(e.kind)}`}>${kindOf(e)}</span>
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
      <p class="soft">The student as it learns, and (dashed) as it would be without: the room between them is what adapting brings. Marks say what happened; point at one to read why.</p>
      <${AccuracyChart} label=${`accuracy of ${id} over time`} series=${series} ids=${[id]} bands=${colours.bands(id)} height=${240}/></section>`}
    <${Decisions} id=${id}/>`;
};
