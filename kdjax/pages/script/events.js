// The list of events.

const LISTED = 400; // events

/** The events of the recording and its highest scores, by their times in s. */
function prepareEvents() {
  const { events, fs, not_scored } = app.data;
  app.events = events.map(([name, first, last, beats]) => ({
    name,
    from: first / fs,
    to: last / fs,
    text: eventText(name, (last - first) / fs, beats),
  }));
  for (const [from, to, reason] of not_scored) {
    const text = `not scored, ${(to - from).toFixed(0)}\u00a0s, ${reason}`;
    app.events.push({ name: "not scored", from, to, text });
  }
  app.events.sort((a, b) => a.from - b.from);
  const { score, samples } = app.detected;
  app.highest = highest(score, 50).map((beat) => ({
    from: samples[beat] / fs,
    text: `score ${score[beat].toPrecision(3)}`,
  }));
  renderChoice();
  if (!app.events.length) byId("which").value = "highest scores";
}

/** Which events the list can show, with how many there are. */
function renderChoice() {
  const names = [...new Set(app.events.map((event) => event.name))];
  const count = (name) => app.events.filter((event) => event.name === name).length;
  byId("which").replaceChildren(
    element("option", { value: "", textContent: `all events (${app.events.length})` }),
    ...names.map((name) =>
      element("option", { value: name, textContent: `${name} (${count(name)})` }),
    ),
    element("option", { value: "highest scores", textContent: "highest scores" }),
  );
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

function renderEvents() {
  const chosen = byId("which").value;
  const list = chosen ? app.events.filter((event) => event.name === chosen) : app.events;
  const items = (chosen === "highest scores" ? app.highest : list).slice(0, LISTED);
  byId("events").replaceChildren(
    ...items.map((event) =>
      element("li", {}, element("button", {
        type: "button",
        textContent: `${clock(event.from, app.start)} ${event.text}`,
        onclick: ({ currentTarget }) => showEvent(currentTarget, event),
      })),
    ),
  );
  byId("more").textContent =
    list.length > LISTED ? `The first ${LISTED} of ${list.length}; events.csv and summary.json have them all.` : "";
}

/** Goes to an event, and marks it as the one from which [ and ] go on. */
function showEvent(button, { name, from, text }) {
  for (const other of byId("events").querySelectorAll(".now")) other.classList.remove("now");
  button.classList.add("now");
  if (name !== "not scored") {
    show(Math.min(firstFrom(app.times, from), app.times.length - 1));
    return;
  }
  app.selected = -1; // there may be no beat
  app.marker = null;
  bringIntoView(from);
  say(text);
}

function nextEvent(step) {
  const buttons = [...byId("events").querySelectorAll("button")];
  const now = buttons.findIndex((button) => button.classList.contains("now"));
  const next = buttons[now < 0 ? 0 : now + step];
  if (!next) {
    say("No more events in the list.");
    return;
  }
  next.scrollIntoView({ block: "nearest" });
  next.click();
}
