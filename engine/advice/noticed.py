"""From certainty over time to spans: when a query's sound is there, so that one can say where."""

from __future__ import annotations

from engine.options import Options
from engine.places import Span
from engine.status import Certainty

__all__ = ["noticed"]


def noticed(certainty: Certainty, options: Options) -> tuple[Span, ...]:
    """Return the spans in which a sound is likely enough, from the first to the last.

    It is where the certainty reaches `options.event_above`; gaps of at most `event_gap` seconds
    are bridged, and then what is shorter than `event_least` is left out. The last span may reach
    beyond the end of the recording, by less than a step.

    >>> certainty = Certainty(0.5, (0.0, 0.9, 0.2, 0.9, 0.0, 0.0, 0.0, 0.6))
    >>> [span.text for span in noticed(certainty, Options(event_least=1))]
    ['0.5-2']
    """
    spans: list[Span] = []
    for number, value in enumerate(certainty.values):
        if value < options.event_above:
            continue
        span = Span(round(number * certainty.step, 6), round((number + 1) * certainty.step, 6))
        if spans and span.start - spans[-1].stop <= options.event_gap + 1e-6:
            span = Span(spans.pop().start, span.stop)
        spans.append(span)
    return tuple(span for span in spans if span.stop - span.start >= options.event_least - 1e-6)
