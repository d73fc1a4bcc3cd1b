// What each camera sends and gets, against what it may.
import {useMemo} from 'preact/hooks';
import {Chart, columns} from '../chart.js';
import {sorted, state, useResource} from '../store.js';
import {Columns, Empty, html} from '../ui.js';
import {bytes, count, names, rate, when} from '../words.js';

const lines = [{colour: '--k-label', area: '--shade'}, {colour: '--k-train'}, {colour: '--ghost', ghost: true}];
const range = (_, low, high) => [0, Math.max(1, high ?? 1) * 1.05];
const CHARTS = 24;

const History = ({camera, series}) => {
  const data = useMemo(() => columns(series.t_us, [series.up_kbps, series.down_kbps, series.t_us.map(() => camera.uplink_kbps)]), [series, camera.uplink_kbps]);
  return html`<section class="card"><div class="title"><h2><a href=${`#/camera/${camera.id}`} data-item>${camera.id}</a></h2><span class="soft">kbit/s</span></div>
    <${Chart} label=${`rates of ${camera.id} over time`} data=${data} lines=${lines} range=${range} format=${v => rate(v)} theme=${state.theme} height=${150}>${cursor => {
    const at = cursor ?? data[0].length - 1;
    return html`<span><i class="line up"></i>up <b>${rate(data[1][at])}</b></span><span><i class="line down"></i>down <b>${rate(data[2][at])}</b></span>
      <span><i class="line ghost"></i>may send <b>${rate(camera.uplink_kbps)}</b> kbit/s</span><span>${cursor == null ? '' : `at ${when(data[0][at] * 1e6)}`}</span>`;
  }}<//></section>`;
};

const smaller = times => times < 1.05 ? 'as large' : `${times.toFixed(1)} times smaller`;
const newest = group => group?.find(v => v.accepted);

const Updates = ({group}) => {
  const answer = useResource(`v1/groups/${group.id}/versions?limit=40`, 3000);
  const all = (answer.data?.versions ?? []).filter(v => v.accepted && v.delta_bytes && v.snapshot_bytes), last = newest(all);
  const mean = key => all.reduce((s, v) => s + v[key], 0) / all.length;
  return html`<tr data-group=${group.id}><th scope="row"><a href=${`#/models/${group.id}`}>${names(group.cameras)}</a></th>
    <td>${last ? bytes(last.delta_bytes) : '–'}</td><td>${last ? bytes(Math.round(mean('delta_bytes'))) : '–'}</td>
    <td>${last ? bytes(last.snapshot_bytes) : '–'}</td><td>${last ? smaller(mean('snapshot_bytes') / mean('delta_bytes')) : '–'}</td>
    <td>${bytes(group.served_bytes)} in ${count(group.served, 'answer')}</td></tr>`;
};

const Row = ({camera}) => {
  const part = camera.uplink_kbps ? camera.up_kbps / camera.uplink_kbps : 0;
  return html`<tr data-camera=${camera.id}><th scope="row"><a href=${`#/camera/${camera.id}`}>${camera.id}</a></th>
    <td><meter min="0" max="1" high="0.9" value=${Math.min(1, part)} aria-label=${`${Math.round(part * 100)} % of what it may send`}></meter>
      <span data-value="up">${rate(camera.up_kbps)}</span> of ${rate(camera.uplink_kbps)}</td>
    <td>${rate(camera.down_kbps)}</td><td>${camera.sampling_fps.toFixed(2)}</td><td class=${camera.backlog_chunks > 4 ? 'warn' : ''}>${camera.backlog_chunks}</td>
    <td>${camera.chunks}</td><td>${bytes(camera.up_bytes)}</td><td>${bytes(camera.down_bytes)}</td></tr>`;
};

const CAMERA_HEADS = [['camera'], ['sends, of what it may', 'over the last minute; the server gives each camera a rate'], ['gets', 'over the last minute'],
  ['samples a second', 'frames that it sends to be labelled'], ['chunks that wait', 'that came and are not labelled yet'], ['chunks', 'in all'], ['sent', 'in all'], ['got', 'in all']];
const UPDATE_HEADS = [['cameras'], ['last update'], ['mean update'], ['whole model', 'all weights, for cameras that are new or far behind'], ['updates are', 'against the whole model'], ['sent']];

export const Network = () => {
  const cameras = sorted(), groups = state.groups?.groups ?? [];
  const sum = key => cameras.reduce((s, c) => s + (c[key] ?? 0), 0);
  if (!cameras.length)
    return html`<h1 tabindex="-1">Network</h1><${Empty}>No camera has joined yet.<//>`;
  return html`<h1 tabindex="-1">Network</h1>
    <p class="soft">Cameras send a few frames a second to be labelled and get the weights that changed; no video is streamed. All together${' '}
      send <b>${rate(sum('up_kbps'))}</b> and get <b>${rate(sum('down_kbps'))} kbit/s</b>, over the last minute; they may send ${rate(sum('uplink_kbps'))}.</p>
    <section class="card"><div class="scroll"><table><caption>Cameras, in kbit/s</caption><${Columns} of=${CAMERA_HEADS}/>
      <tbody>${cameras.map(c => html`<${Row} key=${c.id} camera=${c}/>`)}</tbody></table></div></section>
    <section class="card"><div class="scroll"><table><caption>Updates of the groups</caption><${Columns} of=${UPDATE_HEADS}/>
      <tbody>${groups.map(g => html`<${Updates} key=${g.id} group=${g}/>`)}</tbody></table></div></section>
    <div class="cards">${cameras.slice(0, CHARTS).map(c => {
      const series = state.series.get(c.id);
      return series?.t_us.length > 1 && html`<${History} key=${c.id} camera=${c} series=${series}/>`;
    })}</div>`;
};
