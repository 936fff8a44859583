"""Kernels in parts: the native code of a team of threads (`team.py`).

A large kernel is cut into parts by its shapes, never by the number of threads. The caller puts the kernel's
operands into a frame and calls `parts`. Without helpers that calls the kernel for each part in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .ir import POINTER, Code, Value, vector
from .team import DONE, FRAME, HELPERS, KERNEL, MOST, NAP, OWN, SIZE, SLEEP, STOP, TICKET, WORK, YIELD

GRAIN = 1 << 19
"""The fewest operations of a part."""
LARGE = 4
"""How many such parts a kernel must have, to be worth the exchange of caches between threads."""
_SPINS, _YIELDS = 1000, 200
"""How often a thread that waits spins (some 40 ns each), and then yields, before it sleeps."""


_PAUSES = {
    "avx512": "call void @llvm.x86.sse2.pause()",
    "avx2": "call void @llvm.x86.sse2.pause()",
    "neon": "call void @llvm.aarch64.hint(i32 1)",
}
_TEXT = """\
{declared}
define internal void @parts(ptr %team, ptr %kernel, ptr %frame, i64 %count, ptr %own) nounwind {{
entry:
  %helpers.at = getelementptr i8, ptr %team, i64 {HELPERS}
  %helpers = load i64, ptr %helpers.at, align 8
  %alone = icmp eq i64 %helpers, 0
  br i1 %alone, label %serial, label %post
serial:
  %i = phi i64 [ 0, %entry ], [ %next, %serial ]
  call void %kernel(ptr %frame, i64 %i, ptr %own)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %serial, label %end
post:
  %kernel.at = getelementptr i8, ptr %team, i64 {KERNEL}
  store ptr %kernel, ptr %kernel.at, align 8
  %frame.at = getelementptr i8, ptr %team, i64 {FRAME}
  store ptr %frame, ptr %frame.at, align 8
  %done.at = getelementptr i8, ptr %team, i64 {DONE}
  store atomic i64 0, ptr %done.at monotonic, align 8
  %ticket.at = getelementptr i8, ptr %team, i64 {TICKET}
  %before = load atomic i64, ptr %ticket.at monotonic, align 8
  %number = lshr i64 %before, 32
  %following = add i64 %number, 1
  %high = shl i64 %following, 32
  %low = shl i64 %count, 24
  %ticket = or i64 %high, %low
  store atomic i64 %ticket, ptr %ticket.at release, align 8
  call void @take(ptr %team, ptr %own, i64 4096)
  br label %wait
wait:
  %turns = phi i64 [ 0, %post ], [ %later, %again ]
  %done = load atomic i64, ptr %done.at acquire, align 8
  %all = icmp sge i64 %done, %count
  br i1 %all, label %end, label %again
again:
  %later = call i64 @pause(ptr %team, i64 %turns)
  br label %wait
end:
  ret void
}}

define internal void @take(ptr %team, ptr %own, i64 %side) nounwind {{
entry:
  %ticket.at = getelementptr i8, ptr %team, i64 {TICKET}
  %done.at = getelementptr i8, ptr %team, i64 {DONE}
  %kernel.at = getelementptr i8, ptr %team, i64 {KERNEL}
  %frame.at = getelementptr i8, ptr %team, i64 {FRAME}
  br label %look
look:
  %seen = load atomic i64, ptr %ticket.at acquire, align 8
  %left = call i64 @left(i64 %seen)
  %some = icmp sgt i64 %left, 0
  br i1 %some, label %try, label %end
try:
  %ticket = atomicrmw add ptr %ticket.at, i64 %side acq_rel
  %still = call i64 @left(i64 %ticket)
  %mine = icmp sgt i64 %still, 0
  br i1 %mine, label %run, label %end
run:
  %shifted = lshr i64 %ticket, 12
  %first = and i64 %shifted, 4095
  %before = add i64 %first, %still
  %last = sub i64 %before, 1
  %front = icmp eq i64 %side, 4096
  %part = select i1 %front, i64 %first, i64 %last
  %kernel = load ptr, ptr %kernel.at, align 8
  %frame = load ptr, ptr %frame.at, align 8
  call void %kernel(ptr %frame, i64 %part, ptr %own)
  %done = atomicrmw add ptr %done.at, i64 1 acq_rel
  br label %look
end:
  ret void
}}

define internal i64 @left(i64 %ticket) nounwind {{
  %back = and i64 %ticket, 4095
  %middle = lshr i64 %ticket, 12
  %front = and i64 %middle, 4095
  %high = lshr i64 %ticket, 24
  %count = and i64 %high, 255
  %rest = sub i64 %count, %back
  %left = sub i64 %rest, %front
  ret i64 %left
}}

define internal i64 @pause(ptr %team, i64 %turns) nounwind {{
entry:
  %later = add i64 %turns, 1
  %spins = icmp slt i64 %turns, {spins}
  br i1 %spins, label %spin, label %long
spin:
  {pause}
  ret i64 %later
long:
  %yields = icmp slt i64 %turns, {yields}
  br i1 %yields, label %yield, label %sleep
yield:
  %yield.at = getelementptr i8, ptr %team, i64 {YIELD}
  %yield.function = load ptr, ptr %yield.at, align 8
  call void %yield.function()
  ret i64 %later
sleep:
  %sleep.at = getelementptr i8, ptr %team, i64 {SLEEP}
  %sleep.function = load ptr, ptr %sleep.at, align 8
  %nap.at = getelementptr i8, ptr %team, i64 {NAP}
  %nap = load i32, ptr %nap.at, align 8
  call void %sleep.function(i32 %nap)
  ret i64 %later
}}

define void @{WORK}(ptr %team, i64 %number) nounwind {{
entry:
  %base.at = getelementptr i8, ptr %team, i64 {OWN}
  %base = load ptr, ptr %base.at, align 8
  %size.at = getelementptr i8, ptr %team, i64 {SIZE}
  %size = load i64, ptr %size.at, align 8
  %index = sub i64 %number, 1
  %offset = mul i64 %size, %index
  %own = getelementptr i8, ptr %base, i64 %offset
  %odd = and i64 %number, 1
  %even = sub i64 1, %odd
  %shifted = shl i64 %even, 12
  %side = or i64 %odd, %shifted
  %ticket.at = getelementptr i8, ptr %team, i64 {TICKET}
  %stop.at = getelementptr i8, ptr %team, i64 {STOP}
  br label %look
look:
  %turns = phi i64 [ 0, %entry ], [ 0, %help ], [ %later, %idle ]
  %ticket = load atomic i64, ptr %ticket.at acquire, align 8
  %left = call i64 @left(i64 %ticket)
  %some = icmp sgt i64 %left, 0
  br i1 %some, label %help, label %rest
help:
  call void @take(ptr %team, ptr %own, i64 %side)
  br label %look
rest:
  %stop = load atomic i64, ptr %stop.at monotonic, align 8
  %stopped = icmp ne i64 %stop, 0
  br i1 %stopped, label %end, label %idle
idle:
  %later = call i64 @pause(ptr %team, i64 %turns)
  br label %look
end:
  ret void
}}
"""


def parts_of(operations: int, units: int) -> int:
    """Return how many parts a kernel of so many operations has, if it can be cut into so many units."""
    most = min(operations // GRAIN, units, MOST)
    return most if most > 1 and operations >= LARGE * GRAIN else 1


def in_parts(
    code: Code, team: Value, operands: Sequence[Value], write: Callable[..., None], parts: int, own: Value
) -> None:
    """Call write(code, *operands, own) as a kernel in parts.

    `own` is memory of the thread that calls it; each helper has its own.
    """
    module = code.module
    module.define(WORK, _team(code))
    name, distinct = code.written(operands, write, parts)
    inner = Code(module)
    frame = Value(POINTER, "%frame")
    found = [inner.load(inner.at(frame, (i, 8)), x.type) for i, x in enumerate(distinct)]
    inner.put(f"call void @{name}({', '.join([*map(str, found), 'i64 %part', 'ptr %own'])})")
    entry = module.kernel("(ptr %frame, i64 %part, ptr %own)", inner.body())
    place = code.cell(vector("i64", len(distinct)))
    for i, x in enumerate(distinct):
        code.put(f"store {x}, {code.at(place, (i, 8))}, align 8")
    code.put(f"call void @parts({team}, ptr @{entry}, {place}, i64 {parts}, {own})")


def _team(code: Code) -> str:
    """Return the functions that hand out parts, take them, and wait."""
    pause = _PAUSES.get(code.machine.unit, "")
    declared = "declare " + pause.removeprefix("call ") if pause else ""
    return _TEXT.format(
        declared=declared.replace("i32 1", "i32"),
        pause=pause,
        TICKET=TICKET,
        DONE=DONE,
        STOP=STOP,
        KERNEL=KERNEL,
        FRAME=FRAME,
        OWN=OWN,
        SIZE=SIZE,
        HELPERS=HELPERS,
        YIELD=YIELD,
        SLEEP=SLEEP,
        NAP=NAP,
        WORK=WORK,
        spins=_SPINS,
        yields=_SPINS + _YIELDS,
    )
