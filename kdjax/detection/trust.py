"""What should make a reader doubt the kinds of a whole recording."""

from collections.abc import Iterator, Sequence

from kdjax.detection.events import Event
from kdjax.detection.stream import ADAPTED_IN, Beats

_MANY = 0.1  # of the scored beats that are not normal
_OTHERS = 0.2  # of the first minutes' beats that are not normal
_IRREGULAR = 60.0  # s of the first minutes that are irregular
_RHYTHMS = ("irregular", "bigeminy", "trigeminy")  # in the names of events


def doubts_of_kinds(beats: Beats, events: Sequence[Event], fs: float) -> Iterator[str]:
    """Where many beats are not normal, or the first minutes are not one rhythm; fs in Hz."""
    scored = beats.kind != ""
    if not scored.any():
        return
    other = scored & (beats.kind != "N")
    share = other.sum() / scored.sum()
    if share > _MANY:
        yield (
            f"{share:.0%} of the scored beats are not called normal; check that family 1 is this "
            "person's normal beat, and name the first families of the page"
        )
    seconds = ADAPTED_IN[0]
    start = float(beats.sample[scored][0] / fs)
    early = scored & (beats.sample / fs < start + seconds)
    others = other[early].mean()
    irregular = sum(
        max(min(event.last / fs, start + seconds) - max(event.first / fs, start), 0)
        for event in events
        if any(rhythm in event.name for rhythm in _RHYTHMS)
    )
    if others > _OTHERS or irregular > _IRREGULAR:
        yield (
            f"the first {seconds / 60:g} minutes, which the score adapts to, are not one rhythm: "
            f"{others:.0%} of their beats are not called normal, {irregular:.0f} s are irregular "
            "or bigeminy; kinds are less sure"
        )
