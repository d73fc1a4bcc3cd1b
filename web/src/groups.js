// Who learns with whom: a map of the cameras, and for each the groups that it was in, next to its accuracy.
import {now_us} from './api.js';
import {html} from './ui.js';
import {clock, percent} from './words.js';

const COLOURS = 8;
const WIDTH = 320, HEIGHT = 220, MARGIN = 34;
const FAULTS = ['dirty', 'blind']; // of the camera, not of its world
const LABEL = [64, 34]; // room for a camera and its name
const NAMED = 24; // cameras on a map with their names
const NAME_CHARS = 14;
const SPAN_US = 30 * 60e6; // of the lines, at most

const unique = list => [...new Set(list)];

// Colours for groups that are or were of several cameras, in the order in which they formed; the others stay grey.
export const colourer = groups => {
  const members = new Map(), past = groups?.memberships ?? [];
  for (const m of past)
    members.set(m.group, unique([...members.get(m.group) ?? [], m.camera]));
  const several = [...members].filter(([, cameras]) => cameras.length > 1).map(([id]) => id);
  const now = new Map((groups?.groups ?? []).map(g => [g.id, g]));
  const name = id => several.includes(id) ? `--g${several.indexOf(id) % COLOURS}` : '--ghost';
  const decisions = new Map((groups?.decided?.decisions ?? []).map(d => [d.camera, d]));
  return {
    name,
    of: id => `var(${name(id)})`,
    shared: id => (now.get(id)?.cameras.length ?? 0) > 1,
    others: camera => (now.get(camera.group)?.cameras ?? []).filter(id => id !== camera.id),
    bands: camera => past.filter(m => m.camera === camera && several.includes(m.group))
      .map(m => ({since_us: m.since_us, until_us: m.until_us, colour: name(m.group)})),
    why: camera => decisions.get(camera)?.text ?? '',
    decision: camera => decisions.get(camera),
  };
};

// Names must not lie on each other: who stands too near is moved apart, a little at a time.
const spread = places => {
  for (let round = 0; round < 80; round++)
    for (const a of places)
      for (const b of places) {
        const gap = [LABEL[0] - Math.abs(a[0] - b[0]), LABEL[1] - Math.abs(a[1] - b[1])];
        if (a === b || gap[0] <= 0 || gap[1] <= 0)
          continue;
        const k = gap[0] / LABEL[0] < gap[1] / LABEL[1] ? 0 : 1, way = a[k] < b[k] || (a[k] === b[k] && places.indexOf(a) < places.indexOf(b)) ? -1 : 1;
        const inside = (v, size) => Math.min(size - MARGIN, Math.max(MARGIN * .7, v));
        a[k] = inside(a[k] + way * gap[k] / 4, k ? HEIGHT : WIDTH);
        b[k] = inside(b[k] - way * gap[k] / 4, k ? HEIGHT : WIDTH);
      }
};

// Places within the map, in its units: of the cameras' own where all are known, else around a circle.
const layout = cameras => {
  const known = cameras.every(c => c.latitude != null);
  const turn = 2 * Math.PI / cameras.length;
  const shrink = known ? Math.cos(cameras[0].latitude * Math.PI / 180) : 1;
  const points = cameras.map((c, i) => known ? [c.longitude * shrink, -c.latitude] : [Math.cos(i * turn), Math.sin(i * turn)]);
  const low = [0, 1].map(k => Math.min(...points.map(p => p[k]))), high = [0, 1].map(k => Math.max(...points.map(p => p[k])));
  const room = [WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN];
  const scale = Math.min(...[0, 1].map(k => high[k] > low[k] ? room[k] / (high[k] - low[k]) : Infinity));
  const fit = (p, k) => MARGIN + (scale < Infinity ? (room[k] - (high[k] - low[k]) * scale) / 2 + (p[k] - low[k]) * scale : room[k] / 2);
  const places = points.map(p => [fit(p, 0), fit(p, 1)]);
  spread(places);
  return {known, at: new Map(cameras.map((c, i) => [c.id, places[i]]))};
};

const short = id => id.length > NAME_CHARS ? id.slice(0, NAME_CHARS - 1) + '…' : id;
const middle = points => [0, 1].map(k => points.reduce((sum, p) => sum + p[k], 0) / points.length);

export const Map_ = ({cameras, groups, colours}) => {
  const {known, at} = layout(cameras);
  const requests = new Map((groups.requests ?? []).map(r => [r.camera, r]));
  return html`<svg class="map" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="group"
      aria-label=${`the cameras ${known ? 'at their places' : '(their places are not known)'}, coloured by group`}>
    ${groups.groups.filter(g => g.cameras.length > 1).map(g => {
      const points = g.cameras.filter(id => at.has(id)).map(id => at.get(id)), [x, y] = middle(points);
      return points.map(p => html`<line class="tie" x1=${p[0]} y1=${p[1]} x2=${x} y2=${y} style=${`stroke: ${colours.of(g.id)}`}/>`);
    })}
    ${cameras.map(c => {
      const [x, y] = at.get(c.id), fault = FAULTS.includes(c.drift?.kind) ? c.drift.kind : '';
      const request = requests.get(c.id) ?? (c.drift && !fault ? c.drift : null);
      return html`<a href=${`#/camera/${c.id}`}><title>${`${c.id}: ${colours.why(c.id) || 'alone'}${request ? `; ${request.text}` : ''}`}</title>
        ${request && html`<circle class="drifting" cx=${x} cy=${y} r="13"/>`}
        <circle class=${fault ? 'faulty' : ''} cx=${x} cy=${y} r="8" style=${`fill: ${colours.of(c.group)}`}/>
        ${cameras.length <= NAMED && html`<text x=${x} y=${y + 24}>${short(c.id)}${fault ? ` (${fault})` : ''}</text>`}</a>`;
    })}
  </svg>`;
};

// A line a camera: the groups that it was in since the first of them joined, half an hour at most.
export const Lines = ({cameras, groups, colours}) => {
  const end = Math.max(now_us(), ...cameras.map(c => c.seen_us));
  const begin = Math.max(end - SPAN_US, Math.min(...cameras.map(c => c.created_us || end)));
  const part = us => Math.min(100, Math.max(0, (us - begin) / Math.max(1, end - begin) * 100));
  return html`<div class="lines" role="group" aria-label="the group of each camera over time; what the lines show is in the table below">
    ${cameras.map(c => html`<span class="name" title=${c.id}>${c.id}</span>
      <div class="line">${groups.memberships.filter(m => m.camera === c.id && (!m.until_us || m.until_us > begin)).map(m => {
        const left = part(Math.max(m.since_us, c.created_us)), right = part(m.until_us || end);
        return html`<i key=${m.since_us} title=${`group ${m.group}: ${m.reason}`}
          style=${`left: ${left}%; width: ${right - left}%; background: ${colours.of(m.group)}`}></i>`;
      })}</div>
      <span class="now">${percent(c.accuracy)} %</span>`)}
    <div class="axis"><span>${clock(begin)}</span><span>${clock(end)}</span></div>
  </div>`;
};

