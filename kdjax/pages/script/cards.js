// The families as cards.

/** Numbers of the families with beats: the largest first, those that look like artefacts last. */
function familyOrder() {
  const numbers = app.members.map((_, i) => i).filter((i) => app.members[i].length);
  const last = (i) => Number(Boolean(app.detected.families[i]?.artefact));
  return numbers.sort((a, b) => last(a) - last(b) || app.members[b].length - app.members[a].length);
}

function renderFamilies() {
  const focused = Number(document.activeElement?.closest?.(".family")?.dataset.number);
  const total = app.members.reduce((sum, members) => sum + members.length, 0);
  byId("families").replaceChildren(...familyOrder().map((i) => familyCard(i, total)));
  if (focused) (cardOf(focused) ?? byId("families").firstElementChild)?.focus();
}

function cardOf(number) {
  return byId("families").querySelector(`[data-number="${number}"]`);
}

function familyCard(i, total) {
  const family = app.state.families[i];
  const members = app.members[i];
  const share = ((100 * members.length) / total).toPrecision(3);
  const pictures = element("div", { className: "pictures" });
  const card = element(
    "article",
    {
      className: app.merging === i + 1 ? "family merging" : "family",
      tabIndex: 0,
      data: { number: i + 1 },
    },
    element(
      "header",
      {},
      badge(family.kind),
      element("h3", { textContent: `Family ${i + 1}` }),
      element("span", { textContent: `${beatsText(members.length)}, ${share} %` }),
      element("span", { className: "about", textContent: aboutFamily(i, family) }),
    ),
    pictures,
    familyButtons(i, family),
  );
  if (app.leads) drawFamily(pictures, i, members);
  return card;
}

function aboutFamily(i, family) {
  const parts = [];
  if (family.named) parts.push(`named ${KIND_NAMES[family.kind]}`);
  else if (family.confidence !== null) parts.push(`confidence ${family.confidence.toFixed(2)}`);
  if (!family.changed) {
    if (family.qrs_ms !== null) parts.push(`QRS ${Math.round(family.qrs_ms)} ms`);
    if (family.prematurity !== null) parts.push(`RR ${family.prematurity.toFixed(2)} of usual`);
  }
  if (app.detected.families[i]?.artefact) parts.push("looks like an artefact");
  return parts.join(" · ");
}

function kindButtons(chosen, action) {
  return [...KINDS].map((kind) =>
    element("button", {
      type: "button",
      className: "kind",
      textContent: kind,
      title: `${KIND_NAMES[kind]} (key ${kind.toLowerCase()})`,
      ariaPressed: String(kind === chosen),
      data: { kind },
      onclick: () => action(kind),
    }),
  );
}

function familyButtons(i, family) {
  const number = i + 1;
  const button = (textContent, title, onclick) =>
    element("button", { type: "button", textContent, title, onclick });
  const mergeText = app.merging && app.merging !== number ? "Merge here" : "Merge…";
  return element(
    "div",
    { className: "buttons" },
    ...kindButtons(family.kind, (kind) => nameTheFamily(number, kind)),
    button("Split", "by shape, in two (key p)", () => splitFamily(number)),
    button(mergeText, "with another family (key m)", () => mergeFamily(number)),
    button("Show", "next beat in the strips (Enter)", () => showNext(i)),
  );
}

function drawFamily(pictures, i, members) {
  const height = app.leads.length > 1 ? 60 : 100;
  const mean = element("canvas", { className: "mean" });
  mean.setAttribute("role", "img");
  mean.setAttribute("aria-label", `Mean beat of family ${i + 1} with its standard deviation`);
  drawMean(mean, meansOf(i, members), app.data.tape, height);
  pictures.append(mean);
  for (const beat of examplesOf(members, app.detected.families[i]?.examples)) {
    const time = app.times[beat];
    const canvas = element("canvas", { title: `Show ${timeOf(beat)}`, onclick: () => show(beat) });
    strip(canvas, time - 1.3, time + 1.3, { selected: beat, leadHeight: height, labels: false });
    pictures.append(
      element("figure", {}, canvas, element("figcaption", { textContent: timeOf(beat) })),
    );
  }
}

function meansOf(i, members) {
  const known = app.means.get(i);
  if (known?.count === members.length && known.last === members[members.length - 1]) {
    return known.means;
  }
  const times = members.map((beat) => app.times[beat]);
  const means = app.leads.map((lead) => meanBeat(lead, app.data.tape, times));
  app.means.set(i, { count: members.length, last: members[members.length - 1], means });
  return means;
}

function strip(canvas, from, to, { selected, leadHeight, labels }) {
  const beats = [];
  const { kind, family } = app.state;
  for (let i = firstFrom(app.times, from); i < app.times.length && app.times[i] < to; i++) {
    const letter = KINDS[kind[i]] ?? "";
    beats.push({ time: app.times[i], kind: letter, family: family[i], selected: i === selected });
  }
  drawStrip(canvas, {
    leads: app.leads,
    tape: app.data.tape,
    from,
    to,
    beats,
    unscorable: app.data.unscorable.filter(([a, b]) => b > from && a < to),
    leadHeight,
    labels,
  });
}
