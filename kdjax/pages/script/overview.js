// The whole recording, or a part of it, in one picture: heart rate, beats by kind, events.

const LANES = "VSFQ";
const GUTTER = 46; // pixels left of the time axis, for names and rates
const RATE_HEIGHT = 80;
const LANE_HEIGHT = 15;
const LONG_EVENT = 60; // s
const OVERVIEW_HEIGHT = RATE_HEIGHT + (LANES.length + 1) * LANE_HEIGHT + 18;

/** h:mm:ss from the start, or with a start in ms since 1970 the time of day. */
function clock(seconds, start = null) {
  let whole = Math.floor(seconds);
  let day = "";
  if (start !== null) {
    whole += Math.floor((start % 86400000) / 1000);
    if (whole >= 86400) day = `day ${Math.floor(whole / 86400) + 1} `;
    whole %= 86400;
  }
  const two = (value) => String(value).padStart(2, "0");
  return `${day}${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** Steps of the time axis: the shortest that leaves room for "day 2 10:00:00". */
function timeStep(seconds, width) {
  const steps = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400];
  return steps.find((step) => (step / seconds) * width >= 95) ?? 604800;
}

/** Lowest, highest and mean heart rate by column, null where there is none. */
function rateColumns({ times, rate }, from, to, width) {
  const columns = Array.from({ length: width }, () => null);
  for (let i = firstFrom(times, from); i < times.length && times[i] < to; i++) {
    if (rate[i] > 0) {
      const x = Math.floor(((times[i] - from) / (to - from)) * width);
      const column = (columns[x] ??= { low: rate[i], high: rate[i], sum: 0, count: 0 });
      column.low = Math.min(column.low, rate[i]);
      column.high = Math.max(column.high, rate[i]);
      column.sum += rate[i];
      column.count += 1;
    }
  }
  return columns;
}

/** The time at a pixel of the overview, at its beginning for those left of the axis. */
function timeAt(x, width, { from, to }) {
  return from + (Math.max(x - GUTTER, 0) / (width - GUTTER)) * (to - from);
}

function drawOverview(canvas, width, recording) {
  const { times, kind, events, unscorable, from, to, shown, start } = recording;
  const context = prepare(canvas, width, OVERVIEW_HEIGHT);
  const plot = width - GUTTER;
  context.translate(GUTTER, 0);
  const toX = (time) => ((time - from) / (to - from)) * plot;
  const bottom = OVERVIEW_HEIGHT - 18;
  hatch(context, unscorable.filter(([a, b]) => b > from && a < to), toX, 0, bottom);
  drawTimes(context, { from, to, width: plot, bottom, start });
  drawRates(context, rateColumns(recording, from, to, plot));
  const seen = new Set();
  for (let i = firstFrom(times, from); i < times.length && times[i] <= to; i++) {
    const lane = LANES.indexOf(KINDS[kind[i]] ?? " ");
    const x = Math.round(toX(times[i]));
    if (lane >= 0 && !seen.has(x * 8 + lane)) {
      seen.add(x * 8 + lane);
      context.fillStyle = COLOURS[LANES[lane]];
      context.fillRect(x, RATE_HEIGHT + lane * LANE_HEIGHT + 2, 1.5, LANE_HEIGHT - 4);
    }
  }
  context.fillStyle = "#111";
  for (const event of events) {
    if (event.to >= from && event.from <= to) {
      const left = toX(event.from);
      const y = RATE_HEIGHT + LANES.length * LANE_HEIGHT + 4;
      const thin = event.to - event.from >= LONG_EVENT ? 5 : 0; // so that it hides no other
      context.fillRect(left, y + thin, Math.max(toX(event.to) - left, 2), LANE_HEIGHT - 8 - thin);
    }
  }
  context.strokeStyle = "#000";
  context.lineWidth = 1.5;
  context.strokeRect(toX(shown.from), 1, Math.max(toX(shown.to) - toX(shown.from), 3), bottom - 2);
  drawLabels(context);
}

function drawTimes(context, { from, to, width, bottom, start }) {
  const step = timeStep(to - from, width);
  const shift = start === null ? 0 : (start / 1000) % step;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  for (let time = Math.ceil((from + shift) / step) * step - shift; time <= to; time += step) {
    const x = ((time - from) / (to - from)) * width;
    context.fillStyle = "#ddd";
    context.fillRect(x, 0, 1, bottom);
    context.fillStyle = "#333";
    if (x < width - 24) context.fillText(clock(time, start), x, bottom + 13);
  }
}

function drawRates(context, columns) {
  const known = columns.filter(Boolean);
  const means = known.map((column) => column.sum / column.count).sort((a, b) => a - b);
  const low = Math.min(40, means[0] ?? 40);
  const high = Math.max(120, (means[means.length - 1] ?? 120) * 1.2);
  const y = (rate) => {
    const share = (Math.min(rate, high) - low) / (high - low);
    return RATE_HEIGHT - 2 - Math.max(share, 0) * (RATE_HEIGHT - 6);
  };
  const lines = [60, 100];
  context.fillStyle = "#ddd";
  for (const rate of lines) context.fillRect(0, y(rate), columns.length, 1);
  columns.forEach((column, x) => {
    if (!column) return;
    context.fillStyle = "rgba(0, 89, 156, 0.3)";
    context.fillRect(x, y(column.high), 1, Math.max(y(column.low) - y(column.high), 1));
    context.fillStyle = "#00344f";
    context.fillRect(x - 0.5, y(column.sum / column.count) - 1, 2, 2);
  });
  for (const rate of lines) {
    label(context, String(rate), -5, y(rate) + 4, { align: "right" });
  }
}

function drawLabels(context) {
  const rows = [...LANES].map((kind) => [kind, COLOURS[kind]]);
  [...rows, ["events", "#111"]].forEach(([text, colour], row) => {
    const y = RATE_HEIGHT + row * LANE_HEIGHT + 12;
    label(context, text, -5, y, { align: "right", colour, font: "bold 11px" });
  });
  label(context, "bpm", -5, 10, { align: "right" });
}
