// Accuracy over time: the adapted line, the unadapted student as a ghost, marks for versions.
import uPlot from 'uplot';

const HEIGHT = 190;
const HOLE_S = 90; // no line across a longer silence
const MARK_PX = 9, BAND_PX = 5;

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Columns for uPlot, with a hole where the camera was silent.
const columns = series => {
  const out = [[], [], []];
  series.t_us.forEach((t, i) => {
    const s = t / 1e6, previous = out[0][out[0].length - 1];
    if (previous !== undefined && s - previous > HOLE_S) {
      out[0].push(previous + 1);
      out[1].push(null);
      out[2].push(null);
    }
    if (previous === undefined || s > previous) {
      out[0].push(s);
      out[1].push(series.accuracy[i]);
      out[2].push(series.accuracy_unadapted[i]);
    }
  });
  return out;
};

// Triangles up for what was deployed, crosses for what was rejected, along the lower edge.
const drawMarks = (plot, marks) => {
  const {ctx, bbox} = plot, size = MARK_PX * devicePixelRatio / 2, y = bbox.top + bbox.height - size - 2;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.setLineDash([]);
  for (const mark of marks) {
    const x = plot.valToPos(mark.t_us / 1e6, 'x', true);
    ctx.beginPath();
    if (mark.accepted) {
      ctx.fillStyle = colour('--good');
      ctx.moveTo(x - size, y + size);
      ctx.lineTo(x + size, y + size);
      ctx.lineTo(x, y - size);
      ctx.fill();
    } else {
      ctx.strokeStyle = colour('--bad');
      ctx.moveTo(x - size * .7, y - size * .7);
      ctx.lineTo(x + size * .7, y + size * .7);
      ctx.moveTo(x - size * .7, y + size * .7);
      ctx.lineTo(x + size * .7, y - size * .7);
      ctx.stroke();
    }
  }
  ctx.restore();
};

// Whom the camera learned with: a band along the upper edge in the groups' colours.
const drawBands = (plot, bands) => {
  const {ctx, bbox} = plot, height = BAND_PX * devicePixelRatio;
  const x = us => Math.min(bbox.left + bbox.width, Math.max(bbox.left, plot.valToPos(us / 1e6, 'x', true)));
  ctx.save();
  for (const band of bands) {
    const left = band.since_us ? x(band.since_us) : bbox.left;
    const right = band.until_us ? x(band.until_us) : bbox.left + bbox.width;
    ctx.fillStyle = colour(band.colour);
    ctx.fillRect(left, bbox.top, right - left, height);
  }
  ctx.restore();
};

const axis = more => ({
  stroke: colour('--soft'), font: '12px system-ui, sans-serif',
  grid: {stroke: colour('--line'), width: 1}, ticks: {show: false}, ...more,
});

// bands: [{since_us, until_us, colour}], a colour's name each. onCursor(index or null) while the pointer moves. Returns {update(series, bands), close()}.
export const openChart = (element, series, bands, onCursor) => {
  let current = series, groups = bands;
  const percent = v => Math.round(v * 100) + ' %';
  const plot = new uPlot({
    width: element.clientWidth || 300, height: HEIGHT, legend: {show: false},
    cursor: {y: false, points: {size: 7}, drag: {x: true, y: false}},
    scales: {y: {range: (_, low, high) => [Math.max(0, Math.floor((low ?? 0) * 10 - .3) / 10), Math.min(1, Math.ceil((high ?? 1) * 10 + .1) / 10)]}},
    axes: [axis({size: 30, values: (_, times) => times.map(t => new Date(t * 1000).toLocaleTimeString([], {hour: '2-digit', minute: '2-digit', second: times[1] - times[0] < 60 ? '2-digit' : undefined, hour12: false}))}),
      axis({size: 50, values: (_, values) => values.map(percent)})],
    series: [{},
      {stroke: colour('--adapted'), width: 2.25, fill: colour('--shade'), points: {show: false}},
      {stroke: colour('--ghost'), width: 1.5, dash: [5, 4], points: {show: false}}],
    hooks: {draw: [p => {
      drawBands(p, groups);
      drawMarks(p, current.marks);
    }], setCursor: [p => onCursor(p.cursor.idx == null ? null : p.data[0][p.cursor.idx])]},
  }, columns(series), element);
  const resize = new ResizeObserver(() => plot.setSize({width: element.clientWidth, height: HEIGHT}));
  resize.observe(element);
  return {
    update: (next, nextBands) => {
      current = next;
      groups = nextBands;
      plot.setData(columns(next));
    },
    close: () => {
      resize.disconnect();
      plot.destroy();
    },
  };
};
