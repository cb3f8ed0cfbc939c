"""Token buckets of any size, asked at any pace, let through what they say: no more, no less."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crawler.engine.throttle import NEVER, Limit, spend, strictest
from tests.unit.engine.test_politeness import exceeded

limits = st.builds(
    Limit,
    events=st.integers(1, 20),
    per_s=st.floats(0.1, 100.0),
    burst=st.integers(1, 10),
)


@given(st.lists(limits, min_size=1, max_size=3), st.lists(st.floats(0.0, 50.0), max_size=30))
def test_no_limit_is_ever_exceeded_and_none_is_stricter_than_it_says(
    limits: list[Limit], rests: list[float]
) -> None:
    now, full_at = 0.0, tuple(-NEVER for _ in limits)
    starts: list[float] = []
    for rest_s in rests:
        now = max(now + rest_s, strictest(limits, full_at).at)
        if starts:  # a moment sooner would have been too soon, or was not asked for
            sooner = [*starts, now - 1e-3]
            waited = now > starts[-1] + rest_s
            assert not waited or any(exceeded(sooner, limit) for limit in limits)
        full_at = spend(limits, full_at, now)
        starts.append(now)
    assert not any(exceeded(starts, limit) for limit in limits)
