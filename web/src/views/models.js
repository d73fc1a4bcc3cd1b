// Versions of each group: what the gate measured, what they weigh, and the way back.
import {useState} from 'preact/hooks';
import {send} from '../api.js';
import {mayOperate, state, useResource} from '../store.js';
import {Badge, Columns, Confirm, Empty, html, Trouble} from '../ui.js';
import {ago, bytes, gainTone, percent, points, when} from '../words.js';

const Rollback = ({group, version, now, onDone}) => {
  const [busy, setBusy] = useState(false), [error, setError] = useState('');
  const act = async yes => {
    if (!yes)
      return onDone();
    setBusy(true);
    try {
      await send('POST', `v1/groups/${group.id}/rollback`, {version: version.version});
      onDone();
    } catch (e) {
      setError(e.message);
      setBusy(false);
    }
  };
  return html`<${Confirm} title=${`Go back to version ${version.version}?`} verb=${`roll back to ${version.version}`} busy=${busy} error=${error} onDone=${act}>
    <p>${group.cameras.length > 1 ? `The ${group.cameras.length} cameras of this group (${group.cameras.join(', ')})` : group.cameras[0]} will run
      the weights of version ${version.version} instead of ${now}, under a new number. The frames that were learned from since are not forgotten: learning goes on from
      there. To keep it at this version, pause its learning as well.</p>
    ${version.score_after != null && html`<p class="soft">At the gate this version had ${percent(version.score_after)} %.</p>`}
  <//>`;
};

const HEADS = [['version'], ['decision'], ['when'], ['at the gate', 'on frames that the training did not see, before and after it'], ['points', 'of the gate\'s measure'],
  ['size', 'of the update, of the whole model'], ['why'], [html`<span class="hidden">what one can do</span>`]];

const Version = ({group, v, current, onRollback}) => {
  const change = v.score_before != null && v.score_after != null ? v.score_after - v.score_before : null, now = v.accepted && v.version === current;
  return html`<tr data-version=${v.version} class=${v.accepted ? '' : 'rejected'}><th scope="row">${v.version}</th>
    <td>${now ? html`<${Badge} tone="good">current<//>` : v.accepted ? 'deployed' : html`<${Badge} tone="warn">rejected<//>`}</td>
    <td title=${when(v.t_us)}>${ago(v.t_us)}</td>
    <td>${change == null ? html`<span class="soft">not asked</span>` : `${percent(v.score_before)} → ${percent(v.score_after)} %`}</td><td class=${gainTone(change)}>${change == null ? '' : points(change)}</td>
    <td>${v.accepted ? bytes(v.delta_bytes) : '–'}${v.accepted && v.snapshot_bytes ? html` <span class="soft">of ${bytes(v.snapshot_bytes)}</span>` : ''}</td>
    <td class="reason">${v.reason}</td>
    <td class="buttons">${v.kept && html`<a class="button" download href=${`v1/cameras/${group.cameras[0]}/model.onnx?version=${v.version}`} aria-label=${`download version ${v.version} as ONNX`}>ONNX</a>`}
      ${v.kept && !now && mayOperate() && html`<button type="button" data-rollback=${v.version} onClick=${() => onRollback(v)}>roll back</button>`}</td></tr>`;
};

const Group = ({group, open}) => {
  const [all, setAll] = useState(open), [asked, ask] = useState(null);
  const answer = useResource(`v1/groups/${group.id}/versions?limit=${all ? 500 : 12}`, 1000), data = answer.data;
  return html`<section class="card" data-group=${group.id}><div class="title"><h2>${group.cameras.join(', ')}</h2>
      <span class="soft">group <span title="named after the camera that it began with">${group.id}</span>, version <b data-value="version">${group.version}</b>, ${percent(group.accuracy)} % (unadapted ${percent(group.accuracy_unadapted)} %),${' '}
        ${group.versions} deployed, ${group.rejected} rejected</span></div>
    <${Trouble} answer=${answer} what="The versions"/>
    ${data && (data.versions.length === 0 ? html`<p class="soft">It runs the student as its file has it: no training has been accepted yet.</p>` : html`
      <div class="scroll"><table class="versions"><${Columns} of=${HEADS}/>
        <tbody>${data.versions.map(v => html`<${Version} key=${v.version + '/' + v.t_us} group=${group} v=${v} current=${group.version} onRollback=${ask}/>`)}</tbody></table></div>
      ${!all && data.versions.length === 12 && html`<p><button type="button" onClick=${() => setAll(true)}>all versions</button></p>`}`)}
    ${asked && html`<${Rollback} group=${group} version=${asked} now=${group.version} onDone=${() => ask(null)}/>`}
  </section>`;
};

const Zoo = ({zoo}) => zoo?.length > 0 && html`<section class="card"><h2>Past models</h2>
  <p class="soft">They were good under conditions that may come back; a camera whose world changes tries them first.</p>
  <div class="scroll"><table><thead><tr><th scope="col">model</th><th scope="col">accuracy then</th><th scope="col">size</th><th scope="col">kept since</th><th scope="col">used</th></tr></thead>
  <tbody>${zoo.map(z => html`<tr key=${z.entry}><th scope="row">${z.model}</th><td>${percent(z.accuracy)} %</td><td>${bytes(z.size_bytes)}</td><td>${ago(z.added_us)}</td>
    <td>${z.uses ? `${z.uses} times, ${ago(z.used_us)}` : 'not yet'}</td></tr>`)}</tbody></table></div></section>`;

export const Models = ({id}) => {
  const groups = state.groups?.groups ?? [], shown = id ? groups.filter(g => g.id === id) : groups;
  return html`<h1 tabindex="-1">Models</h1>
    <p class="soft">The versions of each group's model. The gate measures every training on frames that it did not see, and lets through what is better. A version is
      sent as the weights that changed; the whole model goes to cameras that are new or far behind.${mayOperate() ? '' : ' Who may operate can go back to an older version.'}</p>
    ${id && html`<p><a href="#/models">all groups</a></p>`}
    ${!state.groups ? html`<p class="soft">loading…</p>` : shown.length === 0 && html`<${Empty}>${id ? `There is no group “${id}” any more.` : 'No camera has joined yet.'}<//>`}
    ${shown.map(g => html`<${Group} key=${g.id} group=${g} open=${!!id}/>`)}
    <${Zoo} zoo=${state.groups?.decided?.zoo}/>`;
};
