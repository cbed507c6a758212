// What each key does, by where the focus is.

/** The family of the selected beat, counted from 0; -1 where it has none or none is selected. */
const familyOfSelected = () => app.state.family[app.selected] ?? -1;

const ANYWHERE = {
  u: undo,
  a: nextGap,
  o: () => byId("others")?.click(),
  "[": () => nextEvent(-1),
  "]": () => nextEvent(1),
  "+": () => zoom(1 / 4),
  "-": () => zoom(4),
  "?": () => byId("help").toggleAttribute("open"),
  Escape: () => {
    if (app.merging) mergeFamily(app.merging);
    else if (app.marker !== null) clearMarker();
    else if (app.limit !== null) clearLimit();
    else if (cardLike(app.left)) cardLike(app.left).focus();
    else if (familyOfSelected() >= 0) focusFamily(familyOfSelected() + 1);
    if (document.activeElement.matches(".family, .frame")) say(""); // a letter names the card now
  },
};

const IN_FAMILY = {
  ArrowDown: (card) => nextCard(card, 1),
  ArrowUp: (card) => nextCard(card, -1),
  p: (card) => splitFamily(Number(card.dataset.number)),
  m: (card) => mergeFamily(Number(card.dataset.number)),
  Enter: (card) => showNext(Number(card.dataset.number) - 1),
  ".": (card) => showNext(Number(card.dataset.number) - 1),
};

const IN_FRAME = {
  ArrowDown: (frame) => nextCard(frame, 1),
  ArrowUp: (frame) => nextCard(frame, -1),
  Enter: openFrame,
  ".": openFrame,
};

/** Shows the beats of a frame of small families, or hides them; ↓ then goes to the first. */
function openFrame(frame) {
  const beats = frame.querySelector("details");
  beats.open = !beats.open;
  const closed = "The beats of these families are hidden.";
  say(beats.open ? "The beats of these families are shown; ↓ goes to the first." : closed);
}

function nextCard(card, step) {
  say("");
  const cards = [...document.querySelectorAll(".family, .frame")].filter((one) => one.checkVisibility());
  cards[cards.indexOf(card) + step]?.focus();
}

const NUDGE = 0.01; // s that an arrow moves the marker; ten times as far with the shift key

/** The next beat, or the marker a little farther. */
function stepInStrips(way, event) {
  if (app.marker !== null) moveMarker(way * NUDGE * (event?.shiftKey ? 10 : 1));
  else show(app.selected < 0 ? firstFrom(app.times, app.at) : app.selected + way);
}

/** Keys of irregular rhythms: in the strips, and where nothing has the focus. */
const OF_RHYTHMS = {
  d: dismissNow,
  r: (_, event) => limitHere(event.shiftKey ? "irregular rhythm" : WITHOUT_P),
};

const IN_STRIPS = {
  ArrowRight: (_, event) => stepInStrips(1, event),
  ArrowLeft: (_, event) => stepInStrips(-1, event),
  PageDown: () => goTo(app.at + ROWS * STRIP),
  PageUp: () => goTo(app.at - ROWS * STRIP),
  ArrowDown: () => leaveStrips(1),
  ArrowUp: () => leaveStrips(-1),
  ...OF_RHYTHMS,
  ".": nextOfFamily,
  Enter: nextOfFamily,
};

/** To the card after or before the one that the strips were shown from. */
function leaveStrips(step) {
  const card = cardLike(app.left);
  if (card) nextCard(card, step);
  else document.querySelector(".family, .frame")?.focus();
}

const IN_NOTHING = {
  ArrowDown: () => document.querySelector(".family, .frame")?.focus(),
  ...OF_RHYTHMS,
};

const IN_OVERVIEW = {
  ArrowRight: () => goTo(app.at + (app.view.to - app.view.from) / 50),
  ArrowLeft: () => goTo(app.at - (app.view.to - app.view.from) / 50),
  PageDown: () => goTo(app.at + ROWS * STRIP),
  PageUp: () => goTo(app.at - ROWS * STRIP),
  Home: () => goTo(0),
  End: () => goTo(app.data.seconds),
};

/** The key by its letter; by the place of the Latin one where the layout has others, as in Greek. */
function keyOf({ key, code }) {
  if (key.length > 1) return key;
  const place = /^Key([A-Z])$/.exec(code);
  return (key > "~" && place ? place[1] : key).toLowerCase();
}

function onKey(event) {
  const key = keyOf(event);
  const isBracket = "[]".includes(event.key) && event.altKey; // as many keyboards type it
  if ((event.ctrlKey && !isBracket) || event.metaKey) {
    const action = { z: undo, s: save }[key];
    if (action && !event.shiftKey) { // with the shift key, z is to redo elsewhere
      event.preventDefault();
      action();
    }
    return;
  }
  const isChoosing = event.target.matches("select") && !"[]".includes(event.key);
  if (isChoosing || event.target.matches("input, textarea")) return;
  if (event.altKey && !isBracket) return;
  if (event.key === "Enter" && event.target.matches("button, summary")) return;
  const card = event.target.closest(".family, .frame");
  const kind = key.length === 1 ? key.toUpperCase() : "";
  let action = ANYWHERE[key];
  if (card) action ??= (card.matches(".frame") ? IN_FRAME : IN_FAMILY)[key];
  else if (event.target.closest("#overview")) action ??= IN_OVERVIEW[key];
  else if (event.target.closest("#strips")) action ??= IN_STRIPS[key];
  else if (event.target === document.body) action ??= IN_NOTHING[key];
  if (!action && kind && KINDS.includes(kind)) action = () => nameSelected(kind);
  if (action) {
    event.preventDefault();
    action(card, event);
  }
}
