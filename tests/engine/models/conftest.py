from tests.support.audiosep import (  # noqa: F401 - fixtures
    audiosep,
    entry,
    folded,
    folders,
    formula,
    golden,
    hollow_state,
    measured,
    official,
    roberta,
    room,
    separator_state,
)
