// Events: what several beats make together, or their absence; as kdjax.detection.events finds them.

const PAUSE = 2000; // ms between beats
const RUN = 3; // beats
const REPEATED = 3; // times that a pattern repeats before it is bigeminy or trigeminy
const IRREGULAR = 0.1; // median change of log RR
const LASTING = 60; // s that it lasts, or is interrupted for at most
const STEADY = 32; // intervals
const LAGS = [1, 2, 3, 4]; // beats: bigeminy to quadrigeminy are regular
const REPEATS = 0.05; // of log RR, within which quadrigeminy repeats itself

/** The events of the state of `replay`, in order; withoutP: first and last sample, as detected. */
function eventsOf(state, withoutP) {
  const beats = heartbeats(state);
  const unseen = withoutP.map((stretch) => trimmed(beats, stretch, state.fs)).filter(Boolean);
  const detected = [
    ...[..."VS"].flatMap((kind) => together(beats, kind)),
    ...[..."VS"].flatMap((kind) => patterns(beats, kind)),
    ...pauses(beats),
    ...unseen,
    ...irregular(beats, unseen, state.fs),
  ].filter((event) => !isDismissed(event, state.dismissed) && !isReplaced(event, state.replaced));
  const given = state.given.flatMap((rhythm) => {
    const event = eventBetween(rhythm, beats);
    return event && !isDismissed(event, state.dismissed.slice(rhythm.before)) ? [event] : [];
  });
  const byName = (a, b) => Number(a.name > b.name) - Number(a.name < b.name);
  return [...detected, ...given].sort((a, b) => a.first - b.first || a.last - b.last || byName(a, b));
}

/** Of each beat the ms since the last one that is no artefact; NaN where unknown, and of artefacts. */
function intervalsOf({ samples, kind, rr, fs }) {
  const since = (i) => (i ? ((samples[i] - samples[i - 1]) / fs) * 1000 : rr[i]); // rr is rounded
  const artefact = KINDS.indexOf("X");
  let interval = 0;
  return Float64Array.from(kind, (own, i) => {
    interval += rr[i] >= 0 ? since(i) : NaN;
    if (own === artefact) return NaN;
    const whole = interval;
    interval = 0;
    return whole;
  });
}

/** The beats less artefacts. */
function heartbeats(state) {
  const artefact = KINDS.indexOf("X");
  const intervals = intervalsOf(state);
  const beats = { samples: [], kind: [], rr: [] };
  for (let i = 0; i < intervals.length; i++) {
    if (state.kind[i] === artefact) continue;
    beats.samples.push(state.samples[i]);
    beats.kind.push(state.kind[i]);
    beats.rr.push(intervals[i]);
  }
  return beats;
}

/** An event from one beat to another, by their places. */
function eventAt(name, { samples }, first, last) {
  return { name, first: samples[first], last: samples[last], beats: last - first + 1 };
}

/** A rhythm that was given, from its first beat to its last, artefacts aside; null for fewer than two. */
function eventBetween({ name, first, last }, beats) {
  const [begin, end] = [firstFrom(beats.samples, first), firstFrom(beats.samples, last + 1)];
  return end - begin > 1 ? { ...eventAt(name, beats, begin, end - 1), given: true } : null;
}

/** Couplets and runs: beats of one kind with nothing between them. */
function together(beats, letter) {
  const code = KINDS.indexOf(letter);
  const found = [];
  let first = -1;
  for (let i = 1; i <= beats.kind.length; i++) {
    const follows = beats.kind[i] === code && beats.kind[i - 1] === code && beats.rr[i] >= 0;
    if (follows && first < 0) first = i - 1;
    if (!follows && first >= 0) {
      const name = i - first >= RUN ? "run" : "couplet";
      found.push(eventAt(`${letter} ${name}`, beats, first, i - 1));
      first = -1;
    }
  }
  return found;
}

/** Bigeminy and trigeminy: a beat of the kind after every one or two normal ones, all intervals known. */
function patterns(beats, letter) {
  const count = beats.kind.length;
  const [code, normal] = [KINDS.indexOf(letter), KINDS.indexOf("N")];
  const isUnit = (i, period) => {
    if (i < period - 1 || beats.kind[i] !== code) return false;
    for (let back = 1; back < period; back++) {
      if (beats.kind[i - back] !== normal || !(beats.rr[i - back + 1] >= 0)) return false;
    }
    return true;
  };
  const found = [];
  for (const [name, period] of [["bigeminy", 2], ["trigeminy", 3]]) {
    let units = 0;
    let last = -1;
    for (let i = 0; i <= count; i++) {
      if (i < count && !isUnit(i, period)) continue;
      const goesOn = units > 0 && i < count && i === last + period && beats.rr[last + 1] >= 0;
      if (!goesOn) {
        const first = last - units * period + 1;
        if (units >= REPEATED) found.push(eventAt(`${letter} ${name}`, beats, first, last));
        units = 0;
      }
      units += 1;
      last = i;
    }
  }
  return found;
}

function pauses(beats) {
  const found = [];
  for (let i = 1; i < beats.rr.length; i++) {
    if (beats.rr[i] > PAUSE) found.push(eventAt("pause", beats, i - 1, i));
  }
  return found;
}

const isAtrial = (code) => code === KINDS.indexOf("N") || code === KINDS.indexOf("S");

/** An irregular rhythm from its first beat that is still N or S to the last; null if too short. */
function trimmed({ samples, kind }, [from, to], fs) {
  let first = firstFrom(samples, from);
  let last = firstFrom(samples, to + 1) - 1;
  while (first <= last && !isAtrial(kind[first])) first += 1;
  while (first <= last && !isAtrial(kind[last])) last -= 1;
  if (first > last || samples[last] - samples[first] < LASTING * fs) return null;
  return eventAt(WITHOUT_P, { samples }, first, last);
}

/**
 * Stretches whose intervals keep changing for a minute or more. Intervals from or to a ventricular
 * beat say nothing of the atria; what is inside the other events belongs to none.
 */
function irregular(beats, others, fs) {
  const { samples, rr } = beats;
  const found = [];
  for (const part of unbroken(beats, fs)) {
    const changes = irregularity(Float64Array.from(part, (i) => Math.log(rr[i] > 0 ? rr[i] : NaN)));
    const isInside = (sample) => others.some(({ first, last }) => first <= sample && sample <= last);
    const stretches = []; // of the part: first beat, last beat, samples of irregular rhythm
    let first = -1;
    for (let i = 0; i <= part.length; i++) {
      const is = i < part.length && changes[i] > IRREGULAR && !isInside(samples[part[i]]);
      if (is && first < 0) first = i;
      if (is || first < 0) continue;
      const [begins, ends] = [part[first], part[i - 1]];
      const lasts = samples[ends] - samples[begins];
      const before = stretches[stretches.length - 1];
      if (before && samples[begins] - samples[before.ends] <= LASTING * fs) {
        before.ends = ends;
        before.lasts += lasts;
      } else stretches.push({ begins, ends, lasts });
      first = -1;
    }
    found.push(...stretches);
  }
  const long = found.filter(({ lasts }) => lasts >= LASTING * fs);
  return long.map(({ begins, ends }) => eventAt("irregular rhythm", beats, begins, ends));
}

/** The places of the beats whose intervals tell of the atria, apart where a minute lies between. */
function unbroken({ samples, kind }, fs) {
  const parts = [];
  let last = -Infinity;
  for (let i = 0; i < kind.length; i++) {
    if (!isAtrial(kind[i]) || (i && !isAtrial(kind[i - 1]))) continue;
    if (samples[i] - last > LASTING * fs) parts.push([]);
    parts[parts.length - 1].push(i);
    last = samples[i];
  }
  return parts;
}

/**
 * Median change between log RR intervals at each of them; 0 where none is known, NaN being unknown.
 * It is the least over the interval before and those two, three and four before.
 */
function irregularity(logRR) {
  const medians = LAGS.map((lag) => slidingMedians(changesOver(logRR, lag)));
  const longest = medians[LAGS.length - 1];
  return logRR.map((_, i) => {
    let least = Infinity;
    for (const median of medians) {
      const bound = median === longest ? Math.min(least, REPEATS) : least;
      if (median[i] < bound) least = median[i]; // NaN is not
    }
    return least === Infinity ? 0 : Math.min(least, 1);
  });
}

const changesOver = (values, lag) =>
  values.map((value, i) => (i < lag ? NaN : Math.abs(value - values[i - lag])));

/** At each place the median of the last 32 values that are no NaN; NaN where none is known. */
function slidingMedians(values) {
  const sorted = new Float64Array(STEADY + 1);
  let count = 0;
  return values.map((value, i) => {
    const old = i < STEADY ? NaN : values[i - STEADY];
    if (!Number.isNaN(old)) {
      let place = sorted.indexOf(old);
      for (count -= 1; place < count; place++) sorted[place] = sorted[place + 1];
    }
    if (!Number.isNaN(value)) {
      let place = count;
      for (; place > 0 && sorted[place - 1] > value; place--) sorted[place] = sorted[place - 1];
      sorted[place] = value;
      count += 1;
    }
    return count ? (sorted[(count - 1) >> 1] + sorted[count >> 1]) / 2 : NaN;
  });
}
