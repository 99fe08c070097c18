"""The controls of Tweeze's dialog in Audacity: a plug-in's header lines, and what reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.option_types import Number, Option

__all__ = ["controls", "fields"]

_Offered = Mapping[str, Sequence[str]]


def controls(options: Iterable[Option[Any]], offered: _Offered) -> str:
    """Return a `;control` line for each option that dialogs show, in their order.

    `offered` are the texts that can be chosen where the options do not say so themselves, by the
    option's name; the usual one comes first.
    """
    return "\n".join(
        f';control {option.name} "{option.label}" {_widget(option, offered)}'
        for option in _shown(options)
    )


def fields(options: Iterable[Option[Any]], offered: _Offered) -> str:
    """Return the Lisp that makes a request's field of each control."""
    return "\n".join(
        f'(list "{option.name}" {_value(option, offered)})' for option in _shown(options)
    )


def _shown(options: Iterable[Option[Any]]) -> list[Option[Any]]:
    return sorted((one for one in options if one.dialog), key=lambda one: one.dialog)


def _widget(option: Option[Any], offered: _Offered) -> str:
    if isinstance(option, Number):
        return f'float-text "" {option.default:g} {option.least:g} {option.most:g}'
    if option.name in offered:
        return f'choice "{",".join(offered[option.name])}" 0'
    if option.words:
        place = list(option.words).index(option.write(option.default))
        return f'choice "{",".join(option.words.values())}" {place}'
    return f'string "" "{option.write(option.default)}"'


def _value(option: Option[Any], offered: _Offered) -> str:
    if isinstance(option, Number):
        return f'(format nil "~a" {option.name})'
    texts = offered.get(option.name) or list(option.words)
    if not texts:
        return option.name
    quoted = " ".join(f'"{text}"' for text in texts)
    return f"(nth {option.name} '({quoted}))"
