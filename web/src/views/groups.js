// Who learns with whom, since when, and why.
import {colourer, Lines, Map_} from '../groups.js';
import {sorted, state} from '../store.js';
import {Columns, Empty, html} from '../ui.js';
import {ago, bytes, names, percent, points, when} from '../words.js';

const HEADS = [['cameras'], ['accuracy', 'mean of the members'], ['unadapted', 'what the same students would have without learning'], ['version'],
  ['share of training', 'the part of the time for training that it gets in this window'], ['next should bring', 'what a training just now is expected to gain'],
  ['updates made', 'in all, for all members'], ['sent', 'in all: members that need the same update are sent the same bytes']];

const Table = ({groups, colours}) => html`<div class="scroll"><table><caption>Groups</caption>
  <${Columns} of=${HEADS}/>
  <tbody>${groups.groups.map(g => html`<tr key=${g.id} data-group=${g.id}><th scope="row"><i class="dot" style=${`--group: ${colours.of(g.id)}`}></i>
      <a href=${`#/models/${g.id}`} title=${`group ${g.id}`} data-item>${g.cameras.join(', ')}</a></th>
    <td>${percent(g.accuracy)} %</td><td>${percent(g.accuracy_unadapted)} %</td><td data-value="version">${g.version}</td>
    <td>${g.share == null ? '–' : `${percent(g.share)} %${g.trains ? ', trains now' : ''}`}</td><td>${g.gain == null ? '–' : `${points(g.gain)} points`}</td>
    <td>${bytes(g.encoded_bytes)}</td><td>${bytes(g.served_bytes)}</td></tr>`)}</tbody></table></div>`;

const Why = ({groups}) => {
  const decisions = groups.decided?.decisions ?? [];
  return decisions.length > 0 && html`<section class="card"><h2>Why each camera is where it is</h2>
    <ol class="events">${decisions.map(d => html`<li key=${d.camera}><time>${d.t_us ? when(d.t_us) : ''}</time>
      <span class="kind"><a href=${`#/camera/${d.camera}`}>${d.camera}</a></span><span>${d.text}</span></li>`)}</ol></section>`;
};

const Requests = ({groups}) => groups.requests?.length > 0 && html`<section class="card"><h2>Cameras whose world has changed</h2>
  <ol class="events">${groups.requests.map(r => html`<li key=${r.id}><time>${ago(r.t_us)}</time>
    <span class="kind"><a href=${`#/camera/${r.camera}`}>${r.camera}</a></span><span>${r.text}</span></li>`)}</ol></section>`;

const Moves = ({groups}) => {
  const moves = groups.memberships.filter(m => m.since_us > 0).slice(-40).reverse();
  return moves.length > 0 && html`<section class="card"><h2>Who came to which group</h2>
    <ol class="events">${moves.map(m => html`<li key=${m.camera + m.since_us}><time>${when(m.since_us)}</time>
      <span class="kind"><a href=${`#/camera/${m.camera}`}>${m.camera}</a></span><span>to ${m.group}: ${m.reason}</span></li>`)}</ol></section>`;
};

const NAMED = 3; // groups, in the sentence
const sentence = groups => {
  const shared = groups.groups.filter(g => g.cameras.length > 1);
  const now = shared.length > NAMED ? `Now there are ${shared.length} groups of several.` : shared.length ? `Now: ${shared.map(g => names(g.cameras)).join('; ')}.` : 'Now each learns alone.';
  return `${now} Compute goes by policy ${groups.sharing} (${groups.division}), grouping by ${groups.grouping}.`;
};

export const Groups = () => {
  const groups = state.groups, cameras = sorted(), colours = colourer(groups);
  if (!groups)
    return html`<h1 tabindex="-1">Groups</h1><p class="soft">loading…</p>`;
  return html`<h1 tabindex="-1">Groups</h1>
    <p class="soft">Cameras that see alike share a model, and what one of them teaches it helps all. ${sentence(groups)}</p>
    ${cameras.length === 0 ? html`<${Empty}>No camera has joined yet.<//>` : html`
    <section class="card"><div class="parts"><${Map_} cameras=${cameras} groups=${groups} colours=${colours}/>
      <${Lines} cameras=${cameras} groups=${groups} colours=${colours}/></div>
      <p class="soft">One colour: cameras that share a model; grey: alone. On the left where the cameras are, on the right which group each was in, and its accuracy now.
        Dashed ring: its world has changed, and it is being tried whose model fits. Red ring: the camera itself is dirty or blind.</p></section>
    <section class="card"><${Table} groups=${groups} colours=${colours}/></section>
    <${Requests} groups=${groups}/><${Why} groups=${groups}/><${Moves} groups=${groups}/>`}`;
};
