// Accuracy over time of every camera, or of every group, with one cursor.
import {useEffect, useMemo, useState} from 'preact/hooks';
import {AccuracyChart, range} from '../accuracy_chart.js';
import {colourer} from '../groups.js';
import {loadWhole, sorted, state} from '../store.js';
import {Empty, html, Search, Toggle} from '../ui.js';
import {names} from '../words.js';

const CHARTS = 12; // at once
// Of a group's mean: fine while there is little.
const stepOf = members => {
  const ends = members.filter(s => s.t_us.length).flatMap(s => [s.t_us[0], s.t_us[s.t_us.length - 1]]);
  return Math.max(...ends) - Math.min(...ends) < 60e6 ? 5e5 : 5e6;
};

const none = [];

// The members' means, in steps of time; the group's marks are those of any member.
const meanSeries = members => {
  const bins = new Map(), step_us = stepOf(members);
  for (const s of members)
    s.t_us.forEach((t, i) => {
      if (s.accuracy[i] == null)
        return;
      const at = Math.floor(t / step_us) * step_us, b = bins.get(at) ?? [0, 0, 0];
      bins.set(at, [b[0] + s.accuracy[i], b[1] + (s.accuracy_unadapted[i] ?? 0), b[2] + 1]);
    });
  const t_us = [...bins.keys()].sort((a, b) => a - b), marks = new Map();
  for (const s of members)
    s.marks.forEach(m => marks.set(`${m.version}/${m.t_us}`, m));
  return {t_us, accuracy: t_us.map(t => bins.get(t)[0] / bins.get(t)[2]),
    accuracy_unadapted: t_us.map(t => bins.get(t)[1] / bins.get(t)[2]), marks: [...marks.values()]};
};

// One scale for all charts that are shown, so that they compare.
const commonLimits = all => {
  let low = 1, high = 0;
  for (const s of all)
    for (const v of s ? s.accuracy.concat(s.accuracy_unadapted) : [])
      if (v != null) {
        low = Math.min(low, v);
        high = Math.max(high, v);
      }
  return range(null, low, high);
};

const One = ({title, href, note, ids, series, bands, limits}) => html`<section class="card"><div class="title">
    <h2><a href=${href} data-item>${title}</a></h2><span class="soft">${note}</span></div>
  ${series && series.t_us.length > 1 ? html`<${AccuracyChart} label=${`accuracy of ${title} over time`} series=${series} ids=${ids} bands=${bands} limits=${limits}/>`
    : html`<p class="soft">no labelled frames yet</p>`}</section>`;

const OfCamera = ({camera, colours, limits}) => {
  useEffect(() => {
    if (camera.created_us)
      loadWhole(camera.id);
  }, [camera.id, !camera.created_us]);
  return html`<${One} title=${camera.id} href=${`#/camera/${camera.id}`} ids=${[camera.id]} series=${state.series.get(camera.id)} bands=${colours.bands(camera.id)} limits=${limits}
    note=${colours.shared(camera.group) ? `learns with ${names(colours.others(camera))}` : 'learns alone'}/>`;
};

const OfGroup = ({group, limits}) => {
  const members = group.cameras.map(id => state.series.get(id)).filter(Boolean);
  const series = useMemo(() => meanSeries(members), members);
  return html`<${One} title=${group.id} href=${`#/models/${group.id}`} ids=${group.cameras} series=${series} bands=${none} limits=${limits}
    note=${`mean of ${names(group.cameras)}`}/>`;
};

export const Accuracy = () => {
  const [by, setBy] = useState('camera'), [text, setText] = useState(''), [most, setMost] = useState(CHARTS);
  const colours = colourer(state.groups), fits = id => id.includes(text.toLowerCase());
  const cameras = sorted().filter(c => fits(c.id) || fits(c.group)), groups = (state.groups?.groups ?? []).filter(g => fits(g.id) || g.cameras.some(fits));
  const count = by === 'camera' ? cameras.length : groups.length;
  const limits = commonLimits((by === 'camera' ? cameras.slice(0, most).map(c => c.id) : groups.slice(0, most).flatMap(g => g.cameras)).map(id => state.series.get(id)));
  return html`<h1 tabindex="-1">Accuracy</h1>
    <p class="soft">How well each camera's student agrees with the teacher (${state.health?.metric ?? 'accuracy'}, on each frame before anything was learned from it),
      and how well the same student would without adapting (dashed): the room between the lines is what adapting brings. A coloured band along the top: the
      camera shared a model with others (the colours are those of <a href="#/groups">Groups</a>). Marks say what happened; point at one to read why.</p>
    <div class="tools"><${Toggle} label="lines of" value=${by} onChange=${setBy} options=${[['camera', 'cameras'], ['group', 'groups']]}/>
      <${Search} label="find" value=${text} onInput=${setText}/></div>
    ${count === 0 && html`<${Empty}>${state.cameras.size ? 'Nothing fits.' : 'No camera has joined yet.'}<//>`}
    <div class="cards">${by === 'camera' ? cameras.slice(0, most).map(c => html`<${OfCamera} key=${c.id} camera=${c} colours=${colours} limits=${limits}/>`)
      : groups.slice(0, most).map(g => html`<${OfGroup} key=${g.id} group=${g} limits=${limits}/>`)}</div>
    ${count > most && html`<p><button type="button" onClick=${() => setMost(most + CHARTS)}>show ${Math.min(CHARTS, count - most)} more of ${count}</button></p>`}`;
};
