// Irregular rhythms that a person gives: one end, then the other.

/** The irregular rhythms in the list that a stretch of samples overlaps, in words. */
function replacedBy([first, last]) {
  const stretch = [[first, last]];
  const replaced = app.events.filter((event) => isReplaced(event, stretch));
  const words = replaced.map(({ first: at, text }) => `${clockOf(at)} ${text}`);
  return words.length ? ` In place of ${words.join("; ")}.` : "";
}

/** The selected beat is one end of an irregular rhythm; given both, there is one of that name. */
function limitHere(name) {
  if (app.selected < 0) {
    const first = app.marker === null ? "" : "There is no beat at the marker; Esc removes it. ";
    say(`${first}Choose the first or the last beat of the rhythm in the strips.`);
    return;
  }
  const sample = app.state.samples[app.selected];
  byId("strips").focus({ preventScroll: true }); // a button that was clicked is drawn anew
  if (app.limit === null) {
    app.limit = sample;
    renderRecording();
    say(`One end of the rhythm is at ${clockOf(sample)}; choose the other end.`);
  } else if (app.limit === sample) say("Choose another beat for the other end of the rhythm.");
  else {
    const rhythm = [Math.min(app.limit, sample), Math.max(app.limit, sample)];
    const replaced = replacedBy(rhythm);
    app.limit = null;
    const given = `From ${clockOf(rhythm[0])} to ${clockOf(rhythm[1])}: ${name}.`;
    decide({ rhythm, event: name }, `${given}${replaced} Kinds do not change.`);
  }
}

function clearLimit() {
  app.limit = null;
  renderRecording();
  byId("strips").focus({ preventScroll: true });
  say("The end of the rhythm was removed.");
}

/** What the panel of a beat, or that without one, offers. */
function limitButtons() {
  if (app.limit === null) {
    return app.selected < 0
      ? []
      : [button("Rhythm from here…", "an irregular rhythm that begins or ends here (key r)", () => limitHere(WITHOUT_P))];
  }
  const ends = [
    button("Rhythm to here, no P waves", "most often atrial fibrillation (key r)", () => limitHere(WITHOUT_P)),
    button("Rhythm to here, P waves", "or unknown (key R)", () => limitHere("irregular rhythm")),
  ];
  const text = `rhythm from ${clockOf(app.limit)}`;
  return [
    element("span", { textContent: text }),
    ...(app.selected < 0 ? [] : ends),
    button("Cancel rhythm", "key Esc", clearLimit),
  ];
}
