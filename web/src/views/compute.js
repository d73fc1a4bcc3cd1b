// What the machine does with its processors over time, and why.
import {useMemo} from 'preact/hooks';
import {Chart} from '../chart.js';
import {state, useResource} from '../store.js';
import {html, Trouble} from '../ui.js';
import {clock, percent} from '../words.js';

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
  const top = series.capacity, format = v => v.toFixed(v % 1 ? 1 : 0);
  return html`<${Chart} label="processors in use over time, by kind of work" data=${data} lines=${lines} theme=${state.theme} height=${260}
      range=${(_, low, high) => [0, Math.max(top, high ?? 0) * 1.05]} format=${format}>${cursor => {
    const at = cursor ?? data[0].length - 1, sum = used.reduce((s, v) => s + v[at], 0), why = series.why[at];
    return html`${KINDS.map(([kind, word, colour], k) => html`<span key=${kind}><i class="square" style=${`--group: var(${colour})`}></i>${word}${' '}
        <b>${used[k][at].toFixed(2)}</b></span>`)}
      <span><i class="square idle"></i>idle or others’ <b>${Math.max(0, top - sum).toFixed(2)}</b> of ${top.toFixed(1)} processors</span>
      <span>${cursor == null ? 'now' : `at ${clock(series.t_us[at])}`}</span>
      <span class="why">${why ? why.split('\n').map((line, i) => html`<span key=${i}>${line}<br/></span>`) : 'nobody trained'}</span>`;
  }}<//>`;
};

const Account = ({compute}) => html`<div class="scroll"><table><caption>The last ${Math.round(compute.window_s)} s, in seconds of one processor</caption>
  <thead><tr><th scope="col">for</th><th scope="col">work</th><th scope="col">share</th><th scope="col">planned</th><th scope="col">used</th><th scope="col">used in all</th></tr></thead>
  <tbody>${compute.account.map(a => html`<tr key=${a.camera + a.kind}><th scope="row">${a.camera || 'all'}</th><td>${KINDS.find(k => k[0] === a.kind)?.[1] ?? a.kind}</td>
    <td>${a.share ? a.share.toFixed(2) : '–'}</td><td>${a.planned_s.toFixed(1)}</td><td>${a.used_s.toFixed(1)}</td><td>${a.used_total_s.toFixed(1)}</td></tr>`)}</tbody></table></div>`;

const Reasons = ({schedule}) => {
  const rows = [...schedule.groups ?? [], ...(schedule.cameras ?? []).filter(c => !(schedule.groups ?? []).some(g => g.group === c.camera))];
  return rows.length > 0 && html`<section class="card"><h2>What the scheduler says now</h2>
    <p class="soft">Policy ${schedule.policy}, by ${schedule.division}${schedule.micro_windows ? `: ${schedule.used} of ${schedule.micro_windows} micro-windows of this window are over` : ''}.</p>
    <ol class="events">${rows.map(g => html`<li key=${g.group ?? g.camera}><time>${g.share == null ? '' : `${percent(g.share)} %`}</time>
      <span class=${`kind ${g.why === 'train' ? 'good' : ''}`}>${g.group ?? g.camera}</span><span>${g.reason}</span></li>`)}</ol></section>`;
};

const Workers = ({workers}) => workers?.length > 0 && html`<div class="scroll"><table><caption>Workers</caption>
  <thead><tr><th scope="col">worker</th><th scope="col">state</th><th scope="col">trains now</th><th scope="col">groups that it has</th><th scope="col">share</th><th scope="col">restarts</th></tr></thead>
  <tbody>${workers.map(w => html`<tr key=${w.worker}><th scope="row">${w.worker}</th><td>${w.state}</td><td>${w.group || 'nobody'}</td><td>${w.groups.join(', ')}</td>
    <td>${w.share.toFixed(2)}</td><td>${w.restarts}</td></tr>`)}</tbody></table></div>`;

export const Compute = () => {
  const series = useResource('v1/compute/series', 5000, true), compute = useResource('v1/compute', 2000, true), schedule = useResource('v1/schedule', 2000);
  const c = compute.data;
  return html`<h1 tabindex="-1">Compute</h1>
    ${c && html`<p class="soft"><span data-value="capacity">${c.capacity.toFixed(1)}</span> processors to share, held by ${c.means}: ${c.reason}.</p>`}
    <section class="card"><h2>Who uses the processors</h2><${Trouble} answer=${series} what="The history"/>
      ${series.data && (series.data.t_us.length > 1 ? html`<${History} series=${series.data}/>` : html`<p class="soft">The first samples come ten seconds after the start.</p>`)}</section>
    ${schedule.data && html`<${Reasons} schedule=${schedule.data}/>`}
    <section class="card"><${Trouble} answer=${compute} what="The account"/>${c && html`<${Account} compute=${c}/><${Workers} workers=${c.workers}/>`}</section>`;
};
