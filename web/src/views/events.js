// What was decided, and why; newest first, live.
import {useState} from 'preact/hooks';
import {concerns, loadOlder, sorted, state} from '../store.js';
import {Empty, html, Search, Select} from '../ui.js';
import {clock, day, kindOf, kindWord, names, tone} from '../words.js';

const SHOWN = 200;

export const Events = () => {
  const [kind, setKind] = useState(''), [camera, setCamera] = useState(''), [find, setFind] = useState(''), [most, setMost] = useState(SHOWN), [end, setEnd] = useState(false);
  const kinds = [...new Set(state.events.map(e => e.kind))].sort(), needle = find.toLowerCase();
  const fits = state.events.filter(e => (!kind || e.kind === kind) && (!camera || concerns(e, camera)) && (!needle || `${e.reason} ${e.camera} ${e.kind}`.toLowerCase().includes(needle)));
  const older = async () => {
    if (fits.length > most)
      setMost(most + SHOWN);
    else
      setEnd(await loadOlder().catch(() => 0) === 0);
  };
  return html`<h1 tabindex="-1">Events</h1>
    <p class="soft">What the server and its cameras decided and what befell them, with the reasons; newest first.</p>
    <div class="tools"><${Search} label="find" value=${find} onInput=${setFind}/>
      <${Select} label="what" value=${kind} onChange=${setKind} options=${[['', 'everything'], ...kinds.map(k => [k, kindWord(k)])]}/>
      <${Select} label="camera" value=${camera} onChange=${setCamera} options=${[['', 'all'], ...sorted().map(c => [c.id])]}/></div>
    ${fits.length === 0 ? html`<${Empty}>${state.events.length ? 'No event fits.' : 'Nothing has happened yet.'}<//>` : html`<section class="card"><ol class="events wide">${fits.slice(0, most).map(e => html`
      <li key=${e.id} data-event=${e.id}><time title=${day(e.t_us)}>${clock(e.t_us)}</time><span class="who">${e.camera ? html`<a href=${`#/camera/${e.camera}`}>${e.camera}</a>` : names(e.cameras ?? []) || 'server'}</span>
        <span class=${`kind ${e.kind === 'sampling_changed' ? 'minor' : tone(e.kind)}`}>${kindOf(e)}</span><span>${e.reason}</span></li>`)}</ol></section>`}
    ${!end && state.events.length > 0 && html`<p><button type="button" onClick=${older}>older ones</button></p>`}`;
};
