// Accuracy over time of one camera or group: adapted, the unadapted student as a ghost, and what happened.
import {useMemo} from 'preact/hooks';
import {Chart, columns, markKinds} from './chart.js';
import {concerns, state} from './store.js';
import {html} from './ui.js';
import {percent, when} from './words.js';

const NEAR_US = 15e6; // a mark this near to the cursor is explained

const lines = [{colour: '--adapted', area: '--shade'}, {colour: '--ghost', ghost: true}];
export const range = (_, low, high) => [Math.max(0, Math.floor((low ?? 0) * 10 - .3) / 10), Math.min(1, Math.ceil((high ?? 1) * 10 + .1) / 10)];
const format = v => Math.round(v * 100) + ' %';

const EVENT_MARKS = {drift_request: 'drift', rolled_back: 'rolled_back', retrain_asked: 'retrain'};

// Versions of the series, and what the events tell of these cameras; in time.
export const marksOf = (series, ids) => {
  const versions = series.marks.map(m => ({t_us: m.t_us, kind: m.accepted ? 'accepted' : 'rejected', text: `v${m.version}: ${m.reason}`}));
  const told = state.events.filter(e => EVENT_MARKS[e.kind] && ids.some(id => concerns(e, id)))
    .map(e => ({t_us: e.t_us, kind: EVENT_MARKS[e.kind], text: `${e.camera ? e.camera + ': ' : ''}${e.reason}`}));
  return versions.concat(told).sort((a, b) => a.t_us - b.t_us);
};

const nearest = (marks, t_us) => {
  let best = null;
  for (const m of marks)
    if (!best || Math.abs(m.t_us - t_us) < Math.abs(best.t_us - t_us))
      best = m;
  return best && Math.abs(best.t_us - t_us) < NEAR_US ? best : null;
};

const signs = Object.fromEntries(markKinds.map(k => [k.kind, k]));

// A mark may be newer than the newest frame that is labelled: the chart goes on as far.
const withRoom = (data, marks) => {
  const last = marks.length ? marks[marks.length - 1].t_us / 1e6 : 0, at = data[0].length - 1;
  return at >= 0 && last > data[0][at] ? data.map((column, i) => [...column, i ? null : last]) : data;
};

const lastOf = column => {
  let at = column.length - 1;
  while (at > 0 && column[at] == null)
    at--;
  return at;
};

export const AccuracyChart = ({label, series, ids, bands, limits, height}) => {
  const newest = state.events[0]?.id;
  const marks = useMemo(() => marksOf(series, ids).filter(m => m.t_us >= series.t_us[0]), [series, newest]);
  const data = useMemo(() => withRoom(columns(series.t_us, [series.accuracy, series.accuracy_unadapted]), marks), [series, marks]);
  const shown = markKinds.filter(k => marks.some(m => m.kind === k.kind));
  return html`<${Chart} label=${label} data=${data} lines=${lines} range=${range} limits=${limits} format=${format} theme=${state.theme}
      marks=${marks} bands=${bands} height=${height}>${cursor => {
    const at = cursor ?? lastOf(data[1]), t_us = data[0][at] * 1e6, mark = cursor == null ? null : nearest(marks, t_us);
    return html`<span title="the student as it learns"><i class="line"></i>adapted <b>${percent(data[1][at])} %</b></span>
      <span title="the same student as its file has it"><i class="line ghost"></i>unadapted <b>${percent(data[2][at])} %</b></span>
      ${cursor == null ? shown.map(k => html`<span key=${k.kind} title=${k.why}><span class=${`mark ${k.kind}`}>${k.sign}</span> ${k.word}</span>`) : html`<span>at ${when(t_us)}</span>`}
      ${mark && html`<span class="why"><span class=${`mark ${mark.kind}`}>${signs[mark.kind].sign}</span> ${signs[mark.kind].word} ${mark.text}</span>`}`;
  }}<//>`;
};
