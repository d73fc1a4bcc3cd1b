// Lines and stacked areas over time, with marks; one cursor through all charts of a page.
import uPlot from 'uplot';
import {useEffect, useRef, useState} from 'preact/hooks';
import {html} from './ui.js';

const HOLE_S = 90; // no line across a longer silence
const MARK_PX = 9, BAND_PX = 5, LANE_PX = 18; // marks have a lane above the lines
const sync = uPlot.sync('time');

export const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// x and ys for uPlot, sorted in time, with a hole where nothing was heard.
export const columns = (t_us, ys) => {
  const out = [[], ...ys.map(() => [])];
  t_us.forEach((t, i) => {
    const s = t / 1e6, before = out[0][out[0].length - 1];
    if (before !== undefined && s <= before)
      return;
    if (before !== undefined && s - before > HOLE_S) {
      out[0].push(before + 1);
      ys.forEach((_, k) => out[k + 1].push(null));
    }
    out[0].push(s);
    ys.forEach((y, k) => out[k + 1].push(y[i]));
  });
  return out;
};

// Shapes differ as well as colours: who sees no colours reads them, too.
const SHAPES = {
  accepted: {colour: '--good', word: 'deployed', sign: '▲', why: 'a training came out better at the gate, and the camera got the new version', draw: (c, x, y, s) => {
    c.moveTo(x - s, y + s);
    c.lineTo(x + s, y + s);
    c.lineTo(x, y - s);
    c.fill();
  }},
  rejected: {colour: '--warn', word: 'rejected', sign: '✕', why: 'a training came out no better at the gate, and was thrown away', draw: (c, x, y, s) => {
    c.moveTo(x - s * .7, y - s * .7);
    c.lineTo(x + s * .7, y + s * .7);
    c.moveTo(x - s * .7, y + s * .7);
    c.lineTo(x + s * .7, y - s * .7);
    c.stroke();
  }},
  drift: {colour: '--drift', word: 'drift', sign: '◆', line: true, why: 'the world of the camera is not what its model knows: a request for training', draw: (c, x, y, s) => {
    c.moveTo(x, y - s);
    c.lineTo(x + s, y);
    c.lineTo(x, y + s);
    c.lineTo(x - s, y);
    c.fill();
  }},
  rolled_back: {colour: '--bad', word: 'rolled back', sign: '■', line: true, why: 'a person went back to an older version', draw: (c, x, y, s) => c.fillRect(x - s * .8, y - s * .8, s * 1.6, s * 1.6)},
  retrain: {colour: '--text', word: 'retraining asked', sign: '●', why: 'a person asked for a training now', draw: (c, x, y, s) => {
    c.arc(x, y, s * .8, 0, 7);
    c.fill();
  }},
};
export const markKinds = Object.entries(SHAPES).map(([kind, s]) => ({kind, ...s}));

const drawMarks = (plot, marks) => {
  const {ctx, bbox} = plot, size = MARK_PX * devicePixelRatio / 2, y = bbox.top - size - 3 * devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left - size, 0, bbox.width + 2 * size, bbox.top + bbox.height);
  ctx.clip();
  ctx.lineWidth = 1.5 * devicePixelRatio;
  for (const mark of marks) {
    const shape = SHAPES[mark.kind], x = plot.valToPos(mark.t_us / 1e6, 'x', true);
    ctx.fillStyle = ctx.strokeStyle = colour(shape.colour);
    if (shape.line) {
      ctx.globalAlpha = .5;
      ctx.beginPath();
      ctx.setLineDash([3, 3]);
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.globalAlpha = 1;
    }
    ctx.setLineDash([]);
    ctx.beginPath();
    shape.draw(ctx, x, y, size);
  }
  ctx.restore();
};

// Whom the camera learned with: a band along the upper edge in the groups' colours.
const drawBands = (plot, bands) => {
  const {ctx, bbox} = plot, x = us => Math.min(bbox.left + bbox.width, Math.max(bbox.left, plot.valToPos(us / 1e6, 'x', true)));
  ctx.save();
  for (const band of bands) {
    const left = band.since_us ? x(band.since_us) : bbox.left, right = band.until_us ? x(band.until_us) : bbox.left + bbox.width;
    ctx.fillStyle = colour(band.colour);
    ctx.fillRect(left, bbox.top, right - left, BAND_PX * devicePixelRatio);
  }
  ctx.restore();
};

const axis = more => ({
  stroke: colour('--soft'), font: '12px system-ui, sans-serif',
  grid: {stroke: colour('--line'), width: 1}, ticks: {show: false}, ...more,
});

// The day below the time where another begins.
const times = (_, at) => {
  let before = at.length && new Date(at[0] * 1000).toDateString();
  return at.map(t => {
    const date = new Date(t * 1000), today = date.toDateString(), turns = today !== before;
    before = today;
    return date.toLocaleTimeString([], {hour: '2-digit', minute: '2-digit', second: at[1] - at[0] < 60 ? '2-digit' : undefined, hour12: false})
      + (turns ? '\n' + date.toLocaleDateString([], {day: 'numeric', month: 'short'}) : '');
  });
};
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
const timesSize = (_, texts) => texts?.some(t => t.includes('\n')) ? 44 : 30;

const lineOf = l => ({
  stroke: colour(l.colour), width: l.ghost ? 1.5 : 2.25, dash: l.ghost ? [5, 4] : undefined, points: {show: false},
  fill: l.area ? colour(l.area) : undefined,
});

const open = (element, live, onCursor) => {
  const {lines, range, format, height} = live.current;
  return new uPlot({
    width: element.clientWidth || 300, height, legend: {show: false}, padding: [live.current.marks ? LANE_PX : null, null, null, null],
    cursor: {y: false, points: {size: 7}, drag: {x: true, y: false}, sync: {key: sync.key}},
    scales: {y: {range: (...a) => live.current.limits ?? range(...a)}},
    axes: [axis({size: timesSize, space: 68, incrs: STEPS_S, values: times}), axis({size: 56, values: (_, v) => v.map(format)})],
    series: [{}, ...lines.map(lineOf)],
    hooks: {
      draw: [p => {
        drawBands(p, live.current.bands);
        drawMarks(p, live.current.marks ?? none);
      }],
      setCursor: [p => onCursor(p.cursor.idx)],
    },
  }, live.current.data, element);
};

const isWhole = plot => {
  const {min, max} = plot.scales.x, xs = plot.data[0];
  return min == null || min <= xs[0] && max >= xs[xs.length - 1];
};

// Half of what is shown, around the cursor; or all of it again.
const zoom = (plot, closer) => {
  const {min, max} = plot.scales.x, xs = plot.data[0], middle = xs[plot.cursor.idx ?? xs.length - 1], half = (max - min) / 4;
  const left = Math.max(xs[0], Math.min(middle - half, xs[xs.length - 1] - 2 * half));
  plot.setScale('x', closer ? {min: left, max: left + 2 * half} : {min: xs[0], max: xs[xs.length - 1]});
};

const none = [];

// Arrow keys move the cursor, so that values can be read without a pointer.
const onKey = (plot, e) => {
  if ((e.key === '+' || e.key === '-') && plot.data[0].length > 1) {
    zoom(plot, e.key === '+');
    e.preventDefault();
  }
  const step = {ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10}[e.key], xs = plot.data[0];
  if (!step || !xs.length)
    return;
  const at = Math.min(xs.length - 1, Math.max(0, (plot.cursor.idx ?? xs.length) + step));
  plot.setCursor({left: plot.valToPos(xs[at], 'x'), top: 1});
  e.preventDefault();
  e.stopPropagation();
};

// lines: [{colour, ghost, area}]; data: as of columns(); limits: of y, instead of range(); children: a function of the
// index under the cursor (null: none) that yields what is written below.
export const Chart = ({label, data, lines, range, limits, format, theme, marks, bands = none, height = 190, children}) => {
  const element = useRef(), plot = useRef(), live = useRef();
  const [cursor, setCursor] = useState(null);
  live.current = {data, lines, range, limits, format, marks, bands, height};
  useEffect(() => {
    const at = element.current, drawn = plot.current = open(at, live, setCursor);
    const resize = new ResizeObserver(() => drawn.setSize({width: at.clientWidth, height}));
    resize.observe(at);
    return () => {
      resize.disconnect();
      drawn.destroy();
    };
  }, [theme, lines.length]);
  useEffect(() => {
    const whole = isWhole(plot.current);
    plot.current.setData(data, whole);
    if (!whole) // what was looked at closely stays
      plot.current.redraw();
  }, [data, marks, bands, String(limits)]);
  return html`<div class="chart"><div class="plot" ref=${element} tabindex="0" role="img"
      aria-label=${`${label}; arrow keys move the cursor, + and - zoom`} title="drag to look closer, double click for all; keys: ← → + −" onKeyDown=${e => onKey(plot.current, e)}
      onBlur=${() => plot.current?.setCursor({left: -10, top: -10})}></div>
    <div class="key">${children(cursor != null && cursor < data[0].length ? cursor : null)}</div></div>`;
};
