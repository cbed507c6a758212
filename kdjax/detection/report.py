"""The page of a recording: a tool to look through its beats and to name them.

Families, beats and strips are drawn by the page's own script (kdjax/pages/script) from the data
that stands in the page; the tables below them are plain HTML.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdjax.detection import report_sections
from kdjax.detection.events import WITHOUT_P
from kdjax.detection.families import Family
from kdjax.detection.kinds import KINDS
from kdjax.detection.recording import Detection
from kdjax.detection.summary import union
from kdjax.detection.tape import RATE, STEP
from kdjax.pages import packing, page

SCRIPTS = ("unpack.js", "missed.js", "review.js", "rhythms.js", "totals.js", "shapes.js",
            "drawing.js", "overview.js", "decisions.js", "cards.js", "timeline.js", "marker.js",
            "limits.js", "events.js", "keys.js", "report.js")  # fmt: skip
_LONG = 10.0  # s of a stretch without scores that is listed among the events
_MOST_MS = 30_000  # an RR interval that is longer is shown as this long

_TOOL = """
<div class="bar tools" role="toolbar" aria-label="Review">
<button type="button" id="save" title="as review.json (Ctrl+S)">Save review</button>
<button type="button" id="load">Load review</button>
<input type="file" id="file" accept=".json,application/json" hidden>
<button type="button" id="undo" title="key u or Ctrl+Z">Undo</button>
<span id="decisions" title="beats named: those of families with a name"></span>
<output id="status" role="status"></output>
<div id="counts"></div></div>
<noscript><p><b>This page needs JavaScript to show families and strips.</b> The files beside it hold
the same results.</p></noscript>
<details id="help"><summary>Keys</summary><ul>
<li><kbd>Tab</kbd> moves between families, overview and strips</li>
<li><kbd>↑</kbd> <kbd>↓</kbd> previous and next family, also from the strips</li>
<li><kbd>n</kbd> <kbd>s</kbd> <kbd>v</kbd> <kbd>f</kbd> <kbd>q</kbd> <kbd>x</kbd> name the family in
focus, all small families of the frame in focus, or the beat selected in the strips</li>
<li><kbd>Enter</kbd> or <kbd>.</kbd> next beat of the family in the strips; opens or closes the
frame of small families in focus</li>
<li><kbd>o</kbd> shows or hides the other families</li>
<li><kbd>m</kbd> merges: first on the family to be merged, then on the one that it joins</li>
<li><kbd>p</kbd> splits a family by shape</li>
<li><kbd>←</kbd> <kbd>→</kbd> previous and next beat; <kbd>Page Up</kbd> <kbd>Page Down</kbd>
30 s</li>
<li><kbd>a</kbd> puts a marker where a beat was missed; <kbd>←</kbd> <kbd>→</kbd> move it, with
<kbd>Shift</kbd> farther, a letter adds the beat, <kbd>Esc</kbd> removes the marker</li>
<li><kbd>Esc</kbd> back to the family that you came from</li>
<li><kbd>[</kbd> <kbd>]</kbd> previous and next event; <kbd>d</kbd> dismisses a false
irregular rhythm</li>
<li><kbd>r</kbd> on the first and on the last beat of an irregular rhythm without P waves puts it
on the list, in place of those that it overlaps; with <kbd>Shift+R</kbd> on the last beat, it is one
with P waves</li>
<li><kbd>+</kbd> <kbd>-</kbd> zoom the overview</li>
<li><kbd>u</kbd> or <kbd>Ctrl+Z</kbd> undo, <kbd>Ctrl+S</kbd> save</li>
</ul></details>
<h2>Families</h2>
<p class="note">The largest comes first, then those whose naming is likely to correct the most
errors. A dashed letter is the kind that kdjax proposes, a black one with ✓ your decision. Pictures
show the mean beat with its standard deviation, two typical beats and the least typical one among
their neighbours, at 25&nbsp;mm/s, at 10&nbsp;mm/mV unless a picture names another scale, and
filtered from 0.5 to 40&nbsp;Hz.</p>
<div id="families"></div>
<h2>Recording</h2>
<div class="buttons tools"><button type="button" id="in" title="key +">Zoom in</button>
<button type="button" id="out" title="key -">Zoom out</button>
<button type="button" id="back" title="Page Up in the strips">◀ 30 s</button>
<button type="button" id="forth" title="Page Down in the strips">30 s ▶</button>
<button type="button" id="previous" title="key ← in the strips">◀ Beat</button>
<button type="button" id="next" title="key → in the strips">Beat ▶</button>
<button type="button" id="like" title="key . in the strips">Next of family</button></div>
<div><canvas id="overview" tabindex="0" role="slider" aria-label="Place in the recording"
aria-valuemin="0" aria-valuemax="{seconds:.0f}"></canvas></div>
<p class="note">Hatched stretches could not be judged. A beat marked ? was not scored, mostly
because of noise around it; it has no kind and no family.</p>
<div id="beat" class="buttons"></div>
<div id="strips" tabindex="0" role="group" aria-label="Strips of 10 s">
<figure><canvas></canvas><figcaption></figcaption></figure>
<figure><canvas></canvas><figcaption></figcaption></figure>
<figure><canvas></canvas><figcaption></figcaption></figure></div>
<h3><label for="which">Events</label> <select id="which"></select></h3>
<ol id="events"></ol><p class="note" id="more"></p>
<p class="note">Events follow your decisions. Where an irregular rhythm begins and ends is known to
about half a minute. To correct it, or to add one, choose its first beat in the strips, then
<b>Rhythm from here…</b>, then its last. Look at the stretches that were not scored, too:
ventricular flutter and fibrillation can look like noise.</p>
"""


def render(
    detection: Detection, reviewed: Detection, *, summary: Mapping, decisions: Sequence[dict]
) -> str:
    """The page.

    Args:
        detection: what was detected; decisions are replayed and undone on it.
        reviewed: the same after the decisions.
        summary: what summary.json holds, of `reviewed`.
        decisions: those applied so far, as in review.json.
    """
    found = len(detection.beats.sample) > 0
    body = (
        report_sections.headline(detection, summary),
        _TOOL.format(seconds=summary["seconds"]) if found else "",
        report_sections.threshold(reviewed, summary),
        report_sections.hours(summary),
        report_sections.quality(summary),
        report_sections.files(summary),
        report_sections.provenance(summary),
    )
    tool = {}
    if found:
        tool = {
            "style": page.style("report.css"),
            "script": page.script(*SCRIPTS),
            "data": _data(detection, reviewed, decisions),
        }
    return page.render(f"{summary['recording']} · kdjax detect", "\n".join(body), **tool)


def beats_digest(detection: Detection) -> str:
    """SHA-256 of the R-peaks, kinds and families that decisions are about, hex."""
    beats = detection.beats
    digest = hashlib.sha256(beats.sample.astype("<i8").tobytes())
    digest.update(_codes(beats.kind).tobytes())
    digest.update(beats.family.astype("<i4").tobytes())
    return digest.hexdigest()


def _data(detection: Detection, reviewed: Detection, decisions: Sequence[dict]) -> dict[str, Any]:
    """What the script needs, as JSON holds it."""
    beats = detection.beats
    confidence = np.nan_to_num(beats.confidence * 100, nan=-1)
    columns = {
        "step": np.diff(beats.sample, prepend=0).astype(np.int32),
        "kind": _codes(beats.kind),
        "family": beats.family.astype(np.int16),
        "score": beats.score.astype(np.float32),
        "confidence": np.rint(confidence).astype(np.int8),
        "rr": milliseconds(beats.rr),
    }
    return {
        "recording": _unicode(detection.recording),
        "fs": detection.fs,
        "seconds": detection.seconds,
        "start": detection.start.isoformat() if detection.start else None,
        "beats": {
            "sha256": beats_digest(detection),
            **{name: packing.packed(values) for name, values in columns.items()},
        },
        "families": [
            {
                "kind": family.kind,
                "artefact": family.artefact,
                "doubtful": family.doubtful,
                "examples": family.examples.tolist(),
                "unusual": family.unusual,
                "confidence": _finite(family.confidence),
                **_measures(family),
            }
            for family in detection.families
        ],
        "measured": [_measures(family) for family in reviewed.families],
        "without_p": [
            [event.first, event.last] for event in detection.events if event.name == WITHOUT_P
        ],
        "unscorable": [list(stretch) for stretch in detection.unscorable],
        "not_scored": _not_scored(detection.unscorable),
        "tape": {
            "fs": RATE,
            "step": STEP,
            "leads": [_unicode(lead) for lead in detection.tape.leads],
            "length": detection.tape.length,
            "chunks": [packing.text(chunk) for chunk in detection.tape.chunks],
        },
        "decisions": list(decisions),
    }


def _measures(family: Family) -> dict[str, float | None]:
    return {name: _finite(getattr(family, name)) for name in ("qrs_ms", "prematurity")}


def _not_scored(unscorable: Sequence[tuple[float, float, str]]) -> list[list[Any]]:
    """Stretches that touch, together: start and stop in s, and why."""
    found: list[list[Any]] = [[start, stop, {}] for start, stop in union(unscorable)]
    starts = [start for start, *_ in found]
    for a, _, why in unscorable:
        found[bisect_right(starts, a) - 1][2][why] = True  # each lies in one of them
    return [[a, b, ", ".join(why)] for a, b, why in found if b - a >= _LONG]


def _codes(kind: np.ndarray) -> np.ndarray:
    """Kinds [B] as int8, their place in KINDS; -1 where there is none."""
    codes = np.full(len(kind), -1, np.int8)
    for code, name in enumerate(KINDS):
        codes[kind == name] = code
    return codes


def milliseconds(rr: np.ndarray) -> np.ndarray:
    """Intervals [B] in s as int16 in ms, -1 where they are not known."""
    known = np.nan_to_num(np.minimum(rr * 1000, _MOST_MS), nan=-1)
    return np.rint(known).astype(np.int16)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _unicode(text: str) -> str:
    return text.encode(errors="replace").decode()
