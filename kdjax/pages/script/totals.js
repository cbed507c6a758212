// The boxes at the top of the page: the numbers of kdjax.detection.summary, after the decisions.

/** Stretches that touch, together, in order: their starts and their stops in s. */
function joined(unscorable) {
  const starts = [];
  const stops = [];
  for (const [start, stop] of [...unscorable].sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    const last = stops.length - 1;
    if (last >= 0 && start <= stops[last]) stops[last] = Math.max(stops[last], stop);
    else {
      starts.push(start);
      stops.push(stop);
    }
  }
  return { starts, stops };
}

/** Beats a minute of each beat: NaN after an interval over bad signal, and of an artefact. */
function heartRates({ samples, kind, rr, fs }, { starts, stops }) {
  const rates = new Float64Array(samples.length).fill(NaN);
  let from = samples[0] / fs - Math.max(rr[0], 0) / 1000;
  let isKnown = true;
  for (let i = 0; i < samples.length; i++) {
    isKnown &&= rr[i] >= 0;
    if (kind[i] === KINDS.indexOf("X")) continue; // the next interval reaches over it
    const to = samples[i] / fs;
    const before = firstFrom(stops, from);
    const over = before + Number(stops[before] === from); // stretches that end up to there
    const interval = Math.fround(to - from); // as the files have it
    if (isKnown && interval > 0 && firstFrom(starts, to) === over) rates[i] = 60 / interval;
    from = to;
    isKnown = true;
  }
  return rates;
}

/** Of a rate that changes from beat to beat: all beats over all the time they took. */
function meanRate(rates) {
  const known = rates.filter((rate) => !Number.isNaN(rate));
  return known.length ? known.length / known.reduce((sum, rate) => sum + 1 / rate, 0) : null;
}

/** Beats, those of each kind, and the median rate, in each hour; scored are those with a kind. */
function hoursOf(state, rates) {
  const count = Math.ceil(state.seconds / 3600);
  const hours = Array.from({ length: count }, () => ({ beats: 0, scored: 0, kinds: [0, 0, 0, 0, 0], rates: [] }));
  for (let i = 0; i < state.samples.length; i++) {
    if (KINDS[state.kind[i]] === "X") continue;
    const hour = hours[Math.min(Math.floor(state.samples[i] / state.fs / 3600), count - 1)];
    hour.beats += 1;
    if (state.kind[i] >= 0) {
      hour.scored += 1;
      hour.kinds[state.kind[i]] += 1;
    }
    if (!Number.isNaN(rates[i])) hour.rates.push(rates[i]);
  }
  return hours.map(({ beats, scored, kinds, rates: known }) => {
    const [, ...notNormal] = kinds;
    const heartRate = known.length ? medianOf(known) : null;
    return { beats, scored, notNormal, heartRate };
  });
}

function medianOf(values) {
  const sorted = Float64Array.from(values).sort();
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

/** Of all beats but artefacts, `score` being that of the detected ones; null where there is no number. */
function totalsOf(state, score) {
  const kinds = countKinds(state);
  const hearts = state.kind.length - kinds.X;
  const isScored = (source, i) => Number.isFinite(score[source]) && KINDS[state.kind[i]] !== "X";
  const scored = state.source.filter(isScored).length;
  const bad = joined(state.unscorable);
  const rates = heartRates(state, bad);
  const lost = bad.stops.reduce((sum, stop, i) => sum + stop - bad.starts[i], 0);
  const notNormal = kinds.S + kinds.V + kinds.F + kinds.Q;
  return {
    beats: hearts,
    scored,
    kinds,
    notNormal,
    perHour: scored && lost < state.seconds ? (notNormal / (state.seconds - lost)) * 3600 : null,
    heartRate: meanRate(rates),
    hours: hoursOf(state, rates),
  };
}

/** As Python rounds it; a dash where there is none. */
function wholeText(value) {
  const rules = { maximumFractionDigits: 0, roundingMode: "halfEven" };
  return value === null ? "–" : value.toLocaleString("en", rules);
}

/** Writes the boxes and the table of hours, and hides the notes that the decisions answer. */
function renderTotals() {
  const totals = totalsOf(app.state, app.detected.score);
  const { beats, scored, kinds, notNormal, perHour, heartRate } = totals;
  const ectopic = [..."SVFQ"].map((kind) => `${wholeText(kinds[kind])}\u00a0${kind}`).join(", ");
  const texts = {
    "total-beats": wholeText(beats),
    "total-scored": `${wholeText(scored)} scored`,
    "total-abnormal": wholeText(notNormal),
    "total-kinds": `${ectopic}; ${wholeText(perHour)}\u00a0per\u00a0hour`,
    "total-rate": wholeText(heartRate),
  };
  for (const [id, text] of Object.entries(texts)) byId(id).textContent = text;
  totals.hours.forEach(renderHour);
  const answered = {
    named: app.state.families[0]?.named,
    "no-pause": !app.events.some(({ name }) => name === "pause"),
  };
  const notes = [...document.querySelectorAll(".notes li")];
  for (const note of notes) note.hidden = Boolean(answered[note.dataset.until]);
  const box = document.querySelector(".notes");
  if (box) box.hidden = notes.every((note) => note.hidden);
}

function renderHour({ beats, scored, notNormal, heartRate }, hour) {
  const all = notNormal.reduce((sum, count) => sum + count, 0);
  const texts = [beats, ...notNormal, all].map(wholeText);
  texts.push(percentText(scored ? all / scored : null), wholeText(heartRate));
  const row = byId("hours").querySelector("tbody").rows[hour];
  texts.forEach((text, i) => {
    row.cells[i + 1].textContent = text;
  });
}

/** A share in per cent, of three digits, as Python rounds it. */
function percentText(value) {
  if (value === null) return "–";
  const rules = { maximumSignificantDigits: 3, roundingMode: "halfEven", useGrouping: false };
  return `${(100 * value).toLocaleString("en", rules)}\u00a0%`;
}
