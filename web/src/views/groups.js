// Who learns with whom, since when, and why.
import {colourer, Lines, Map_} from '../groups.js';
import {sorted, state} from '../store.js';
import {Empty, html} from '../ui.js';
import {ago, bytes, percent, points, when} from '../words.js';

const Table = ({groups, colours}) => html`<div class="scroll"><table><caption>Groups</caption>
  <thead><tr><th scope="col">cameras</th><th scope="col">accuracy</th><th scope="col">unadapted</th><th scope="col">version</th>
    <th scope="col">share of training</th><th scope="col">next should bring</th><th scope="col">updates made, sent</th></tr></thead>
  <tbody>${groups.groups.map(g => html`<tr key=${g.id} data-group=${g.id}><th scope="row"><i class="dot" style=${`--group: ${colours.of(g.id)}`}></i>
      <a href=${`#/models/${g.id}`}>${g.cameras.join(', ')}</a></th>
    <td>${percent(g.accuracy)} %</td><td>${percent(g.accuracy_unadapted)} %</td><td data-value="version">${g.version}</td>
    <td>${g.share == null ? '–' : `${percent(g.share)} %${g.trains ? ', trains now' : ''}`}</td><td>${g.gain == null ? '–' : `${points(g.gain)} points`}</td>
    <td>${bytes(g.encoded_bytes)}, ${bytes(g.served_bytes)}</td></tr>`)}</tbody></table></div>`;

const Why = ({groups}) => {
  const decisions = groups.decided?.decisions ?? [];
  return decisions.length > 0 && html`<section class="card"><h2>Why each camera is where it is</h2>
    <ol class="events">${decisions.map(d => html`<li key=${d.camera}><time>${d.t_us ? when(d.t_us) : ''}</time>
      <span class="kind"><a href=${`#/camera/${d.camera}`}>${d.camera}</a></span><span>${d.text}</span></li>`)}</ol></section>`;
};

const Requests = ({groups}) => groups.requests?.length > 0 && html`<section class="card"><h2>Cameras whose world has changed</h2>
  <ol class="events">${groups.requests.map(r => html`<li key=${r.id}><time>${ago(r.t_us)}</time>
    <span class="kind warn">${r.camera}</span><span>${r.text}</span></li>`)}</ol></section>`;

const Moves = ({groups}) => {
  const moves = groups.memberships.filter(m => m.since_us > 0).slice(-40).reverse();
  return moves.length > 0 && html`<section class="card"><h2>Who came to which group</h2>
    <ol class="events">${moves.map(m => html`<li key=${m.camera + m.since_us}><time>${when(m.since_us)}</time>
      <span class="kind">${m.camera}</span><span>to ${m.group}: ${m.reason}</span></li>`)}</ol></section>`;
};

export const Groups = () => {
  const groups = state.groups, cameras = sorted(), colours = colourer(groups);
  if (!groups)
    return html`<h1 tabindex="-1">Groups</h1><p class="soft">loading…</p>`;
  return html`<h1 tabindex="-1">Groups</h1>
    <p class="soft">Policy <b>${groups.sharing}</b>, by ${groups.division}; grouping: <b>${groups.grouping}</b>. Cameras of one colour share a model and what it
      learns; grey ones learn alone. A dashed ring: the camera's world has changed, and it is being tried whose model fits. A ring in red: the camera itself
      is dirty or blind.</p>
    ${cameras.length === 0 ? html`<${Empty}>No camera has joined yet.<//>` : html`
    <section class="card parts"><${Map_} cameras=${cameras} groups=${groups} colours=${colours}/>
      <${Lines} cameras=${cameras} groups=${groups} colours=${colours}/></section>
    <section class="card"><${Table} groups=${groups} colours=${colours}/></section>
    <${Requests} groups=${groups}/><${Why} groups=${groups}/><${Moves} groups=${groups}/>`}`;
};
