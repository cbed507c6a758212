// The list of decisions: made, undone, saved and loaded.

function decide(decision, text) {
  const last = app.decisions[app.decisions.length - 1];
  if (JSON.stringify(last) !== JSON.stringify(decision)) app.decisions.push(decision);
  refresh();
  say(text);
}

function undo() {
  if (app.merging !== null) {
    mergeFamily(app.merging); // the family may be gone after the undo
    say("The merge is taken back.");
    return;
  }
  if (app.marker !== null) {
    clearMarker();
    return;
  }
  if (app.limit !== null) {
    clearLimit();
    return;
  }
  if (!app.decisions.length) {
    say("Nothing to undo.");
    return;
  }
  const undone = app.decisions.pop();
  if (app.decisions.length < app.saved) {
    app.saved -= 1;
    app.undone += 1;
  }
  refresh();
  if (undone.split) focusFamily(undone.split);
  if (undone.add !== undefined) {
    app.selected = firstFrom(app.state.samples, undone.add) - 1; // from where key a finds it again
    renderRecording();
  }
  say(`Undone: ${wordsOf(undone)}.`);
}

function wordsOf({ family, families, beat, add, dismiss, rhythm, event, merge, split, kind }) {
  if (split) return `family ${split} is whole again`;
  if (merge) return `family ${merge.slice(1).join(", ")} is no longer part of family ${merge[0]}`;
  if (add !== undefined) return `the beat added at ${clockOf(add)} is gone`;
  if (dismiss) return `${event} at ${clockOf(dismiss[0])} is an event again`;
  if (rhythm) return `the ${event} that you gave at ${clockOf(rhythm[0])} is gone`;
  if (beat !== undefined) return `the beat at ${clockOf(beat)} named ${kind}`;
  return families ? `${families.length} families named ${kind}` : `family ${family} named ${kind}`;
}

function nameSelected(kind) {
  const card = document.activeElement?.closest?.(".family, .frame");
  if (!card) nameTheBeat(kind);
  else if (card.dataset.number) nameTheFamily(Number(card.dataset.number), kind);
  else nameTogether(JSON.parse(card.dataset.families), kind);
}

function nameTheFamily(family, kind) {
  app.merging = null;
  const count = app.members[family - 1].length;
  decide({ family, kind }, `Family ${family} named ${kind}, ${KIND_NAMES[kind]}: ${beatsText(count)}.`);
}

function nameTogether(families, kind) {
  app.merging = null;
  const count = families.reduce((sum, family) => sum + app.members[family - 1].length, 0);
  decide(
    { families, kind },
    `${families.length} families named ${kind}, ${KIND_NAMES[kind]}: ${beatsText(count)}.`,
  );
}

function nameTheBeat(kind) {
  if (app.marker !== null) {
    addBeat(kind);
    return;
  }
  if (app.selected < 0) {
    say("Choose a beat in the strips, or a family, first.");
    return;
  }
  const beat = app.state.samples[app.selected];
  byId("strips").focus({ preventScroll: true }); // a button that was clicked is drawn anew
  decide({ beat, kind }, `Beat at ${timeOf(app.selected)} named ${kind}, ${KIND_NAMES[kind]}.`);
}

function mergeFamily(family) {
  if (app.merging === null || app.merging === family) {
    app.merging = app.merging === family ? null : family;
    refresh();
    say(
      app.merging
        ? `Choose the family to merge family ${family} into: Merge here, or the key m. Esc cancels.`
        : "",
    );
    return;
  }
  const from = app.merging;
  app.merging = null;
  decide(
    { merge: [family, from] },
    `Family ${from} is now part of family ${family} and has its kind.`,
  );
}

function splitFamily(family) {
  if (!app.leads) {
    say("The signal is still being read; try again in a moment.");
    return;
  }
  const members = app.members[family - 1];
  const windows = members.map((beat) => windowAt(app.leads[0], app.data.tape, app.times[beat], SHAPE));
  const apart = twoShapes(windows);
  if (!apart) {
    say(`Family ${family} has only one shape.`);
    return;
  }
  const beats = members.filter((_, i) => apart[i]).map((beat) => app.state.samples[beat]);
  const number = app.state.families.length + 1;
  const text = beats.length === 1 ? "1 beat is" : `${beatsText(beats.length)} are`;
  decide({ split: family, beats }, `${text} now family ${number}.`);
  focusFamily(number);
}

/** How many decisions were made or undone since they were last saved. */
function unsaved() {
  return app.decisions.length - app.saved + app.undone;
}

function keepSaved() {
  app.saved = app.decisions.length;
  app.undone = 0;
}

function save() {
  const { recording, beats } = app.data;
  const review = { format: 1, recording, beats: beats.sha256, decisions: app.decisions };
  const content = new Blob([`${JSON.stringify(review, null, 1)}\n`], { type: "application/json" });
  const link = element("a", { href: URL.createObjectURL(content), download: "review.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // some browsers read it late
  keepSaved();
  renderCounts();
  say("Saved as review.json; kdjax review applies it to the files.");
}

async function load(file) {
  const lost = `${unsaved()} ${unsaved() === 1 ? "is" : "are"} not saved`;
  if (unsaved() && !confirm(`Loading replaces your decisions; ${lost}. Load anyway?`)) return;
  let review;
  try {
    review = JSON.parse(await file.text());
  } catch {
    say(`${file.name} is not a review: it is not JSON.`);
    return;
  }
  const isReview = review?.format === 1 && typeof review.beats === "string";
  const isOwn = isReview && review.beats === app.data.beats.sha256;
  const wrong = isOwn
    ? problem(app.detected, review.decisions)
    : isReview
      ? "it belongs to another recording or detection"
      : "it is not a review in format 1";
  if (wrong) {
    say(`${file.name} was not loaded: ${wrong}.`);
    return;
  }
  app.merging = null; // of a family that there may be no more
  app.decisions = review.decisions;
  keepSaved();
  refresh();
  say(`Loaded ${counted(app.decisions.length, "decision")}.`);
}
