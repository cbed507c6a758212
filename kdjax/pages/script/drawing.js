// ECG on paper: 25 mm/s and 10 mm/mV, CSS millimetres.

const MM = 96 / 25.4; // CSS pixels
const PER_SECOND = 25 * MM;
const PER_MILLIVOLT = 10 * MM;
// Okabe and Ito's colours, darkened to be read on paper's pink; the letter says the kind as well.
const COLOURS = {
  N: "#4a4a4a",
  S: "#00599c",
  V: "#b23c00",
  F: "#7d2c69",
  Q: "#6b5300",
  X: "#777777",
  "": "#999999",
};

/** A canvas' context of so many CSS pixels, sharp on any screen. */
function prepare(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** Lines each millimetre, heavier ones each five; `shift` moves the vertical ones to the left. */
function grid(context, width, height, shift = 0) {
  for (const [every, colour] of [[1, "#fbe3e0"], [5, "#f0bdb6"]]) {
    context.strokeStyle = colour;
    context.lineWidth = every === 1 ? 0.5 : 0.8;
    context.beginPath();
    const step = every * MM;
    for (let x = -(shift % step); x <= width; x += step) {
      context.moveTo(x, 0);
      context.lineTo(x, height);
    }
    for (let y = 0; y <= height; y += step) {
      context.moveTo(0, y);
      context.lineTo(width, y);
    }
    context.stroke();
  }
}

/** Whether the values in mV fit a height at full gain; else a smaller one that fits. */
function gainFor(low, high, height) {
  const gains = [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16];
  return gains.find((gain) => (high - low) * PER_MILLIVOLT * gain <= height) ?? 1 / 32;
}

/** Text that stays readable on a trace; `align` says which side of x it stands on. */
function label(context, text, x, y, { align = "left", colour = "#333", font = "11px" } = {}) {
  context.font = `${font} system-ui, sans-serif`;
  context.textAlign = align;
  context.lineJoin = "round";
  context.lineWidth = 3;
  context.strokeStyle = "rgba(255, 255, 255, 0.9)";
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

/** The gain at which each of the ranges [low, high] in mV fits its lead's height. */
function commonGain(ranges, height) {
  return Math.min(...ranges.map(([low, high]) => gainFor(low, high, height)));
}

function extremes(lead, tape, from, to) {
  let low = Infinity;
  let high = -Infinity;
  const first = Math.max(Math.floor(from * tape.fs), 0);
  const last = Math.min(Math.ceil(to * tape.fs), lead.length);
  for (let i = first; i < last; i++) {
    if (lead[i] < low) low = lead[i];
    if (lead[i] > high) high = lead[i];
  }
  return first < last ? [low * tape.step, high * tape.step] : [0, 0];
}

function trace(context, lead, tape, from, to, y) {
  const first = Math.max(Math.floor(from * tape.fs), 0);
  const last = Math.min(Math.ceil(to * tape.fs), lead.length - 1);
  context.strokeStyle = "#111";
  context.lineWidth = 1.1;
  context.lineJoin = "round";
  context.beginPath();
  for (let i = first; i <= last; i++) {
    context.lineTo((i / tape.fs - from) * PER_SECOND, y(lead[i] * tape.step));
  }
  context.stroke();
}

/** Hatches the stretches [start, stop, reason] that were not scored. */
function hatch(context, stretches, toX, top, height) {
  context.fillStyle = "rgba(0, 0, 0, 0.07)";
  context.strokeStyle = "rgba(0, 0, 0, 0.35)";
  context.lineWidth = 0.7;
  for (const [start, stop] of stretches) {
    const left = toX(start);
    const width = Math.max(toX(stop) - left, 1);
    context.fillRect(left, top, width, height);
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    context.beginPath();
    for (let x = left - height; x < left + width; x += 7) {
      context.moveTo(x, top + height);
      context.lineTo(x + height, top);
    }
    context.stroke();
    context.restore();
  }
}

/**
 * A strip from `from` to `to` s of every lead, one below the other.
 *
 * beats: [{time, kind, below, selected}] that lie in it; their letters stand above, and `below` them
 * what is said of their family. gain: that at which it is drawn, else as much as fits. marker: where
 * a beat can be added, in s, or null. rhythms: irregular ones, {from, to} in s.
 */
function drawStrip(canvas, { leads, tape, from, to, beats, unscorable, leadHeight, labels, gain, marker, rhythms }) {
  const top = labels ? 30 : 14;
  const width = (to - from) * PER_SECOND;
  const height = top + leads.length * leadHeight;
  const context = prepare(canvas, width, height);
  grid(context, width, height, (((from % 1) + 1) % 1) * PER_SECOND);
  const toX = (time) => (time - from) * PER_SECOND;
  hatch(context, unscorable, toX, top, height - top);
  const ranges = leads.map((lead) => extremes(lead, tape, from, to));
  const scale = gain ?? commonGain(ranges, leadHeight);
  leads.forEach((lead, i) => {
    const [low, high] = ranges[i];
    const middle = top + (i + 0.5) * leadHeight;
    const y = (value) => middle - (value - (low + high) / 2) * PER_MILLIVOLT * scale;
    trace(context, lead, tape, from, to, y);
    if (labels) nameLead(context, tape.leads[i], top + i * leadHeight);
  });
  for (const beat of beats) markBeat(context, beat, toX(beat.time), height, labels);
  for (const rhythm of rhythms) drawRhythm(context, toX(rhythm.from), toX(rhythm.to), [width, top]);
  if (marker !== null && marker >= from && marker < to) drawMarker(context, toX(marker), height);
  if (scale < 1) label(context, `${10 * scale} mm/mV`, width - 4, height - 4, { align: "right" });
}

/** A line below the letters as long as a rhythm, with a foot at each of its ends. */
function drawRhythm(context, first, last, [width, top]) {
  context.fillStyle = "#111";
  context.fillRect(Math.max(first, 0), top - 3, Math.min(last, width) - Math.max(first, 0), 3);
  for (const x of [first, last]) context.fillRect(x - 1.5, top - 3, 3, 14);
}

function drawMarker(context, x, height) {
  context.strokeStyle = context.fillStyle = "#00599c";
  context.lineWidth = 1.5;
  context.setLineDash([5, 4]);
  context.beginPath();
  context.moveTo(x, 18);
  context.lineTo(x, height);
  context.stroke();
  context.setLineDash([]);
  context.font = "bold 18px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText("+", x, 14);
}

function nameLead(context, name, top) {
  context.font = "bold 11px system-ui, sans-serif";
  context.textAlign = "left";
  context.fillStyle = "rgba(255, 255, 255, 0.8)";
  context.fillRect(2, top + 2, context.measureText(name).width + 6, 14);
  context.fillStyle = "#111";
  context.fillText(name, 5, top + 13);
}

function markBeat(context, beat, x, height, labels) {
  context.textAlign = "center";
  context.fillStyle = COLOURS[beat.kind];
  if (beat.selected) {
    context.fillStyle = "rgba(0, 89, 156, 0.14)";
    context.fillRect(x - 14, 0, 28, height);
    context.fillStyle = COLOURS[beat.kind];
  }
  context.font = `${beat.kind === "N" ? "" : "bold "}12px system-ui, sans-serif`;
  context.fillText(beat.kind || "?", x, 12);
  if (labels && beat.below) {
    context.font = "10px system-ui, sans-serif";
    context.fillText(beat.below, x, 25);
  }
}

/** What a mean beat and its spread reach, [low, high] of every lead. */
function reachOf(beats) {
  return beats.map(({ mean, spread }) => [
    Math.min(...mean.map((value, i) => value - spread[i])),
    Math.max(...mean.map((value, i) => value + spread[i])),
  ]);
}

/** A mean beat with its spread, one lead below the other. */
function drawMean(canvas, beats, tape, leadHeight, gain) {
  const length = beats[0].mean.length;
  const width = (length / tape.fs) * PER_SECOND;
  const context = prepare(canvas, width, leadHeight * beats.length);
  grid(context, width, leadHeight * beats.length);
  const ranges = reachOf(beats);
  beats.forEach(({ mean, spread }, row) => {
    const [low, high] = ranges[row];
    const middle = (row + 0.5) * leadHeight;
    const x = (i) => (i / tape.fs) * PER_SECOND;
    const y = (value) => middle - (value - (low + high) / 2) * PER_MILLIVOLT * gain;
    context.fillStyle = "rgba(0, 89, 156, 0.25)";
    context.beginPath();
    for (let i = 0; i < length; i++) context.lineTo(x(i), y(mean[i] + spread[i]));
    for (let i = length - 1; i >= 0; i--) context.lineTo(x(i), y(mean[i] - spread[i]));
    context.fill();
    context.strokeStyle = "#111";
    context.lineWidth = 1.4;
    context.beginPath();
    for (let i = 0; i < length; i++) context.lineTo(x(i), y(mean[i]));
    context.stroke();
  });
  if (gain < 1) {
    const bottom = beats.length * leadHeight - 3;
    label(context, `${10 * gain} mm/mV`, width - 2, bottom, { align: "right", font: "10px" });
  }
}
