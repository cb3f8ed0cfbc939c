"""What this process is doing right now, as text: its tasks, threads, time and memory.

Nothing here is switched on before somebody looks, and each look is bounded in time and size.
"""

from __future__ import annotations

import asyncio
import gc
import io
import resource
import sys
import threading
import time
import traceback
import tracemalloc
from collections import Counter
from types import FrameType
from typing import Any

MAX_SECONDS = 60.0
MAX_CHARS = 2_000_000
KINDS = ("tasks", "stacks", "cpu", "heap")

_INTERVAL_S = 0.005
_MAX_STACK = 64
_MAX_STACKS = 5_000
_MAX_TASK_STACK = 12
_MAX_LINES = 50


async def look(kind: str, seconds: float) -> str:
    """One of `KINDS`. ``seconds`` is how long ``cpu`` watches; ``heap`` counts what there is, or
    with seconds (not 0) what is allocated meanwhile and stays, by line."""
    if kind == "tasks":
        text = list_tasks()
    elif kind == "stacks":
        text = list_stacks()
    elif kind == "cpu":
        text = await _watch_thread(seconds)
    else:
        text = await trace_heap(seconds) if seconds else describe_heap()
    return text if len(text) <= MAX_CHARS else text[:MAX_CHARS] + "\n… the rest is cut off\n"


async def _watch_thread(seconds: float) -> str:
    stop = threading.Event()
    try:
        return await asyncio.to_thread(sample_stacks, seconds, threading.get_ident(), stop)
    finally:
        stop.set()  # who does not wait for it any more needs no end of it


def _call_stack(frame: FrameType | None) -> str:
    """A stack on one line, outermost call first, as ``module.function;module.function``."""
    names: list[str] = []
    while frame is not None and len(names) < _MAX_STACK:
        names.append(f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}")
        frame = frame.f_back
    return ";".join(reversed(names))


def sample_stacks(seconds: float, thread_id: int, stop: threading.Event) -> str:
    """Watch one thread for that long from this one, or until ``stop``; collapsed stacks, most
    frequent first."""
    counts: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        counts[_call_stack(sys._current_frames().get(thread_id))] += 1
        if stop.wait(_INTERVAL_S):
            break
    return "".join(f"{stack} {count}\n" for stack, count in counts.most_common(_MAX_STACKS))


def as_speedscope(collapsed: str, name: str) -> dict[str, Any]:
    """Collapsed stacks as a sampled profile of https://www.speedscope.app/file-format-schema.json;
    weights count samples."""
    places: dict[str, int] = {}
    samples: list[list[int]] = []
    weights: list[int] = []
    for line in collapsed.splitlines():
        stack, _, count = line.rpartition(" ")
        samples.append([places.setdefault(each, len(places)) for each in stack.split(";")])
        weights.append(int(count))
    profile = {
        "type": "sampled",
        "name": name,
        "unit": "none",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "name": name,
        "exporter": "crawler",
        "shared": {"frames": [{"name": each} for each in places]},
        "profiles": [profile],
    }


def list_tasks() -> str:
    """Every task of the running loop with its stack, by name."""
    out = io.StringIO()
    for task in sorted(asyncio.all_tasks(), key=lambda each: each.get_name()):
        out.write(f"== {task.get_name()}\n")
        # `Task.print_stack` fails on frames without a line, which compiled coroutines have.
        for frame in task.get_stack(limit=_MAX_TASK_STACK):
            code = frame.f_code
            out.write(f"  {code.co_filename}:{frame.f_lineno} {code.co_qualname}\n")
    return out.getvalue()


def list_stacks() -> str:
    """Every thread with its stack."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    out = io.StringIO()
    for ident, frame in sys._current_frames().items():
        out.write(f"== {names.get(ident, '?')} ({ident})\n")
        traceback.print_stack(frame, file=out)
    return out.getvalue()


def describe_heap() -> str:
    """Peak resident memory, the collector's counts, and the thirty most numerous types."""
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    objects = Counter(
        f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects()
    )
    lines = [
        f"peak resident {peak_kb} kB",
        f"collector {gc.get_count()}, frozen {gc.get_freeze_count()}",
    ]
    lines += [f"{count:9d} {name}" for name, count in objects.most_common(30)]
    return "\n".join(lines) + "\n"


async def trace_heap(seconds: float) -> str:
    """The lines that hold most of what was allocated in that time. Everything is slower meanwhile:
    each allocation is noted."""
    tracemalloc.start()
    try:
        await asyncio.sleep(seconds)
        held, peak = tracemalloc.get_traced_memory()
        found = tracemalloc.take_snapshot().statistics("lineno")
    finally:
        tracemalloc.stop()
    lines = [f"in {seconds:g} s {held} bytes were allocated and stay, {peak} at the most"]
    lines += [
        f"{each.size:11d} bytes {each.count:8d} blocks {each.traceback[0]}"
        for each in found[:_MAX_LINES]
    ]
    return "\n".join(lines) + "\n"
