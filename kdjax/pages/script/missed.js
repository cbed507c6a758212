// Where a beat that was missed can be added: with room around it, on a peak of the signal.

const APART = 0.15; // s: an added beat lies farther than this from every other
const SNAP = 0.06; // s around a place in which a beat's peak is looked for
const LEVEL = 0.4; // s around it whose median is the level that a peak rises from
const EDGE = 0.1; // s of a room's ends, where a neighbour's complex may still be steep
const NEXT_WITHIN = 2; // s of a gap in which its steepest complex is looked for

/**
 * The first and last sample that a beat may have before the beat `next`, an index, and after the one
 * before that; null where there is no room.
 */
function roomBefore(next, { samples, fs, seconds }) {
  const apart = Math.floor(APART * fs) + 1;
  const first = next > 0 ? samples[next - 1] + apart : 0;
  const last = next < samples.length ? samples[next] - apart : Math.round(seconds * fs) - 1;
  return first <= last ? [first, last] : null;
}

const between = (value, [low, high]) => Math.min(Math.max(value, low), high);

/** The places of a lead that lie within samples of the recording at `fs` Hz, first and last. */
function placesOf(lead, tape, [first, last], fs) {
  const low = Math.max(Math.ceil((first / fs) * tape.fs), 0);
  return [low, Math.min(Math.floor((last / fs) * tape.fs), lead.length - 1)];
}

/** The sample in a room within 60 ms of `sample` where the signal is farthest from its level. */
function snapped(lead, tape, sample, room, fs) {
  const reach = (seconds) => [sample - seconds * fs, sample + seconds * fs];
  const [from, to] = placesOf(lead, tape, reach(LEVEL), fs);
  const around = lead.slice(from, to + 1).sort((a, b) => a - b);
  const level = around[around.length >> 1];
  const near = reach(SNAP).map((end) => between(end, room));
  const [low, high] = placesOf(lead, tape, near, fs);
  let most = -1;
  let peak = (sample / fs) * tape.fs;
  for (let i = low; i <= high; i++) {
    if (Math.abs(lead[i] - level) > most) [most, peak] = [Math.abs(lead[i] - level), i];
  }
  return between(Math.round((peak / tape.fs) * fs), room);
}

/** The sample in a room at the peak of its steepest complex, in its first two seconds. */
function steepestIn(lead, tape, [first, last], fs) {
  const end = Math.min(last, first + NEXT_WITHIN * fs);
  const edge = Math.min(EDGE * fs, (end - first) / 4);
  const [low, high] = placesOf(lead, tape, [first + edge, end - edge], fs);
  let most = -1;
  let steepest = (((first + end) / 2) / fs) * tape.fs;
  for (let i = Math.max(low, 1); i <= Math.min(high, lead.length - 2); i++) {
    const slope = Math.abs(lead[i + 1] - lead[i - 1]);
    if (slope > most) [most, steepest] = [slope, i];
  }
  return snapped(lead, tape, Math.round((steepest / tape.fs) * fs), [first, last], fs);
}
