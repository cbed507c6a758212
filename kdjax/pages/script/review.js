// What a person decides, as plain data. kdjax.detection.decisions applies the same decisions to the
// files; both are tested against the same cases.

const KINDS = "NSVFQX";
const SPARE = 500; // values that an array has room for
const MOST_RR = 30000; // ms: a longer interval is shown as this long
const WITHOUT_P = "irregular rhythm without P waves";
const RHYTHMS = [WITHOUT_P, "irregular rhythm"]; // that can be dismissed, and given
const KIND_NAMES = {
  N: "normal",
  S: "supraventricular",
  V: "ventricular",
  F: "fusion",
  Q: "undecided",
  X: "artefact",
};

/** The index of the beat at a sample, -1 where there is none. */
function beatAt(samples, sample) {
  const i = firstFrom(samples, sample);
  return samples[i] === sample ? i : -1;
}

/** The index of the first of ascending values that is not below `value`. */
function firstFrom(values, value) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The places of the highest finite values, the highest first. */
function highest(values, count) {
  const finite = Float32Array.from(values.filter(Number.isFinite)).sort(); // fast, unlike a list's
  const least = finite[Math.max(finite.length - count, 0)];
  const places = [...values.keys()].filter((i) => values[i] >= least);
  return places.sort((a, b) => values[b] - values[a]).slice(0, count);
}

/**
 * The state after the decisions, from the beats as detected: {samples, kind, family, rr} of arrays,
 * kind as an index into KINDS or -1, family counted from 0 or -1, rr in ms or -1; `families`, a list
 * of {kind}; `fs` in Hz, `seconds` of the recording, its stretches `unscorable`. The state has
 * `source` besides: of each beat its index among the detected ones, -1 where it was added; and
 * `dismissed`, stretches without irregular rhythm, first and last sample; `given`, the irregular
 * rhythms {name, first, last, before} that a person gave after so many dismissals; and `replaced`,
 * stretches where only those count.
 */
function replay(detected, decisions) {
  const state = {
    fs: detected.fs,
    seconds: detected.seconds,
    unscorable: detected.unscorable,
    samples: Float64Array.from(detected.samples),
    kind: Int8Array.from(detected.kind),
    family: Int16Array.from(detected.family),
    rr: Int16Array.from(detected.rr),
    source: Int32Array.from(detected.samples, (_, i) => i),
    byHand: new Uint8Array(detected.samples.length),
    dismissed: [],
    given: [],
    replaced: [],
    families: detected.families.map((family) => ({ ...family, named: false, changed: false })),
  };
  for (const decision of decisions) apply(state, decision);
  return state;
}

function apply(state, decision) {
  if (decision.merge) joinFamilies(state, decision.merge);
  else if (decision.split) divideFamily(state, decision.split - 1, decision.beats);
  else if (decision.add !== undefined) addTo(state, decision.add, decision.kind);
  else if (decision.dismiss) state.dismissed.push(decision.dismiss);
  else if (decision.rhythm) giveRhythm(state, decision.event, decision.rhythm);
  else if (decision.beat === undefined) nameFamilies(state, numbersOf(decision), decision.kind);
  else nameBeat(state, decision.beat, decision.kind);
}

const numbersOf = ({ family, families }) => families ?? [family];

function nameFamilies(state, numbers, kind) {
  const code = KINDS.indexOf(kind);
  for (let i = 0; i < state.family.length; i++) {
    if (numbers.includes(state.family[i] + 1) && !state.byHand[i]) state.kind[i] = code;
  }
  for (const number of numbers) Object.assign(state.families[number - 1], { kind, named: true });
}

function nameBeat(state, sample, kind) {
  const beat = beatAt(state.samples, sample);
  state.kind[beat] = KINDS.indexOf(kind);
  state.byHand[beat] = 1;
}

/** A beat that was not detected, of no family; the intervals on both sides of it are new. */
function addTo(state, sample, kind) {
  const place = firstFrom(state.samples, sample);
  const values = { samples: sample, kind: KINDS.indexOf(kind), family: -1, rr: -1, source: -1, byHand: 1 };
  for (const [name, value] of Object.entries(values)) {
    state[name] = lengthened(state[name], place, value);
  }
  for (const beat of [place, place + 1]) {
    if (beat > 0 && beat < state.rr.length) state.rr[beat] = intervalTo(state, beat);
  }
}

/** An array with one more value; it leaves room for others, for a day has 100,000 beats. */
function lengthened(values, place, value) {
  const length = values.length + 1;
  const size = values.BYTES_PER_ELEMENT;
  const isRoomy = values.buffer.byteLength >= length * size;
  const buffer = isRoomy ? values.buffer : new ArrayBuffer((length + SPARE) * size);
  const longer = new values.constructor(buffer, 0, length);
  if (!isRoomy) longer.set(values);
  longer.copyWithin(place + 1, place, length - 1);
  longer[place] = value;
  return longer;
}

/** Milliseconds since the beat before, -1 where bad signal lies between them. */
function intervalTo({ samples, fs, unscorable }, beat) {
  const [from, to] = [samples[beat - 1], samples[beat]];
  const isBad = ([start, stop]) => Math.round(start * fs) < to && Math.round(stop * fs) > from;
  return unscorable.some(isBad) ? -1 : Math.min(Math.round(((to - from) / fs) * 1000), MOST_RR);
}

/** The beats of the other families become the first one's, and take its kind. */
function joinFamilies(state, numbers) {
  const [into, ...others] = numbers.map((number) => number - 1);
  const code = KINDS.indexOf(state.families[into].kind);
  for (let i = 0; i < state.family.length; i++) {
    if (others.includes(state.family[i])) {
      state.family[i] = into;
      if (!state.byHand[i]) state.kind[i] = code;
    }
  }
  for (const family of [into, ...others]) state.families[family].changed = true;
}

/** Some beats of a family become a new one, the last in the list; their kinds stay. */
function divideFamily(state, family, samples) {
  const number = state.families.length;
  for (const sample of samples) state.family[beatAt(state.samples, sample)] = number;
  state.families.push({ ...state.families[family], named: false, changed: true, origin: family });
  state.families[family].changed = true;
}

/** There is an irregular rhythm in a stretch, in place of all that it overlaps. */
function giveRhythm(state, name, [first, last]) {
  state.given = state.given.filter((rhythm) => !isReplaced(rhythm, [[first, last]]));
  state.given.push({ name, first, last, before: state.dismissed.length });
  state.replaced.push([first, last]);
}

/** Why these decisions are not ones for these beats; "" where they are. */
function problem(detected, decisions) {
  if (!Array.isArray(decisions)) return "the decisions are not a list";
  const state = replay(detected, []);
  for (const [i, decision] of decisions.entries()) {
    if (!fits(state, decision ?? {})) return `decision ${i + 1} does not fit this recording`;
    apply(state, decision);
  }
  return "";
}

const FORMS = [
  ["family", "kind"],
  ["families", "kind"],
  ["beat", "kind"],
  ["add", "kind"],
  ["merge"],
  ["beats", "split"],
  ["dismiss", "event"],
  ["event", "rhythm"],
].map(String);

function fits(state, decision) {
  const { merge, split, add, event, family, families, beat, beats, kind } = decision;
  const { dismiss, rhythm = dismiss } = decision; // both are stretches
  if (!FORMS.includes(String(Object.keys(decision).sort()))) return false;
  const known = (number) =>
    Number.isInteger(number) && number >= 1 && number <= state.families.length;
  const placeOf = (sample) => (Number.isInteger(sample) ? beatAt(state.samples, sample) : -1);
  if (merge !== undefined) {
    if (!Array.isArray(merge) || merge.length < 2 || !merge.every(known)) return false;
    return new Set(merge).size === merge.length;
  }
  if (split !== undefined) {
    if (!known(split) || !Array.isArray(beats) || !beats.length) return false;
    return beats.every((sample) => state.family[placeOf(sample)] === split - 1);
  }
  const isKind = typeof kind === "string" && kind.length === 1 && KINDS.includes(kind);
  if (add !== undefined) return isKind && kind !== "X" && hasRoom(state, add);
  if (rhythm !== undefined) {
    if (!RHYTHMS.includes(event) || !Array.isArray(rhythm) || rhythm.length !== 2) return false;
    return rhythm.every((sample) => placeOf(sample) >= 0) && rhythm[0] < rhythm[1];
  }
  if (families !== undefined) {
    return isKind && Array.isArray(families) && families.length > 0 && families.every(known);
  }
  return isKind && (family === undefined ? placeOf(beat) >= 0 : known(family));
}

/** Whether an event {name, first, last} is an irregular rhythm at least half of which was dismissed. */
function isDismissed({ name, first, last }, dismissed) {
  if (!RHYTHMS.includes(name)) return false;
  let covered = 0;
  let end = first;
  for (const [a, b] of [...dismissed].sort((one, other) => one[0] - other[0])) {
    covered += Math.max(Math.min(b, last) - Math.max(a, end), 0);
    end = Math.max(end, b);
  }
  return 2 * covered >= last - first;
}

/** Whether an event is an irregular rhythm that overlaps one of those that were given. */
function isReplaced({ name, first, last }, replaced) {
  return RHYTHMS.includes(name) && replaced.some(([a, b]) => first < b && a < last);
}

/** Whether a beat can be added at a sample. */
function hasRoom(state, sample) {
  if (!Number.isInteger(sample)) return false;
  const room = roomBefore(firstFrom(state.samples, sample), state);
  return room !== null && room[0] <= sample && sample <= room[1];
}

/** Beats by kind, "" for those without. */
function countKinds(state) {
  const counts = Object.fromEntries([...KINDS, ""].map((kind) => [kind, 0]));
  for (const code of state.kind) counts[KINDS[code] ?? ""] += 1;
  return counts;
}

/** The beats of every family, as lists of indices. */
function membersOf(state) {
  const members = state.families.map(() => []);
  for (let i = 0; i < state.family.length; i++) {
    if (state.family[i] >= 0) members[state.family[i]].push(i);
  }
  return members;
}

const SMALL = 3; // beats of a family that is named together with others
const AN_ALARM = 50; // what naming a beat called abnormal is worth at least, in per cent

/** What naming beats may put right, in per cent of a beat; confidence is negative without one. */
function worthOf(own, { kind, confidence }) {
  let worth = 0;
  for (const i of own) {
    const wrong = confidence[i] < 0 ? 0 : 100 - confidence[i];
    worth += kind[i] > 0 ? Math.max(wrong, AN_ALARM) : wrong;
  }
  return worth;
}

/**
 * What to name first, as `to_name` of kdjax.detection.families: lists of families, counted from 0.
 * Small ones of a kind are together. The largest is first, what looks like an artefact last.
 * detected: that of `replay`, with `confidence`; families of {kind, artefact}; members of each.
 */
function toName(detected, families, members) {
  const groups = new Map();
  members.forEach((own, i) => {
    if (!own.length) return;
    const small = own.length <= SMALL && i > 0;
    const key = small ? `${families[i].kind} ${families[i].artefact}` : i;
    groups.set(key, [...(groups.get(key) ?? []), i]);
  });
  const places = [...groups.values()].map((group) => ({
    group,
    last: Number(group[0] > 0) + Number(group[0] > 0 && families[group[0]].artefact),
    worth: group.reduce((sum, i) => sum + worthOf(members[i], detected), 0),
  }));
  places.sort((a, b) => a.last - b.last || b.worth - a.worth || a.group[0] - b.group[0]);
  return places.map(({ group }) => group);
}

/** The order of `toName` after decisions: no family without beats, each split-off one beside its origin. */
function followedOrder(order, families, members) {
  const followed = order.map((group) => group.filter((i) => members[i].length)).filter((group) => group.length);
  families.forEach(({ origin }, i) => {
    if (origin === undefined || !members[i].length) return;
    const at = followed.findIndex((group) => group.includes(origin));
    followed.splice(at < 0 ? followed.length : at + 1, 0, [i]);
  });
  return followed;
}

/**
 * Up to three beats that stand for a family: those detected as typical, else early, middle, late.
 * The least typical one takes the place of the third, since it may not belong there.
 */
function examplesOf(members, detected, unusual = -1) {
  const inside = new Set(members);
  const examples = (detected ?? []).filter((beat) => inside.has(beat));
  if (inside.has(unusual) && !examples.includes(unusual)) examples.splice(2, 1, unusual);
  for (const share of [1 / 6, 1 / 2, 5 / 6]) {
    const beat = members[Math.floor(share * members.length)];
    if (examples.length < 3 && !examples.includes(beat)) examples.push(beat);
  }
  return examples.filter((beat) => beat !== undefined).sort((a, b) => a - b);
}
