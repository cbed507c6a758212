// The page of a recording: everything that is shown, clicked and typed.

const STRIP = 10; // s
const ROWS = 3; // strips on the page

const byId = (id) => document.getElementById(id);
const app = {
  decisions: [],
  saved: 0, // of the decisions, the first so many are in the saved review
  undone: 0, // decisions that it holds besides
  merging: null,
  selected: -1, // a beat
  marker: null, // a sample without a beat, where one can be added
  limit: null, // the sample of the beat at one end of an irregular rhythm
  events: null, // those in the list of events
  now: null, // the event from which [ and ] go on
  chosen: null, // the event that is shown
  before: undefined, // the sample of the beat that was selected before the marker
  brought: null, // the strip that is brought into the window
  left: {}, // the card in focus last, as its dataset
  at: 0, // s, where the strips begin
  view: { from: 0, to: 1 },
  order: [], // of the families, as detected: cards stay where they are
  means: new Map(),
  all: false, // whether all families are shown
  open: new Set(), // frames of small families that stand open, by their first
};

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  const { data = {}, ...others } = properties;
  Object.assign(made, others);
  Object.assign(made.dataset, data);
  made.append(...children);
  return made;
}

/** A button without a tooltip where the title is empty; more: further properties. */
function button(textContent, title, onclick, more = {}) {
  return element("button", { type: "button", textContent, ...(title && { title }), onclick, ...more });
}

function say(text) {
  byId("status").textContent = byId("status").title = text;
}

const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const beatsText = (count) => counted(count, "beat");

function refresh() {
  const selected = app.state?.samples[app.selected];
  app.state = replay(app.detected, app.decisions);
  followBeats();
  app.selected = beatAt(app.state.samples, selected);
  if (app.marker !== null && !hasRoom(app.state, app.marker)) app.marker = null;
  if (app.limit !== null && beatAt(app.state.samples, app.limit) < 0) app.limit = null;
  followEvents();
  render();
}

function render() {
  renderCounts();
  renderTotals();
  renderFamilies();
  renderRecording();
}

/** What is known of each beat, of those that were added as well. */
function followBeats() {
  const { samples, source, fs } = app.state;
  const { score, confidence } = app.detected;
  app.times = samples.map((sample) => sample / fs);
  app.rr = intervalsOf(app.state);
  app.rate = Float32Array.from(app.rr, (value) => (value > 0 ? 60000 / value : 0));
  app.score = Float32Array.from(source, (i) => score[i] ?? NaN);
  app.confidence = Int8Array.from(source, (i) => confidence[i] ?? -1);
  app.members = membersOf(app.state);
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
    counted(app.decisions.length, "decision") +
    (unsaved() ? `, ${unsaved()} not saved` : "") +
    (share > 0 ? `; ${Math.floor(100 * share)} % of beats named` : "");
  renderUndo();
}

/** Whether there is something to take back: a decision, or one that is begun. */
function renderUndo() {
  const begun = [app.merging, app.marker, app.limit].some((one) => one !== null);
  byId("undo").disabled = !app.decisions.length && !begun;
}

function badge(kind) {
  return element("b", { className: "badge", data: { kind }, textContent: kind || "?" });
}

function timeOf(beat) {
  return clock(app.times[beat], app.start);
}

/** The time of a sample of the recording. */
function clockOf(sample) {
  return clock(sample / app.data.fs, app.start);
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
  byId("previous").onclick = () => stepInStrips(-1);
  byId("next").onclick = () => stepInStrips(1);
  byId("like").onclick = nextOfFamily;
  byId("which").onchange = renderEvents;
  const overview = byId("overview");
  overview.onpointerdown = (event) => overview.setPointerCapture(event.pointerId);
  overview.onpointermove = overview.onclick = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    goTo(timeAt(event.offsetX, overview.clientWidth, app.view) - (ROWS * STRIP) / 2);
  };
  byId("strips").querySelectorAll("canvas").forEach((canvas, row) => {
    canvas.onclick = (event) => {
      const reach = event.pointerType === "touch" ? 2 * APART : APART; // a finger is wide
      if (app.leads) pick(app.at + row * STRIP + event.offsetX / PER_SECOND, reach);
    };
  });
  document.addEventListener("keydown", onKey);
  // Who presses or turns the wheel is no longer led to a beat: what is pressed stays where it is.
  for (const type of ["pointerdown", "wheel"]) document.addEventListener(type, () => (app.brought = null));
  document.addEventListener("focusin", ({ target }) => {
    const card = target.closest?.(".family, .frame");
    if (!card) return;
    app.left = { ...card.dataset }; // where Esc leads back to
    if (app.marker !== null) clearMarker(); // letters name the card now
  });
  addEventListener("resize", renderRecording);
  addEventListener("beforeprint", () => document.querySelectorAll(".family").forEach(drawCard));
  addEventListener("beforeunload", (event) => {
    if (unsaved()) event.preventDefault();
  });
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
  const families = data.families.map((one) => ({ ...one, detected: one.kind }));
  const { fs, seconds, unscorable } = data;
  app.detected = { samples, families, fs, seconds, unscorable };
  ["kind", "family", "score", "confidence", "rr"].forEach((name, i) => {
    app.detected[name] = arrays[i + 1];
  });
  app.decisions = data.decisions;
  app.applied = [...data.decisions]; // in the files
  keepSaved();
  app.order = toName(app.detected, families, membersOf(replay(app.detected, [])));
  app.state = replay(app.detected, app.decisions);
  followBeats();
  prepareEvents();
  listen();
  render();
  app.leads = await unpackTape(data.tape);
  renderFamilies();
  renderRecording();
  document.documentElement.dataset.ready = "yes";
}

if (typeof document !== "undefined") openPage();
