// The recording: overview, strips, the selected beat.

function renderRecording() {
  const width = Math.max(byId("overview").parentElement.clientWidth, 200);
  drawOverview(byId("overview"), width, {
    times: app.times,
    kind: app.state.kind,
    rate: app.rate,
    events: app.events,
    unscorable: app.data.unscorable,
    from: app.view.from,
    to: app.view.to,
    shown: { from: app.at, to: app.at + ROWS * STRIP },
    start: app.start,
  });
  byId("overview").setAttribute("aria-valuenow", String(Math.round(app.at)));
  byId("overview").setAttribute("aria-valuetext", clock(app.at, app.start));
  if (app.leads) renderStrips();
  renderBeat();
  renderUndo();
}

function renderStrips() {
  const rows = [...byId("strips").querySelectorAll("figure")];
  rows.forEach((row, i) => {
    const from = app.at + i * STRIP;
    row.hidden = from >= app.data.seconds;
    row.querySelector("figcaption").textContent = clock(from, app.start);
    const leadHeight = app.leads.length > 1 ? 90 : 110;
    strip(row.querySelector("canvas"), from, from + STRIP, {
      selected: app.selected,
      leadHeight,
      labels: true,
    });
  });
}

function renderBeat() {
  const i = app.selected;
  const panel = byId("beat");
  if (app.marker !== null) {
    panel.replaceChildren(...markerPanel());
    return;
  }
  const missed = button("Add a beat", "that was missed (key a, or click where it is)", nextGap);
  if (i < 0) {
    panel.replaceChildren("Click a beat to name only that beat, or a place without one to add a missed beat.", missed, ...limitButtons());
    return;
  }
  const { kind, family, byHand } = app.state;
  const letter = KINDS[kind[i]] ?? "";
  const parts = [timeOf(i), letter ? KIND_NAMES[letter] : "not scored"];
  if (app.state.source[i] < 0) parts.push("added");
  if (family[i] >= 0) parts.push(`family ${family[i] + 1}`);
  if (app.rr[i] >= 0) parts.push(`RR ${Math.round(app.rr[i])} ms`);
  if (Number.isFinite(app.score[i])) parts.push(`score ${app.score[i].toPrecision(3)}`);
  const decided = Boolean(byHand[i] || app.state.families[family[i]]?.named);
  if (byHand[i] && app.state.source[i] >= 0) parts.push("named by hand");
  else if (!decided && app.confidence[i] >= 0) parts.push(`confidence ${app.confidence[i] / 100}`);
  panel.replaceChildren(
    ...kindButtons(letter, decided, nameTheBeat),
    element("span", { textContent: parts.join(" · ") }),
    missed,
    ...limitButtons(),
  );
}

/** Shows the strips from a time on; what is no longer in them is no longer selected. */
function goTo(time) {
  app.chosen = null;
  app.at = Math.min(Math.max(time, 0), Math.max(app.data.seconds - STRIP, 0));
  const isOut = (place) => place < app.at || place > app.at + ROWS * STRIP;
  if (isOut(app.times[app.selected])) app.selected = -1;
  if (app.marker !== null && isOut(app.marker / app.data.fs)) app.marker = null;
  const { from, to } = app.view;
  if (app.at < from || app.at + STRIP > to) {
    const half = (to - from) / 2;
    zoomTo(app.at - half, app.at + half);
  }
  renderRecording();
}

/** Selects a beat and brings it into view. */
function show(beat) {
  if (beat < 0 || beat >= app.times.length) return;
  app.selected = beat;
  app.marker = app.chosen = null;
  bringIntoView(app.times[beat]);
  say(byId("beat").querySelector("span").textContent);
}

/** Brings a time into the strips, and its strip into the window. */
function bringIntoView(time) {
  if (time < app.at || time > app.at + ROWS * STRIP) goTo(time - STRIP / 2);
  else renderRecording();
  const strips = byId("strips");
  strips.focus({ preventScroll: true });
  const row = Math.min(Math.floor((time - app.at) / STRIP), ROWS - 1);
  const within = (time - app.at - row * STRIP) * PER_SECOND;
  strips.scrollLeft = within - strips.clientWidth / 2; // of a phone, which shows a part of a strip
  app.brought = strips.children[row];
  bringIntoWindow(app.brought, SETTLES);
}

const SETTLES = 12; // pictures, in which cards above may still be drawn and grow

/** Scrolls to a strip, again until what is above it has its height. */
function bringIntoWindow(row, times) {
  if (row !== app.brought) return;
  const before = row.getBoundingClientRect().top + scrollY;
  const left = row.parentElement.scrollLeft; // stays
  row.scrollIntoView({ block: "nearest" });
  row.parentElement.scrollLeft = left;
  if (!times) return;
  requestAnimationFrame(() => {
    const grew = row.getBoundingClientRect().top + scrollY !== before;
    bringIntoWindow(row, grew ? SETTLES : times - 1);
  });
}

/** The next beat of a family after the selected one, from the start again after the last. */
function showNext(i) {
  const members = app.members[i];
  const next = members.find((beat) => beat > app.selected) ?? members[0];
  show(next);
  if (members.length > 1) {
    const place = `beat ${members.indexOf(next) + 1} of ${members.length}`;
    say(`${byId("status").textContent} · ${place}`);
  }
}

/** The next of the selected beat's family, or of the family that was in focus last. */
function nextOfFamily() {
  const family = familyOfSelected() >= 0 ? familyOfSelected() : Number(app.left.number ?? 0) - 1;
  if (family >= 0 && app.members[family]?.length) showNext(family);
  else say("Choose a beat or a family first.");
}

function zoomTo(from, to) {
  const whole = app.data.seconds;
  const length = Math.min(Math.max(to - from, 60), Math.max(whole, 1));
  const start = Math.min(Math.max(from, 0), Math.max(whole - length, 0));
  app.view = { from: start, to: start + length };
}

function zoom(factor) {
  const { from, to } = app.view;
  const middle = app.at + (ROWS * STRIP) / 2;
  const length = (to - from) * factor;
  zoomTo(middle - length / 2, middle + length / 2);
  renderRecording();
}
