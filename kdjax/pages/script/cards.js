// The families as cards.

const AROUND = 1.55; // s before and after a typical beat
const AROUND_SMALL = 1.35;
const AVERAGED = 2000; // beats of a mean, an even share of more
const SHOWN = 12; // families and frames of small ones, before the others are asked for

function renderFamilies() {
  const { number, first } = document.activeElement?.closest?.(".family, .frame")?.dataset ?? {};
  const total = app.members.reduce((sum, members) => sum + members.length, 0);
  app.drawn?.disconnect();
  app.drawn = new IntersectionObserver(drawSeen, { rootMargin: "800px" });
  const groups = followedOrder(app.order, app.state.families, app.members);
  const shown = app.all ? groups : groups.slice(0, SHOWN);
  byId("families").replaceChildren(
    ...shown.map((group) =>
      group.length > 1 ? smallFamilies(group, total) : familyCard(group[0], total),
    ),
    ...othersButton(groups.slice(SHOWN)),
  );
  const again = cardLike({ number, first });
  if (number || first) (again ?? document.querySelector(".family"))?.focus();
}

/** A button that shows the other families, or hides them again; none where there are no others. */
function othersButton(groups) {
  if (!groups.length) return [];
  const families = groups.flat();
  const beats = families.reduce((sum, i) => sum + app.members[i].length, 0);
  const text =
    families.length === 1 ? "the other family" : `the other ${families.length} families`;
  const onclick = () => {
    app.all = !app.all;
    renderFamilies();
    const next = document.querySelectorAll("#families > *")[SHOWN];
    next.focus();
    next.scrollIntoView({ block: app.all ? "start" : "nearest" });
  };
  const says = `${app.all ? "Hide" : "Show"} ${text}, ${beatsText(beats)} (key o)`;
  return [button(says, "", onclick, { id: "others" })];
}

/** Small families of a kind: one row of buttons names all that have no name yet, then all again. */
function smallFamilies(group, total) {
  const unnamed = group.filter((i) => !app.state.families[i].named);
  const numbers = (unnamed.length ? unnamed : group).map((i) => i + 1);
  const kinds = new Set(group.map((i) => app.state.families[i].kind));
  const chosen = !unnamed.length && kinds.size === 1 ? [...kinds][0] : "";
  const beats = group.reduce((sum, i) => sum + app.members[i].length, 0);
  const { detected, artefact } = app.state.families[group[0]];
  const like = artefact ? " that look like artefacts" : "";
  const naming = kindButtons(chosen, true, (kind) => nameTogether(numbers, kind));
  return element(
    "section",
    { className: "frame", tabIndex: 0, data: { first: group[0], families: JSON.stringify(numbers) } },
    element("h3", {
      textContent: `${group.length} small families called ${detected}${like}, ${beatsText(beats)}`,
    }),
    element("div", { className: "buttons" }, smallText(numbers.length, group.length, chosen), ...naming),
    element(
      "details",
      { open: app.open.has(group[0]), ontoggle: ({ target }) => keepOpen(group[0], target.open) },
      element("summary", { textContent: "Their beats" }),
      element("div", { className: "grid" }, ...group.map((i) => familyCard(i, total))),
    ),
  );
}

function smallText(left, all, chosen) {
  if (chosen) return "All named: ";
  return left < all ? `Name the other ${left}: ` : "Name all: ";
}

function keepOpen(first, open) {
  if (open) app.open.add(first);
  else app.open.delete(first);
}

/** Focuses the card of a family, wherever it is hidden. */
function focusFamily(number) {
  if (!cardOf(number)) {
    app.all = true;
    renderFamilies();
  }
  const card = cardOf(number);
  const hidden = card?.closest("details");
  if (hidden) hidden.open = true;
  card?.focus();
  card?.scrollIntoView({ block: "nearest" });
}

/** Draws the pictures of cards that come near the window; a day has hundreds. */
function drawSeen(entries) {
  for (const { target, isIntersecting } of entries) if (isIntersecting) drawCard(target);
}

function drawCard(card) {
  const pictures = card.querySelector(".pictures");
  if (app.leads && !pictures.hasChildNodes()) {
    const i = Number(card.dataset.number) - 1;
    drawFamily(pictures, i, app.members[i]);
  }
}

function cardOf(number) {
  return document.querySelector(`.family[data-number="${number}"]`);
}

/** The card of a family, or the frame of small ones, that had this dataset before it was redrawn. */
function cardLike({ number, first }) {
  return first ? document.querySelector(`.frame[data-first="${first}"]`) : cardOf(number);
}

function familyCard(i, total) {
  const family = app.state.families[i];
  const members = app.members[i];
  const share = ((100 * members.length) / total).toPrecision(3);
  const shareText = members.length > SMALL ? `, ${share} %` : "";
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
      element("span", { textContent: beatsText(members.length) + shareText }),
      element("span", { className: "about", textContent: aboutFamily(i, family) }),
    ),
    element("div", { className: "pictures" }),
    familyButtons(i, family),
  );
  app.drawn.observe(card);
  return card;
}

function aboutFamily(i, family) {
  const parts = [];
  if (family.named) parts.push(`named ${KIND_NAMES[family.kind]}`);
  else if (family.doubtful) parts.push("doubtful");
  else if (family.confidence !== null) parts.push(`confidence ${family.confidence.toFixed(2)}`);
  const mixed = mixOf(app.members[i]);
  if (mixed.length > 1) parts.push(mixed.map(([kind, count]) => `${count} ${kind}`).join(", "));
  parts.push(...measuresOf(i, family));
  if (app.detected.families[i]?.artefact) parts.push("looks like an artefact");
  return parts.join(" · ");
}

/**
 * QRS width and RR interval, in words. kdjax measures them; so those of a family whose beats have
 * changed are known once `kdjax review` has applied what changed them, and as long as it stays.
 */
function measuresOf(i, family) {
  const changing = ({ split, merge, add }) => split ?? merge ?? add !== undefined;
  const changes = (decisions) => JSON.stringify(decisions.filter(changing));
  if (family.changed && changes(app.decisions) !== changes(app.applied)) {
    return ["QRS width after kdjax review"];
  }
  const { qrs_ms, prematurity } = family.changed ? app.data.measured[i] : family;
  const said = qrs_ms === null ? [] : [`QRS ${Math.round(qrs_ms)} ms`];
  return prematurity === null ? said : [...said, `RR ${prematurity.toFixed(2)} × usual`];
}

/** Kinds among some beats with their counts, the most frequent first. */
function mixOf(members) {
  const counts = new Map();
  for (const beat of members) {
    const kind = KINDS[app.state.kind[beat]] ?? "?";
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/** A button for each kind; the chosen one is a person's decision, or else only proposed. */
function kindButtons(chosen, decided, action, kinds = KINDS) {
  return [...kinds].map((kind) => {
    const proposed = kind === chosen && !decided;
    const said = proposed ? `${KIND_NAMES[kind]}, proposed` : KIND_NAMES[kind];
    return button(kind, `${said} (key ${kind.toLowerCase()})`, () => action(kind), {
      className: proposed ? "kind proposed" : "kind",
      ariaPressed: String(kind === chosen && decided),
      data: { kind },
    });
  });
}

function familyButtons(i, family) {
  const number = i + 1;
  const mergeText = app.merging && app.merging !== number ? "Merge here" : "Merge…";
  const splitting = button("Split", "by shape, in two (key p)", () => splitFamily(number));
  return element(
    "div",
    { className: "buttons" },
    ...kindButtons(family.kind, family.named, (kind) => nameTheFamily(number, kind)),
    ...(app.members[i].length > SMALL ? [splitting] : []),
    button(mergeText, "with another family (key m)", () => mergeFamily(number)),
    button("Show", "next beat in the strips (Enter)", () => showNext(i)),
  );
}

function drawFamily(pictures, i, members) {
  const height = app.leads.length > 1 ? 84 : 100;
  const around = members.length > SMALL ? AROUND : AROUND_SMALL;
  const means = members.length > SMALL ? meansOf(i, members) : [];
  const detected = app.state.families[i].changed ? {} : app.detected.families[i];
  const isNow = (beat) => beatAt(app.state.samples, app.detected.samples[beat]);
  const unusual = isNow(detected.unusual ?? -1);
  const examples = examplesOf(members, detected.examples?.map(isNow), unusual);
  const gain = Math.min(
    commonGain(reachOf(means), height - 6),
    ...examples.map((beat) => gainAround(app.times[beat], around, height)),
  );
  if (members.length > SMALL) {
    const mean = element("canvas", { className: "mean" });
    mean.setAttribute("role", "img");
    mean.setAttribute("aria-label", `Mean beat of family ${i + 1} with its standard deviation`);
    drawMean(mean, means, app.data.tape, height, gain);
    pictures.append(mean);
  }
  for (const beat of examples) {
    const time = app.times[beat];
    const canvas = element("canvas", { title: `Show ${timeOf(beat)}`, onclick: () => show(beat) });
    const shown = { selected: beat, leadHeight: height, labels: false, gain };
    strip(canvas, time - around, time + around, shown);
    pictures.append(
      element(
        "figure",
        { className: beat === unusual ? "unusual" : "typical" },
        canvas,
        element("figcaption", { textContent: captionOf(beat, beat === unusual, members.length) }),
      ),
    );
  }
}

function meansOf(i, members) {
  const known = app.means.get(i);
  const last = app.times[members[members.length - 1]];
  if (known?.count === members.length && known.last === last) return known.means;
  const every = Math.ceil(members.length / AVERAGED);
  const times = members.filter((_, at) => at % every === 0).map((beat) => app.times[beat]);
  const means = app.leads.map((lead) => meanBeat(lead, app.data.tape, times));
  app.means.set(i, { count: members.length, last, means });
  return means;
}

function captionOf(beat, isUnusual, count) {
  return isUnusual && count > SMALL ? `${timeOf(beat)}, least typical` : timeOf(beat);
}

function gainAround(time, around, height) {
  const reach = (lead) => extremes(lead, app.data.tape, time - around, time + around);
  return commonGain(app.leads.map(reach), height);
}

/** Irregular rhythms between two times, and the end of one whose other end is yet to be chosen. */
function rhythmsIn(from, to) {
  const rhythms = app.events.filter((event) => RHYTHMS.includes(event.name));
  const limit = app.limit === null ? [] : [{ from: app.limit / app.data.fs, to: app.limit / app.data.fs }];
  return [...rhythms, ...limit].filter((event) => event.to >= from && event.from < to);
}

function strip(canvas, from, to, { selected, leadHeight, labels, gain }) {
  const beats = [];
  const { kind, family, source } = app.state;
  for (let i = firstFrom(app.times, from); i < app.times.length && app.times[i] < to; i++) {
    const letter = KINDS[kind[i]] ?? "";
    beats.push({
      time: app.times[i],
      kind: letter,
      below: family[i] < 0 ? (source[i] < 0 ? "+" : "") : String(family[i] + 1),
      selected: i === selected,
    });
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
    gain,
    marker: labels && app.marker !== null ? app.marker / app.data.fs : null,
    rhythms: labels ? rhythmsIn(from, to) : [],
  });
}
