// What each camera sends and gets, against what it may.
import {useMemo} from 'preact/hooks';
import {Chart, columns} from '../chart.js';
import {sorted, state, useResource} from '../store.js';
import {Empty, html} from '../ui.js';
import {bytes, clock, rate} from '../words.js';

const lines = [{colour: '--k-label', area: '--shade'}, {colour: '--k-train'}, {colour: '--ghost', ghost: true}];
const range = (_, low, high) => [0, Math.max(1, high ?? 1) * 1.05];
const CHARTS = 24;

const History = ({camera, series}) => {
  const data = useMemo(() => columns(series.t_us, [series.up_kbps, series.down_kbps, series.t_us.map(() => camera.uplink_kbps)]), [series, camera.uplink_kbps]);
  return html`<section class="card"><div class="title"><h2><a href=${`#/camera/${camera.id}`} data-item>${camera.id}</a></h2></div>
    <${Chart} label=${`rates of ${camera.id} over time`} data=${data} lines=${lines} range=${range} format=${v => rate(v)} theme=${state.theme} height=${150}>${cursor => {
    const at = cursor ?? data[0].length - 1;
    return html`<span><i class="line up"></i>up <b>${rate(data[1][at])}</b></span><span><i class="line down"></i>down <b>${rate(data[2][at])}</b></span>
      <span><i class="line ghost"></i>may send <b>${rate(camera.uplink_kbps)}</b> kbit/s</span><span>${cursor == null ? '' : `at ${clock(data[0][at] * 1e6)}`}</span>`;
  }}<//></section>`;
};

const newest = group => group?.find(v => v.accepted);

const Updates = ({group}) => {
  const answer = useResource(`v1/groups/${group.id}/versions?limit=40`, 3000);
  const all = (answer.data?.versions ?? []).filter(v => v.accepted && v.delta_bytes && v.snapshot_bytes), last = newest(all);
  const mean = key => all.reduce((s, v) => s + v[key], 0) / all.length;
  return html`<tr data-group=${group.id}><th scope="row"><a href=${`#/models/${group.id}`}>${group.cameras.join(', ')}</a></th>
    <td>${last ? bytes(last.delta_bytes) : '–'}</td><td>${last ? bytes(Math.round(mean('delta_bytes'))) : '–'}</td>
    <td>${last ? bytes(last.snapshot_bytes) : '–'}</td><td>${last ? `${(mean('snapshot_bytes') / mean('delta_bytes')).toFixed(1)} times smaller` : '–'}</td>
    <td>${bytes(group.served_bytes)} in ${group.served} answers</td></tr>`;
};

const Row = ({camera}) => {
  const part = camera.uplink_kbps ? camera.up_kbps / camera.uplink_kbps : 0;
  return html`<tr data-camera=${camera.id}><th scope="row"><a href=${`#/camera/${camera.id}`}>${camera.id}</a></th>
    <td><meter min="0" max="1" high="0.9" value=${Math.min(1, part)} aria-label=${`${Math.round(part * 100)} % of what it may send`}></meter>
      <span data-value="up">${rate(camera.up_kbps)}</span> of ${rate(camera.uplink_kbps)}</td>
    <td>${rate(camera.down_kbps)}</td><td>${camera.sampling_fps.toFixed(2)}</td><td class=${camera.backlog_chunks > 4 ? 'warn' : ''}>${camera.backlog_chunks}</td>
    <td>${camera.chunks}</td><td>${bytes(camera.up_bytes)}</td><td>${bytes(camera.down_bytes)}</td></tr>`;
};

export const Network = () => {
  const cameras = sorted(), groups = state.groups?.groups ?? [];
  const sum = key => cameras.reduce((s, c) => s + (c[key] ?? 0), 0);
  if (!cameras.length)
    return html`<h1 tabindex="-1">Network</h1><${Empty}>No camera has joined yet.<//>`;
  return html`<h1 tabindex="-1">Network</h1>
    <p class="soft">All cameras together send ${rate(sum('up_kbps'))} and get ${rate(sum('down_kbps'))} kbit/s, over the last minute.</p>
    <section class="card"><div class="scroll"><table><caption>Cameras, in kbit/s</caption><thead><tr><th scope="col">camera</th><th scope="col">up, of what it may</th><th scope="col">down</th>
      <th scope="col">samples a second</th><th scope="col">chunks that wait</th><th scope="col">chunks</th><th scope="col">sent</th><th scope="col">got</th></tr></thead>
      <tbody>${cameras.map(c => html`<${Row} key=${c.id} camera=${c}/>`)}</tbody></table></div></section>
    <section class="card"><div class="scroll"><table><caption>Updates of the groups</caption><thead><tr><th scope="col">cameras</th><th scope="col">last update</th><th scope="col">mean</th>
      <th scope="col">whole model</th><th scope="col">updates are</th><th scope="col">sent</th></tr></thead>
      <tbody>${groups.map(g => html`<${Updates} key=${g.id} group=${g}/>`)}</tbody></table></div></section>
    <div class="cards">${cameras.slice(0, CHARTS).map(c => {
      const series = state.series.get(c.id);
      return series?.t_us.length > 1 && html`<${History} key=${c.id} camera=${c} series=${series}/>`;
    })}</div>`;
};
