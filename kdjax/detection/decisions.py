"""What a person decides about a detection, as plain data, and how it changes the beats.

A decision is one of eight mappings, as in review.json:

    {"family": 3, "kind": "V"}          all beats of family 3 are ventricular
    {"families": [4, 9], "kind": "V"}   the same of several families
    {"beat": 81234, "kind": "N"}        the beat at this sample is normal, whatever its family
    {"add": 81590, "kind": "V"}         there is a beat at this sample that was not detected
    {"merge": [3, 7]}                   the beats of family 7 become family 3's, and take its kind
    {"split": 3, "beats": [812, 1730]}  these beats of family 3 become a new family, the last one
    {"dismiss": [900, 81234], "event": "irregular rhythm"}  from this beat to that there is no such
                                        event, nor another irregular rhythm
    {"rhythm": [900, 81234], "event": "irregular rhythm"}   from this beat to that there is this
                                        event, in place of each irregular rhythm that it overlaps

Families are numbered from 1, as in the files. Decisions are applied in their order to what was
detected. A beat that was named alone keeps its kind. A beat that was added has no score and no
family. The page's script does the same (kdjax/pages/script/review.js); both are tested against the
same cases.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from kdjax.detection.deciding import Beats, join_beats
from kdjax.detection.events import WITHOUT_P, Event, covered, event_between, in_order
from kdjax.detection.families import Family
from kdjax.detection.kinds import HEARTBEATS, KINDS
from kdjax.detection.notes import ADDED
from kdjax.detection.recording import Detection

RHYTHMS = (WITHOUT_P, "irregular rhythm")  # events that a person can dismiss, and give
APART = 0.15  # s: a beat that is added lies farther than this from every other
_FORMS = (
    ("family", "kind"),
    ("families", "kind"),
    ("beat", "kind"),
    ("add", "kind"),
    ("merge",),
    ("split", "beats"),
    ("dismiss", "event"),
    ("rhythm", "event"),
)


class Replay:
    """A detection to which decisions are applied one by one.

    Attributes:
        beats: as they are now.
        families: likewise, but their counts, shapes and examples are those of the detection.
        changed: which families have other beats than were detected.
        dismissed: stretches without irregular rhythm, first and last sample.
        given: irregular rhythms that a person gave: name, first and last sample, and how many of
            `dismissed` came before.
        replaced: stretches where only those count.
    """

    def __init__(self, detection: Detection):
        found = detection.beats
        copied = {name: getattr(found, name).copy() for name in ("kind", "family", "confidence")}
        self.beats = found._replace(**copied)
        self.families = list(detection.families)
        self.changed: set[int] = set()
        self.dismissed: list[tuple[int, int]] = []
        self.given: list[tuple[str, int, int, int]] = []
        self.replaced: list[tuple[int, int]] = []
        self._by_hand = np.zeros(len(found.sample), bool)
        self._fs, self._seconds = detection.fs, detection.seconds
        bad = [stretch[:2] for stretch in detection.unscorable]
        self._bad = np.rint(np.reshape(bad, (-1, 2)) * detection.fs).T  # their starts, their stops

    def apply(self, decision: Mapping[str, Any]) -> None:
        """ValueError or TypeError where it does not fit."""
        if not isinstance(decision, Mapping):
            raise TypeError(f'{decision!r} is not a decision, such as {{"family": 3, "kind": "V"}}')
        if set(decision) not in map(set, _FORMS):
            forms = "; ".join(" and ".join(form) for form in _FORMS)
            has = ", ".join(map(str, decision)) or "nothing"
            raise ValueError(f"it has {has}; a decision has one of: {forms}")
        if "merge" in decision:
            self._merge(decision["merge"])
        elif "split" in decision:
            self._split(decision["split"], decision["beats"])
        elif "add" in decision:
            self._add(decision["add"], decision["kind"])
        elif "dismiss" in decision:
            self._dismiss(decision["dismiss"], decision["event"])
        elif "rhythm" in decision:
            self._give(decision["rhythm"], decision["event"])
        else:
            self._name(decision)

    def _merge(self, numbers: Any) -> None:
        families = [self._family(number) for number in _listed(numbers)]
        if len(families) < 2 or len(set(families)) < len(families):
            raise ValueError("a merge needs two or more different families")
        into, *others = families
        beats = self.beats
        moved = np.isin(beats.family, others)
        beats.family[moved] = into
        beats.kind[moved & ~self._by_hand] = self.families[into].kind
        self.changed |= set(families)

    def _split(self, number: Any, samples: Any) -> None:
        parent = self._family(number)
        own = [self._beat(sample) for sample in _listed(samples)]
        if not own:
            raise ValueError("a split needs beats; give their samples")
        if (self.beats.family[own] != parent).any():
            raise ValueError(f"not all beats are of family {parent + 1}")
        self.beats.family[own] = len(self.families)
        self.families.append(self.families[parent])
        self.changed |= {parent, len(self.families) - 1}

    def _name(self, decision: Mapping[str, Any]) -> None:
        kind = _one_of(KINDS, decision["kind"])
        if "family" in decision or "families" in decision:
            named = [self._family(number) for number in numbers_of(decision)]
            if not named:
                raise ValueError("it names no family")
            own = np.isin(self.beats.family, named) & ~self._by_hand
            for family in named:
                self.families[family] = replace(self.families[family], kind=kind, confidence=1.0)
        else:
            own = np.zeros(len(self._by_hand), bool)
            own[self._beat(decision["beat"])] = True
            self._by_hand |= own
        self.beats.kind[own] = kind
        self.beats.confidence[own] = 1.0

    def _add(self, sample: Any, kind: Any) -> None:
        """A beat between those that there are; the intervals on both sides of it are new."""
        kind = _one_of(HEARTBEATS, kind)
        if type(sample) is not int or not 0 <= sample < round(self._seconds * self._fs):
            raise ValueError(f"sample {sample!r} is not in the recording; give one that is")
        place = int(np.searchsorted(self.beats.sample, sample))
        for other in self.beats.sample[max(place - 1, 0) : place + 1].tolist():
            if abs(other - sample) <= APART * self._fs:
                raise ValueError(
                    f"a beat at sample {sample} would be within {1000 * APART:g} ms of that at "
                    f"{other}; name that one"
                )
        head, tail = (
            Beats(*(values[part] for values in self.beats))
            for part in (slice(place), slice(place, None))
        )
        self.beats = join_beats([head, _added(sample, kind), tail])
        self._by_hand = np.insert(self._by_hand, place, True)
        for beat in range(max(place, 1), min(place + 2, len(self.beats.sample))):
            self.beats.rr[beat] = self._interval(beat)

    def _dismiss(self, stretch: Any, event: Any) -> None:
        if event not in RHYTHMS:
            raise ValueError(
                f"event {event!r} cannot be dismissed, only {' and '.join(RHYTHMS)}; name the "
                "beats of another one"
            )
        self.dismissed.append(self._stretch(stretch))

    def _give(self, stretch: Any, event: Any) -> None:
        if event not in RHYTHMS:
            raise ValueError(
                f"event {event!r} is not a rhythm that can be given, as {' and '.join(RHYTHMS)} "
                "are; name its beats instead"
            )
        first, last = self._stretch(stretch)
        self.given = [one for one in self.given if not _overlap(one[1:3], (first, last))]
        self.given.append((event, first, last, len(self.dismissed)))
        self.replaced.append((first, last))

    def _stretch(self, samples: Any) -> tuple[int, int]:
        """From one beat to a later one."""
        if len(samples) != 2:
            raise ValueError("it needs the samples of the first and the last beat of the event")
        first, last = (int(self.beats.sample[self._beat(sample)]) for sample in samples)
        if first >= last:
            raise ValueError(f"nothing lies between samples {first} and {last}; give a stretch")
        return first, last

    def settled(self, found: Iterable[Event], hearts: Beats) -> tuple[Event, ...]:
        """The events less what was dismissed or replaced, with the rhythms that were given.

        found: those of `hearts`, the beats without artefacts.
        """
        kept = [event for event in found if not (self.dismisses(event) or self.replaces(event))]
        for name, first, last, before in self.given:
            event = event_between(name, hearts, first, last=last)
            if event is not None and not self.dismisses(event, before):
                kept.append(event)
        return in_order(kept)

    def dismisses(self, event: Event, before: int = 0) -> bool:
        """Whether it is an irregular rhythm at least half of which was dismissed.

        before: how many dismissals it came after.
        """
        stretches = self.dismissed[before:]
        half = (event.last - event.first) / 2
        return event.name in RHYTHMS and covered(stretches, event.first, event.last) >= half

    def replaces(self, event: Event) -> bool:
        """Whether it is an irregular rhythm that overlaps one that was given."""
        own = (event.first, event.last)
        return event.name in RHYTHMS and any(_overlap(own, other) for other in self.replaced)

    def _interval(self, beat: int) -> float:
        """Seconds since the beat before, NaN where bad signal lies between them."""
        before, sample = self.beats.sample[beat - 1 : beat + 1].tolist()
        starts, stops = self._bad
        bad = ((starts < sample) & (stops > before)).any()
        return float("nan") if bad else (sample - before) / self._fs

    def _family(self, number: Any) -> int:
        if type(number) is not int or not 1 <= number <= len(self.families):
            raise ValueError(f"there is no family {number!r}")
        return number - 1

    def _beat(self, sample: Any) -> int:
        found = self.beats.sample
        place = int(np.searchsorted(found, sample)) if type(sample) is int else -1
        if not 0 <= place < len(found) or found[place] != sample:
            raise ValueError(f"there is no beat at sample {sample!r}")
        return place


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether they have more in common than an end."""
    return one[0] < other[1] and other[0] < one[1]


def _one_of(kinds: Any, kind: Any) -> str:
    if not isinstance(kind, str) or kind not in tuple(kinds):
        raise ValueError(f"kind {kind!r} is none of {', '.join(kinds)}")
    return kind


def _listed(values: Any) -> list[Any]:
    if not isinstance(values, list | tuple):
        raise ValueError(f"{values!r} is not a list; give one in brackets")
    return list(values)


def _added(sample: int, kind: str) -> Beats:
    """One beat that a person adds, by itself."""
    unknown = np.full(1, np.nan)
    return Beats(
        sample=np.array([sample], np.int64),
        score=unknown,
        normalised=unknown,
        abnormal=np.array([kind != "N"]),
        quality=np.array([ADDED]),
        rr=unknown.astype(np.float32),
        kind=np.array([kind]),
        family=np.array([-1], np.int32),
        confidence=np.ones(1, np.float32),
        height=unknown.astype(np.float32),
        sqi=unknown.astype(np.float32),
    )


def numbers_of(decision: Mapping[str, Any]) -> list[Any]:
    """The numbers of the families that a decision names, from 1."""
    if "families" in decision:
        return _listed(decision["families"])
    return [decision["family"]] if "family" in decision else []


def moved(family: Family, before: Beats, after: Beats) -> Family:
    """The family with its examples as indices of the beats after a review."""
    unusual = family.unusual
    if unusual >= 0:
        unusual = int(np.searchsorted(after.sample, before.sample[unusual]))
    examples = np.searchsorted(after.sample, before.sample[family.examples])
    return replace(family, examples=examples.astype(np.int64), unusual=unusual)
