// The list of events, which follow the decisions.

const LISTED = 400; // events

/** What the list shows at first. */
function prepareEvents() {
  const { score, samples, fs } = app.detected;
  app.highest = highest(score, 50).map((beat) => ({
    from: samples[beat] / fs,
    text: `score ${score[beat].toPrecision(3)}`,
  }));
  followEvents();
  if (!app.events.length) byId("which").value = "highest scores";
  renderEvents();
}

/** The events after the decisions, and what was not scored, in order of time. */
function followEvents() {
  const { fs, not_scored, without_p } = app.data;
  const events = eventsOf(app.state, without_p).map((event) => {
    const [from, to] = [event.first / fs, event.last / fs];
    return { ...event, from, to, text: eventText(event, to - from) };
  });
  for (const [from, to, reason] of not_scored) {
    const text = `not scored, ${(to - from).toFixed(0)}\u00a0s, ${reason}`;
    events.push({ name: "not scored", from, to, text });
  }
  events.sort((a, b) => a.from - b.from);
  const asBefore = JSON.stringify(events) === JSON.stringify(app.events);
  if (asBefore) return; // the list stays where it was scrolled to
  app.events = events;
  renderChoice();
  renderEvents();
}

/** Whether two entries of the list are one event, whose end decisions may have moved. */
const isSame = (one, other) => one.from === other?.from && (one.name ?? one.text) === (other.name ?? other.text);

/** Which events the list can show, with how many there are. */
function renderChoice() {
  const names = [...new Set(app.events.map((event) => event.name))];
  const count = (name) => app.events.filter((event) => event.name === name).length;
  const chosen = byId("which").value;
  byId("which").replaceChildren(
    element("option", { value: "", textContent: `all events (${app.events.length})` }),
    ...names.map((name) =>
      element("option", { value: name, textContent: `${name} (${count(name)})` }),
    ),
    element("option", { value: "highest scores", textContent: "highest scores" }),
  );
  byId("which").value = names.includes(chosen) || chosen === "highest scores" ? chosen : "";
}

/** An event in words: how many beats, how long, and of a run how fast. */
function eventText({ name, beats, given }, seconds) {
  const parts = [name];
  if (name !== "pause") parts.push(beatsText(beats));
  const long = seconds < 3600 ? `${clock(seconds).replace(/^0:0?/, "")}\u00a0min` : `${clock(seconds)}\u00a0h`;
  parts.push(seconds < 60 ? `${seconds.toFixed(1)}\u00a0s` : long);
  if (given) parts.push("by hand");
  if (name.endsWith("run")) parts.push(`${Math.round((60 * (beats - 1)) / seconds)} bpm`);
  return parts.join(", ");
}

/** Those of the kind that the list shows. */
function eventsInList() {
  const chosen = byId("which").value;
  if (chosen === "highest scores") return app.highest;
  return chosen ? app.events.filter((event) => event.name === chosen) : app.events;
}

function renderEvents() {
  const list = eventsInList();
  byId("events").replaceChildren(...list.slice(0, LISTED).map(eventItem));
  byId("more").textContent =
    list.length > LISTED ? `The first ${LISTED} of ${list.length}; events.csv and summary.json have them all.` : "";
}

function eventItem(event) {
  const at = clock(event.from, app.start);
  const showing = ({ currentTarget }) => showEvent(currentTarget, event);
  const className = isSame(event, app.now) ? "event now" : "event";
  const shown = button(`${at} ${event.text}`, "", showing, { className });
  if (!RHYTHMS.includes(event.name)) return element("li", {}, shown);
  const dismissing = button("Dismiss", "removes it from the list (key d)", () => dismissEvent(event), {
    ariaLabel: `Dismiss: ${event.name} at ${at}`,
  });
  return element("li", {}, shown, dismissing);
}

/** Goes to an event, and marks it as the one from which [ and ] go on. */
function showEvent(item, event) {
  const { name, from, text } = event;
  app.now = event;
  for (const other of byId("events").querySelectorAll(".now")) other.classList.remove("now");
  item.classList.add("now");
  if (name === "not scored") {
    app.selected = -1; // there may be no beat
    app.marker = null;
    bringIntoView(from);
    say(text);
  } else {
    show(Math.min(firstFrom(app.times, from), app.times.length - 1));
    if (RHYTHMS.includes(name)) say(`${text}. If there is none, key d dismisses it; key r sets where it begins and ends.`);
  }
  app.chosen = event; // until something else is shown
}

function nextEvent(step) {
  const list = eventsInList();
  const now = list.findIndex((event) => isSame(event, app.now));
  const place = now < 0 ? placeOfNext(list, step) : now + step;
  const item = byId("events").querySelectorAll(".event")[place];
  if (!item) {
    say("No more events in the list.");
    return;
  }
  item.scrollIntoView({ block: "nearest" });
  item.click();
}

/** Where the list goes on from an event that is no longer in it, forth or back. */
function placeOfNext(list, step) {
  if (!app.now || list === app.highest) return 0;
  const after = list.findIndex((event) => event.from >= app.now.from);
  const end = after < 0 ? list.length : after;
  return step > 0 ? end : end - 1;
}

/** There is no such rhythm; ] goes on to what follows it in the list. */
function dismissEvent(event) {
  const { name, first, last } = event;
  [app.now, app.chosen] = [event, null];
  decide({ dismiss: [first, last], event: name }, `Dismissed: ${name} at ${clockOf(first)}. Kinds do not change.`);
  byId("strips").focus({ preventScroll: true });
}

function dismissNow() {
  const chosen = eventsInList().find((event) => isSame(event, app.chosen));
  if (chosen && RHYTHMS.includes(chosen.name)) dismissEvent(chosen);
  else say("Choose an irregular rhythm in the list of events first; other events follow from kinds.");
}
