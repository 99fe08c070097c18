"""What is typed in REAPER means there what it means to the engine."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lupa.lua54 import LuaRuntime  # type: ignore[import-not-found]

from engine.job import clean_query, split_nots
from tests.hosts.reaper.studio import LUA

typed = st.text("aé鳥1_ \u00a0\u3000;--\N{MINUS SIGN}…→½×,'", max_size=16)


@pytest.fixture(scope="module")
def sounds() -> Any:
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.execute(f"package.path = '{LUA}/?.lua'")
    return lua.eval("require 'tweeze.sounds'")[0]


def cleaned(texts: Any) -> list[str]:
    return [clean_query(text) for text in texts if text.strip()]


@given(typed, typed)
@example("dog; rain - wind -low hum; hi-hat", "car; - door")
@example("-wind; dog", "")
@example("dog -- rain - ; -", "")
def test_the_scripts_understand_what_the_engine_does(sounds: Any, text: str, unwanted: str) -> None:
    queries, nots = split_nots(text)
    asked = sounds.asked(text, unwanted)
    assert list(asked.queries.values()) == cleaned(queries.split(";"))
    assert list(asked.nots.values()) == list(dict.fromkeys(cleaned([*unwanted.split(";"), *nots])))
    # What is kept of it is understood the same the next time.
    again = sounds.asked(asked.typed, asked.unwanted)
    for name in ("typed", "unwanted"):
        assert again[name] == asked[name]
    for name in ("queries", "nots"):
        assert list(again[name].values()) == list(asked[name].values())
