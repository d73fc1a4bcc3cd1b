// Lines and stacked areas over time, with marks; one cursor through all charts of a page.
import uPlot from 'uplot';
import {useEffect, useRef, useState} from 'preact/hooks';
import {html} from './ui.js';

const HOLE_S = 90; // no line across a longer silence
const MARK_PX = 9, BAND_PX = 5;
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
  accepted: {colour: '--good', word: 'deployed', sign: '▲', draw: (c, x, y, s) => {
    c.moveTo(x - s, y + s);
    c.lineTo(x + s, y + s);
    c.lineTo(x, y - s);
    c.fill();
  }},
  rejected: {colour: '--warn', word: 'rejected', sign: '✕', draw: (c, x, y, s) => {
    c.moveTo(x - s * .7, y - s * .7);
    c.lineTo(x + s * .7, y + s * .7);
    c.moveTo(x - s * .7, y + s * .7);
    c.lineTo(x + s * .7, y - s * .7);
    c.stroke();
  }},
  drift: {colour: '--drift', word: 'drift', sign: '◆', line: true, draw: (c, x, y, s) => {
    c.moveTo(x, y - s);
    c.lineTo(x + s, y);
    c.lineTo(x, y + s);
    c.lineTo(x - s, y);
    c.fill();
  }},
  rolled_back: {colour: '--bad', word: 'rolled back', sign: '■', line: true, draw: (c, x, y, s) => c.fillRect(x - s * .8, y - s * .8, s * 1.6, s * 1.6)},
  retrain: {colour: '--text', word: 'retraining asked', sign: '●', draw: (c, x, y, s) => {
    c.arc(x, y, s * .8, 0, 7);
    c.fill();
  }},
};
export const markKinds = Object.entries(SHAPES).map(([kind, s]) => ({kind, ...s}));

const drawMarks = (plot, marks) => {
  const {ctx, bbox} = plot, size = MARK_PX * devicePixelRatio / 2, y = bbox.top + bbox.height - size - 2;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
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

const times = (_, at) => at.map(t => new Date(t * 1000).toLocaleTimeString([], {
  hour: '2-digit', minute: '2-digit', second: at[1] - at[0] < 60 ? '2-digit' : undefined, hour12: false}));

const lineOf = l => ({
  stroke: colour(l.colour), width: l.ghost ? 1.5 : 2.25, dash: l.ghost ? [5, 4] : undefined, points: {show: false},
  fill: l.area ? colour(l.area) : undefined,
});

const open = (element, live, onCursor) => {
  const {lines, range, format, height} = live.current;
  return new uPlot({
    width: element.clientWidth || 300, height, legend: {show: false},
    cursor: {y: false, points: {size: 7}, drag: {x: true, y: false}, sync: {key: sync.key}},
    scales: {y: {range}},
    axes: [axis({size: 30, space: 80, values: times}), axis({size: 56, values: (_, v) => v.map(format)})],
    series: [{}, ...lines.map(lineOf)],
    hooks: {
      draw: [p => {
        drawBands(p, live.current.bands);
        drawMarks(p, live.current.marks);
      }],
      setCursor: [p => onCursor(p.cursor.idx)],
    },
  }, live.current.data, element);
};

// Arrow keys move the cursor, so that values can be read without a pointer.
const onKey = (plot, e) => {
  const step = {ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10}[e.key], xs = plot.data[0];
  if (!step || !xs.length)
    return;
  const at = Math.min(xs.length - 1, Math.max(0, (plot.cursor.idx ?? xs.length) + step));
  plot.setCursor({left: plot.valToPos(xs[at], 'x'), top: 1});
  e.preventDefault();
  e.stopPropagation();
};

// lines: [{colour, ghost, area}]; data: as of columns(); children: a function of the index under the cursor (null:
// none) that yields what is written below.
export const Chart = ({label, data, lines, range, format, theme, marks = [], bands = [], height = 190, children}) => {
  const element = useRef(), plot = useRef(), live = useRef();
  const [cursor, setCursor] = useState(null);
  live.current = {data, lines, range, format, marks, bands, height};
  useEffect(() => {
    const at = element.current, drawn = plot.current = open(at, live, setCursor);
    const resize = new ResizeObserver(() => drawn.setSize({width: at.clientWidth, height}));
    resize.observe(at);
    return () => {
      resize.disconnect();
      drawn.destroy();
    };
  }, [theme, lines.length]);
  useEffect(() => plot.current.setData(data), [data, marks, bands]);
  return html`<div class="chart"><div class="plot" ref=${element} tabindex="0" role="img"
      aria-label=${`${label}; arrow keys move the cursor`} onKeyDown=${e => onKey(plot.current, e)}
      onBlur=${() => plot.current?.setCursor({left: -10, top: -10})}></div>
    <div class="key">${children(cursor != null && cursor < data[0].length ? cursor : null)}</div></div>`;
};
