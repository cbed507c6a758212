// The page of a recording: everything that is shown, clicked and typed.

const STRIP = 10; // s
const ROWS = 3; // strips on the page
const LISTED = 400; // events

const byId = (id) => document.getElementById(id);
const app = {
  decisions: [],
  saved: 0, // of the decisions, the first so many are in the saved review
  undone: 0, // decisions that it holds besides
  merging: null,
  selected: -1, // a beat
  left: {}, // the card in focus last, as its dataset
  at: 0, // s, where the strips begin
  view: { from: 0, to: 1 },
  means: new Map(),
  all: false, // whether all families are shown
  open: new Set(), // frames of rare families that stand open, by their first
};

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  const { data = {}, ...others } = properties;
  Object.assign(made, others);
  Object.assign(made.dataset, data);
  made.append(...children);
  return made;
}

function say(text) {
  byId("status").textContent = text;
}

const beatsText = (count) => `${count.toLocaleString("en")} ${count === 1 ? "beat" : "beats"}`;

function refresh() {
  app.state = replay(app.detected, app.decisions);
  app.members = membersOf(app.state);
  renderCounts();
  renderFamilies();
  renderRecording();
}

function renderCounts() {
  const counts = countKinds(app.state);
  byId("counts").replaceChildren(
    ...[...KINDS].map((kind) =>
      element(
        "span",
        { className: "count", data: { kind }, title: KIND_NAMES[kind] },
        badge(kind),
        ` ${counts[kind].toLocaleString("en")} `,
        element("small", { textContent: KIND_NAMES[kind] }),
      ),
    ),
    element("span", { className: "count" }, `${counts[""].toLocaleString("en")} not scored`),
  );
  const decided = app.members.filter((_, i) => app.state.families[i].named);
  const share = decided.flat().length / Math.max(app.members.flat().length, 1);
  byId("decisions").textContent =
    `${app.decisions.length} ${app.decisions.length === 1 ? "decision" : "decisions"}` +
    (unsaved() ? `, ${unsaved()} not saved` : "") +
    (share > 0 ? `; ${Math.floor(100 * share)} % of beats in named families` : "");
  byId("undo").disabled = !app.decisions.length;
}

function badge(kind) {
  return element("b", { className: "badge", data: { kind }, textContent: kind || "?" });
}

function timeOf(beat) {
  return clock(app.times[beat], app.start);
}

function listen() {
  byId("save").onclick = save;
  byId("undo").onclick = undo;
  byId("load").onclick = () => byId("file").click();
  byId("file").onchange = async ({ target }) => {
    if (target.files.length) await load(target.files[0]);
    target.value = "";
  };
  byId("in").onclick = () => zoom(1 / 4);
  byId("out").onclick = () => zoom(4);
  byId("back").onclick = () => goTo(app.at - ROWS * STRIP);
  byId("forth").onclick = () => goTo(app.at + ROWS * STRIP);
  byId("which").onchange = renderEvents;
  const overview = byId("overview");
  overview.onpointerdown = (event) => overview.setPointerCapture(event.pointerId);
  overview.onpointermove = overview.onclick = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    goTo(timeAt(event.offsetX, overview.clientWidth, app.view) - (ROWS * STRIP) / 2);
  };
  byId("strips").querySelectorAll("canvas").forEach((canvas, row) => {
    canvas.onclick = (event) => {
      const time = app.at + row * STRIP + event.offsetX / PER_SECOND;
      const after = firstFrom(app.times, time);
      const nearer = time - app.times[after - 1] < app.times[after] - time;
      show(nearer || after === app.times.length ? after - 1 : after);
    };
  });
  document.addEventListener("keydown", onKey);
  document.addEventListener("focusin", ({ target }) => {
    const card = target.closest?.(".family, .rare");
    if (card) app.left = { ...card.dataset }; // where Esc leads back to
  });
  addEventListener("resize", renderRecording);
  addEventListener("beforeprint", () => document.querySelectorAll(".family").forEach(drawCard));
  addEventListener("beforeunload", (event) => {
    if (unsaved()) event.preventDefault();
  });
}

function prepareEvents() {
  const { events, fs } = app.data;
  const beatFrom = (time) => Math.min(firstFrom(app.times, time), app.times.length - 1);
  app.events = events.map(([name, first, last, beats]) => ({
    name,
    from: first / fs,
    to: last / fs,
    text: eventText(name, (last - first) / fs, beats),
    beat: beatFrom(first / fs),
  }));
  for (const [from, to, reason] of app.data.not_scored) {
    const text = `not scored, ${(to - from).toFixed(0)}\u00a0s, ${reason}`;
    app.events.push({ name: "not scored", from, to, text, beat: beatFrom(from) });
  }
  app.events.sort((a, b) => a.from - b.from);
  app.highest = highest(app.score, 50).map((beat) => ({
    from: app.times[beat],
    text: `score ${app.score[beat].toPrecision(3)}`,
    beat,
  }));
  const names = [...new Set(app.events.map((event) => event.name))];
  const count = (name) => app.events.filter((event) => event.name === name).length;
  byId("which").replaceChildren(
    element("option", { value: "", textContent: `all events (${app.events.length})` }),
    ...names.map((name) =>
      element("option", { value: name, textContent: `${name} (${count(name)})` }),
    ),
    element("option", { value: "highest scores", textContent: "highest scores" }),
  );
  if (!app.events.length) byId("which").value = "highest scores";
}

/** An event in words: how many beats, how long, and of a run how fast. */
function eventText(name, seconds, beats) {
  const parts = [name];
  if (name !== "pause") parts.push(beatsText(beats));
  const long = seconds < 3600 ? `${clock(seconds).replace(/^0:0?/, "")}\u00a0min` : `${clock(seconds)}\u00a0h`;
  parts.push(seconds < 60 ? `${seconds.toFixed(1)}\u00a0s` : long);
  if (name.endsWith("run")) parts.push(`${Math.round((60 * (beats - 1)) / seconds)} bpm`);
  return parts.join(", ");
}

async function openPage() {
  const data = JSON.parse(byId("data").textContent);
  app.data = data;
  app.start = data.start ? Date.parse(`${data.start.slice(0, 19)}Z`) : null;
  app.view = { from: 0, to: Math.max(data.seconds, 1) };
  const { step, kind, family, score, confidence, rr } = data.beats;
  const arrays = await Promise.all([step, kind, family, score, confidence, rr].map(unpack));
  let sample = 0;
  const samples = Float64Array.from(arrays[0], (value) => (sample += value));
  app.times = samples.map((value) => value / data.fs);
  [app.score, app.confidence, app.rr] = arrays.slice(3);
  app.rate = Float32Array.from(app.rr, (value) => (value > 0 ? 60000 / value : 0));
  app.detected = { samples, kind: arrays[1], family: arrays[2], confidence: app.confidence };
  app.detected.families = data.families.map((one) => ({ ...one, detected: one.kind }));
  app.decisions = data.decisions;
  keepSaved();
  app.state = replay(app.detected, app.decisions);
  prepareEvents();
  renderEvents();
  listen();
  refresh();
  app.leads = await unpackTape(data.tape);
  refresh();
  document.documentElement.dataset.ready = "yes";
}

if (typeof document !== "undefined") openPage();
