// Mean beats, and one family's shapes told apart, from the strips' signal.

const BEAT = { before: 0.39, after: 0.5 }; // s around the R-peak, as in kdjax.beats
const SHAPE = { before: 0.12, after: 0.32 }; // QRS and T wave, which tell shapes apart

/** Signal of a lead around a time in s, in mV. */
function windowAt(lead, tape, time, { before, after } = BEAT) {
  const first = Math.round((time - before) * tape.fs);
  const window = new Float32Array(Math.round((before + after) * tape.fs));
  for (let i = 0; i < window.length; i++) window[i] = (lead[first + i] ?? 0) * tape.step;
  return window;
}

/** Mean and standard deviation of a lead's windows around these times. */
function meanBeat(lead, tape, times) {
  const length = Math.round((BEAT.before + BEAT.after) * tape.fs);
  const sum = new Float64Array(length);
  const square = new Float64Array(length);
  for (const time of times) {
    const window = windowAt(lead, tape, time);
    for (let i = 0; i < length; i++) {
      sum[i] += window[i];
      square[i] += window[i] * window[i];
    }
  }
  const count = Math.max(times.length, 1);
  const mean = sum.map((value) => value / count);
  const spread = square.map((value, i) => Math.sqrt(Math.max(value / count - mean[i] ** 2, 0)));
  return { mean, spread };
}

/** Sum of squared differences once each window's own level is gone. */
function distance(a, b) {
  let sum = 0;
  let square = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = a[i] - b[i];
    sum += difference;
    square += difference * difference;
  }
  return square - (sum * sum) / a.length;
}

function meanOf(windows) {
  const mean = new Float32Array(windows[0].length);
  for (const window of windows) {
    for (let i = 0; i < mean.length; i++) mean[i] += window[i] / windows.length;
  }
  return mean;
}

function farthest(windows, from) {
  let best = 0;
  let most = -1;
  for (let i = 0; i < windows.length; i++) {
    const away = distance(windows[i], from);
    if (away > most) [best, most] = [i, away];
  }
  return windows[best];
}

/**
 * Two shapes among windows (k-means of two, from the beat farthest from the mean and the one
 * farthest from that): for each window whether it belongs to the smaller. Null for fewer than two.
 */
function twoShapes(windows) {
  if (windows.length < 2) return null;
  let second = farthest(windows, meanOf(windows));
  let first = farthest(windows, second);
  let apart = [];
  for (let round = 0; round < 10; round++) {
    apart = windows.map((window) => distance(window, second) < distance(window, first));
    const one = windows.filter((_, i) => !apart[i]);
    const two = windows.filter((_, i) => apart[i]);
    if (!one.length || !two.length) return null;
    [first, second] = [meanOf(one), meanOf(two)];
  }
  const count = apart.filter(Boolean).length;
  return count > windows.length / 2 ? apart.map((value) => !value) : apart;
}
