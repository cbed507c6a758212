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

/** Beats a minute, mean over what is known: no interval over bad signal, none from an artefact. */
function meanRate({ samples, kind, rr, fs }, { starts, stops }) {
  let count = 0;
  let seconds = 0;
  let from = samples[0] / fs - Math.max(rr[0], 0) / 1000;
  let isKnown = true;
  for (let i = 0; i < samples.length; i++) {
    isKnown &&= rr[i] >= 0;
    if (kind[i] === KINDS.indexOf("X")) continue; // the next interval reaches over it
    const to = samples[i] / fs;
    const before = firstFrom(stops, from);
    const over = before + Number(stops[before] === from); // stretches that end up to there
    if (isKnown && to > from && firstFrom(starts, to) === over) {
      count += 1;
      seconds += to - from;
    }
    from = to;
    isKnown = true;
  }
  return count ? (60 * count) / seconds : null;
}

/** Of all beats but artefacts, `score` being that of the detected ones; null where there is no number. */
function totalsOf(state, score) {
  const kinds = countKinds(state);
  const hearts = state.kind.length - kinds.X;
  const isScored = (source, i) => Number.isFinite(score[source]) && KINDS[state.kind[i]] !== "X";
  const scored = state.source.filter(isScored).length;
  const bad = joined(state.unscorable);
  const lost = bad.stops.reduce((sum, stop, i) => sum + stop - bad.starts[i], 0);
  const notNormal = kinds.S + kinds.V + kinds.F + kinds.Q;
  return {
    beats: hearts,
    scored,
    kinds,
    notNormal,
    perHour: scored && lost < state.seconds ? (notNormal / (state.seconds - lost)) * 3600 : null,
    heartRate: meanRate(state, bad),
  };
}

/** As Python rounds it; a dash where there is none. */
function wholeText(value) {
  const rules = { maximumFractionDigits: 0, roundingMode: "halfEven" };
  return value === null ? "–" : value.toLocaleString("en", rules);
}

/** Writes the boxes, and hides the notes that the decisions answer. */
function renderTotals() {
  const { beats, scored, kinds, notNormal, perHour, heartRate } = totalsOf(app.state, app.detected.score);
  const ectopic = [..."SVFQ"].map((kind) => `${wholeText(kinds[kind])}\u00a0${kind}`).join(", ");
  const texts = {
    "total-beats": wholeText(beats),
    "total-scored": `${wholeText(scored)} scored`,
    "total-abnormal": wholeText(notNormal),
    "total-kinds": `${ectopic}; ${wholeText(perHour)}\u00a0per\u00a0hour`,
    "total-rate": wholeText(heartRate),
  };
  for (const [id, text] of Object.entries(texts)) byId(id).textContent = text;
  const notes = [...document.querySelectorAll(".notes li")];
  for (const note of notes) note.hidden = Boolean(note.dataset.until && app.state.families[0]?.named);
  const box = document.querySelector(".notes");
  if (box) box.hidden = notes.every((note) => note.hidden);
}
