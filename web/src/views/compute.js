// What the machine does with its processors over time, and why.
import {useMemo} from 'preact/hooks';
import {Chart} from '../chart.js';
import {state, useResource} from '../store.js';
import {Columns, html, Trouble} from '../ui.js';
import {names, percent, when} from '../words.js';

const KINDS = [['infer', 'inference', '--k-infer'], ['label', 'labelling', '--k-label'], ['profile', 'profiling', '--k-profile'], ['train', 'training', '--k-train']];
const SMOOTH = 3; // samples: trainings are entered a slice at a time
const lines = [...KINDS].reverse().map(([, , colour]) => ({colour, area: colour}));

const smooth = values => values.map((_, i) => {
  const near = values.slice(Math.max(0, i - SMOOTH + 1), i + 1);
  return near.reduce((a, b) => a + b, 0) / near.length;
});

// Each kind on top of those before: drawn from the highest, so that the lower ones cover it.
const stack = series => {
  const used = KINDS.map(([kind]) => smooth(series.used[kind]));
  const tops = [];
  used.forEach((v, k) => tops.push(v.map((x, i) => x + (k ? tops[k - 1][i] : 0))));
  return {used, data: [series.t_us.map(t => t / 1e6), ...tops.reverse()]};
};

const History = ({series}) => {
  const {used, data} = useMemo(() => stack(series), [series]);
  const top = series.capacity, format = v => String(Number(v.toFixed(2)));
  return html`<${Chart} label="processors in use over time, by kind of work" data=${data} lines=${lines} theme=${state.theme} height=${260}
      range=${(_, low, high) => [0, Math.min(Math.max(top, high ?? 0), Math.max(2 * (high ?? 0), top / 10)) * 1.05]} format=${format}>${cursor => {
    const at = cursor ?? data[0].length - 1, sum = used.reduce((s, v) => s + v[at], 0), why = series.why[at];
    return html`${KINDS.map(([kind, word, colour], k) => html`<span key=${kind}><i class="square" style=${`--group: var(${colour})`}></i>${word}${' '}
        <b>${used[k][at].toFixed(2)}</b></span>`)}
      <span><i class="square idle"></i>idle or others’ <b>${Math.max(0, top - sum).toFixed(2)}</b> of ${top.toFixed(1)} processors</span>
      <span>${cursor == null ? 'now' : `at ${when(series.t_us[at])}`}</span>
      <span class="why">${why ? why.split('\n').map((line, i) => html`<span key=${i}>${line}<br/></span>`) : 'nobody trained'}</span>`;
  }}<//>`;
};

// The account in rows: cameras, whose frames are inferred and labelled, and groups, whose models are trained.
const rowsOf = account => {
  const rows = new Map();
  for (const a of account) {
    const group = a.kind === 'train', key = `${group ? 1 : 0}/${a.camera}`;
    const row = rows.get(key) ?? {key, group, id: a.camera, used: {}, planned_s: 0, total_s: 0, used_s: 0};
    row.used[a.kind] = a.used_s;
    row.planned_s += a.planned_s;
    row.used_s += a.used_s;
    row.total_s += a.used_total_s;
    rows.set(key, row);
  }
  return [...rows.values()].sort((a, b) => a.key < b.key ? -1 : 1);
};

const Bar = ({row, most}) => html`<span class="bar" aria-hidden="true">${KINDS.map(([kind, word, colour]) => row.used[kind] > 0 && html`<i key=${kind} title=${word}
  style=${`width: ${row.used[kind] / most * 100}%; background: var(${colour})`}></i>`)}</span>`;

const HEADS = [['for'], ['', ''], ...KINDS.map(([, word]) => [word]), ['planned', 'by the scheduler'], ['since the start']];

const Account = ({compute}) => {
  const known = new Map((state.groups?.groups ?? []).map(g => [g.id, g]));
  const rows = rowsOf(compute.account).filter(r => r.used_s || r.planned_s || !r.group || known.has(r.id)), most = Math.max(...rows.map(r => r.used_s), 1e-3);
  const name = r => r.group ? `model of ${names(known.get(r.id)?.cameras ?? [r.id])}` : r.id || 'all cameras';
  return html`<div class="scroll"><table class="account"><caption>The last ${Math.round(compute.window_s)} s, in processor seconds</caption><${Columns} of=${HEADS}/>
  <tbody>${rows.map(r => html`<tr key=${r.key}><th scope="row" title=${r.group ? `group ${r.id}` : undefined}>${name(r)}</th><td><${Bar} row=${r} most=${most}/></td>
    ${KINDS.map(([kind]) => html`<td key=${kind}>${r.used[kind] == null ? '' : r.used[kind].toFixed(1)}</td>`)}
    <td>${r.planned_s ? r.planned_s.toFixed(1) : ''}</td><td>${r.total_s.toFixed(1)}</td></tr>`)}</tbody></table></div>`;
};

const membersOf = id => id && names(state.groups?.groups.find(g => g.id === id)?.cameras ?? [id]);

const Reasons = ({schedule}) => {
  const rows = [...schedule.groups ?? [], ...(schedule.cameras ?? []).filter(c => !(schedule.groups ?? []).some(g => g.group === c.camera))];
  return rows.length > 0 && html`<section class="card"><h2>What is trained now, and why</h2>
    <p class="soft">On the left the part of the time for training that each group gets. Policy ${schedule.policy}, by ${schedule.division}${schedule.micro_windows ? `: ${schedule.used} of ${schedule.micro_windows} micro-windows of this window are over` : ''}.</p>
    <ol class="events">${rows.map(g => html`<li key=${g.group ?? g.camera}><time>${g.share == null ? '' : `${percent(g.share)} %`}</time>
      <span class=${`kind ${g.why === 'train' ? 'good' : ''}`}>${membersOf(g.group) ?? g.camera}</span><span>${g.reason}</span></li>`)}</ol></section>`;
};

const Workers = ({workers}) => workers?.length > 0 && html`<section class="card"><div class="scroll"><table><caption>Workers, the processes that train</caption>
  <${Columns} of=${[['worker'], ['state'], ['trains now'], ['groups that it has'], ['share', 'in processors'], ['restarts']]}/>
  <tbody>${workers.map(w => html`<tr key=${w.worker}><th scope="row">${w.worker}</th><td>${w.state}</td><td>${w.group || 'nobody'}</td><td>${w.groups.join(', ')}</td>
    <td>${w.share.toFixed(2)}</td><td>${w.restarts}</td></tr>`)}</tbody></table></div></section>`;

export const Compute = () => {
  const series = useResource('v1/compute/series', 5000, true), compute = useResource('v1/compute', 2000, true), schedule = useResource('v1/schedule', 2000);
  const c = compute.data;
  return html`<h1 tabindex="-1">Compute</h1>
    <p class="soft">What the server does with its processors: inference for cameras that only stream, labelling by the teacher, profiling (short trial trainings) and
      training.${c && html` <b data-value="capacity">${c.capacity.toFixed(1)}</b> processors are shared; shares are kept by ${c.means} (${c.reason}).`}</p>
    <section class="card"><h2>Processors in use</h2><${Trouble} answer=${series} what="The history"/>
      ${series.data && (series.data.t_us.length > 1 ? html`<${History} series=${series.data}/>` : html`<p class="soft">The first samples come ten seconds after the start.</p>`)}</section>
    ${schedule.data && html`<${Reasons} schedule=${schedule.data}/>`}
    <section class="card"><${Trouble} answer=${compute} what="The account"/>${c && html`<${Account} compute=${c}/>`}</section>
    ${c && html`<${Workers} workers=${c.workers}/>`}`;
};
