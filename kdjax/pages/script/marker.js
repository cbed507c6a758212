// The marker in the strips: where a letter adds a beat that was missed.

/** A click in the strips: the beat within `reach` s, or the marker where there is none. */
function pick(time, reach) {
  const after = firstFrom(app.times, time);
  const nearer = time - app.times[after - 1] < app.times[after] - time;
  const nearest = nearer || after === app.times.length ? after - 1 : after;
  const isFree = Math.abs(app.times[nearest] - time) > reach && time < app.data.seconds;
  const room = isFree ? roomAt(after) : null;
  if (!room) {
    show(nearest);
    return;
  }
  const { fs, tape } = app.data;
  placeMarker(snapped(app.leads[0], tape, Math.round(time * fs), room, fs));
}

const roomAt = (next) => roomBefore(next, app.state);

function placeMarker(sample) {
  if (app.marker === null) app.before = app.state.samples[app.selected];
  app.marker = sample;
  app.selected = -1;
  bringIntoView(sample / app.data.fs);
  say(`A letter adds a beat at ${clockOf(sample)}.`);
}

/** Puts the marker after the selected beat, or after the beat that follows the marker. */
function nextGap() {
  if (!app.leads) return;
  const { samples, fs } = app.state;
  let next = app.marker === null ? app.selected + 1 : firstFrom(samples, app.marker) + 1;
  if (app.marker === null && app.selected < 0) {
    next = firstFrom(app.times, app.at);
    if (app.times[next] < app.at + STRIP) next += 1; // after the first beat in view
  }
  while (next <= samples.length && !roomAt(next)) next += 1;
  if (next > samples.length) {
    say("There is no room for another beat.");
    return;
  }
  const [first, last] = roomAt(next);
  const from = app.selected < 0 && app.marker === null ? Math.max(first, Math.ceil(app.at * fs)) : first;
  placeMarker(steepestIn(app.leads[0], app.data.tape, [Math.min(from, last), last], fs));
}

function moveMarker(seconds) {
  const { fs } = app.data;
  const wanted = app.marker + Math.round(seconds * fs);
  const place = between(wanted, roomAt(firstFrom(app.state.samples, app.marker)));
  placeMarker(place);
  if (place !== wanted) say("A beat must be more than 150 ms from its neighbours; press a for the next gap.");
}

/** Takes the marker away; the beat that was selected before it is so again. */
function clearMarker() {
  app.marker = null;
  app.selected = beatAt(app.state.samples, app.before);
  renderRecording();
  say("");
}

function addBeat(kind) {
  const add = app.marker;
  if (kind === "X") {
    say("There is no beat here that could be an artefact; Esc removes the marker.");
    return;
  }
  app.marker = null;
  const strips = byId("strips");
  const top = strips.getBoundingClientRect().top;
  decide({ add, kind }, `Added a beat at ${clockOf(add)}: ${kind}, ${KIND_NAMES[kind]}.`);
  app.selected = beatAt(app.state.samples, add);
  renderRecording();
  strips.focus({ preventScroll: true }); // the button that was clicked is gone
  scrollBy(0, strips.getBoundingClientRect().top - top); // cards above may have other heights now
}

/** What stands above the strips while the marker is in them. */
function markerPanel() {
  const text = `${clockOf(app.marker)} · no beat here; type a letter to add one · ←, → or a click moves the marker`;
  const addable = [...KINDS].filter((kind) => kind !== "X").join("");
  const removing = button("Remove marker", "key Esc", clearMarker);
  return [...kindButtons("", false, addBeat, addable), element("span", { textContent: text }), removing];
}
