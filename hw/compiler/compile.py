"""The compiler: runs the passes and checks that the result fits an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...errors import UserError
from ...fixedpoint import ACC_BITS
from ...graph import Graph
from ...graph.bounds import prove
from .. import isa
from ..host.build import EngineBuild, Options
from ..host.packets import Output
from ..host.views import View
from ..isa import Memory, Parameters
from ..isa.program import Program
from .allocate import Allocation, allocate
from .emit import emit
from .frontend import frontend_of
from .image import Image
from .ir import Task
from .lower import lower
from .lowering import Lowering
from .schedule import Schedule, schedule
from .streaming import STREAMABLE, stream_constants

_REMEDIES = {
    Memory.WEIGHT: "a smaller rank, fewer layers, narrower layers, or a larger weight_depth",
    Memory.PROGRAM: "a smaller max_length, fewer sentences per run, larger N, or a larger program_depth",
    Memory.BIAS: "narrower layers, or a larger bias_depth",
    Memory.NORM: "narrower layers, or a larger norm_depth",
    Memory.TABLE: "fewer layers, or a larger table_depth",
    Memory.EXP: "fewer layers, or a larger exp_depth",
    Memory.INDEX: "a smaller max_length, or a larger index_depth",
}


def compile_graph(
    graph: Graph,
    *,
    lanes: int = 16,
    sentences: int = 1,
    max_length: int | None = None,
    engine: Parameters | None = None,
    tight: bool = False,
    weight_words: int | None = None,
) -> EngineBuild:
    """Compiles a frozen model.

    Args:
        graph: the model; no accumulator of it may overflow.
        lanes: N of the engine; that of `engine` where one is given.
        sentences: of one run: 1 for the shortest time to an answer, 2 for the most answers per second.
        max_length: tokens of the longest sentence that the program takes; the model's if it is None.
        engine: what it must fit; None for an engine as large as it takes.
        tight: save memory before time, as is done in any case for an engine that the faster program does not fit.
        weight_words: most words of WEIGHT memory; see `streaming`. At most those of the engine where one is given.

    Raises:
        UserError: the model has a part that the engine has no instruction for, or does not fit.
    """
    lanes = engine.lanes if engine is not None else lanes
    if lanes not in isa.LANES:
        raise UserError(
            f"an engine has {', '.join(map(str, isa.LANES))} lanes, not {lanes}; choose one of these."
        )
    if not 1 <= sentences <= isa.SENTENCES:
        raise UserError(f"a run takes 1 to {isa.SENTENCES} sentences, got {sentences}; choose one of these.")
    longest = max_length or graph.metadata.max_length
    if not 1 <= longest <= min(graph.metadata.max_length, isa.MAX_LENGTH):
        raise UserError(
            f"the model takes sentences of 1 to {graph.metadata.max_length} tokens and an engine of at most "
            f"{isa.MAX_LENGTH}; {longest} is out of that range."
        )
    most = isa.max_depth(Memory.WEIGHT)
    if weight_words is not None and not 1 <= weight_words <= most:
        raise UserError(f"the words of WEIGHT memory must be from 1 to {most}, got {weight_words}.")
    bounds = prove(graph)
    if any(bound.bits > ACC_BITS for bound in bounds.values()):
        raise UserError("an accumulator of the model could overflow; export it again.")
    rooms = {} if engine is None else {memory: engine.depth(memory) for memory in STREAMABLE}
    if weight_words is not None:
        rooms[Memory.WEIGHT] = min(weight_words, rooms.get(Memory.WEIGHT, weight_words))

    def tried(tight: bool) -> _Attempt:
        return _attempt(graph, lanes, longest, sentences, tight, rooms)

    try:
        found = tried(False)
        if tight or (engine is not None and not _fits(found.program.parameters, engine)):
            found = min(found, tried(True), key=lambda attempt: memory_bits(attempt.program.parameters))
    except isa.FieldError as error:
        raise UserError(
            f"a layer is too large for an instruction of the engine ({error}); make it smaller."
        ) from None
    for memory, room in rooms.items():
        if found.program.parameters.depth(memory) > room:
            raise UserError(
                f"the model needs more than {room} words of {memory.name} memory even if all {STREAMABLE[memory]} are "
                f"streamed; {_remedy(memory)} would make it fit."
            )
    if engine is not None:
        _check_fit(found.program.parameters, engine, found.allocation)
    metadata = graph.metadata
    frontend = frontend_of(graph) if metadata.tokenizer and metadata.labels else None
    return EngineBuild(
        Options(lanes, sentences, longest, engine, tight, weight_words),
        found.program,
        found.image.packet(),
        found.stream,
        found.views,
        tuple(found.low.columns),
        tuple(_stored(found.plan, found.low.outputs)),
        tuple(tuple(task.layer for task in tasks) for tasks in found.plan.lists),
        found.allocation.peak,
        frontend and replace(frontend, max_length=longest),
    )


@dataclass(frozen=True)
class _Attempt:
    """What the passes made under one set of choices."""

    low: Lowering
    image: Image
    stream: bytes
    program: Program
    plan: Schedule
    allocation: Allocation
    views: tuple[View, ...]


def _attempt(
    graph: Graph, lanes: int, longest: int, sentences: int, tight: bool, rooms: Mapping[Memory, int]
) -> _Attempt:
    """Runs the passes. Where buffers of streamed constants leave gaps, they are given fewer words until they fit.

    A memory of `rooms` that stays too small is for the caller to find.
    """
    low = lower(graph, Image(lanes), longest, sentences)
    given = dict(rooms)
    while True:
        streamed = stream_constants(low.tasks, low.image, given)
        made = assemble(streamed.tasks, streamed.image, longest, sentences, tight)
        program, plan = made[:2]
        excess = {memory: program.parameters.depth(memory) - rooms[memory] for memory in streamed.memories}
        if all(words <= 0 for words in excess.values()):
            loads = [task for task in plan.lists[isa.Unit.STREAM] if task in streamed.content]
            return _Attempt(low, streamed.image, b"".join(streamed.content[task] for task in loads), *made)
        for memory, words in excess.items():
            given[memory] -= max(0, words)


def assemble(
    tasks: Sequence[Task], image: Image, longest: int, sentences: int, tight: bool = False
) -> tuple[Program, Schedule, Allocation, tuple[View, ...]]:
    """The passes after lowering: tasks, all or some of a model's, to a program.

    Raises:
        FieldError: a field of an instruction is too narrow.
        UserError: a memory is larger than an instruction can address.
    """
    plan = schedule(tasks, longest, sentences, image.lanes, tight)
    allocation = allocate(plan, image.depth)
    lists, views = emit(plan, allocation)
    program = _program(image, lists, allocation, longest, sentences)
    for _, _, instruction in program:
        isa.check_fields(instruction)
    return program, plan, allocation, views


def _program(
    image: Image,
    lists: tuple[tuple[isa.Instruction, ...], ...],
    allocation: Allocation,
    longest: int,
    sentences: int,
) -> Program:
    init = image.loads()
    need = image.depth | allocation.depth
    need[Memory.INDEX] = isa.SENTENCES * longest
    need[Memory.PROGRAM] = len(init) + sum(map(len, lists))
    for memory, depth in need.items():
        if depth > isa.max_depth(memory):
            raise UserError(
                f"the model needs {depth} words of {memory.name} memory and no engine has more than "
                f"{isa.max_depth(memory)}; {_remedy(memory)} would make it fit."
            )
    depths = {f"{memory.name.lower()}_depth": need.get(memory, 1) for memory in Memory}
    array, vector, stream = lists
    return Program(
        Parameters(image.lanes, **depths), longest, sentences, init, array, vector, stream, image.crc()
    )


def memory_bits(needs: Parameters) -> int:
    """Bits of all memories of an engine, or of what a program needs of them."""
    return sum(needs.depth(memory) * isa.MEMORIES[memory].bits(needs.lanes) for memory in Memory)


def _fits(needs: Parameters, has: Parameters) -> bool:
    return all(needs.depth(memory) <= has.depth(memory) for memory in Memory)


def _check_fit(needs: Parameters, has: Parameters, allocation: Allocation) -> None:
    for memory in Memory:
        if needs.depth(memory) > has.depth(memory):
            largest = ", ".join(f"{name} ({words})" for name, words in allocation.peak.get(memory, ())[:3])
            raise UserError(
                f"the model needs {needs.depth(memory)} words of {memory.name} memory and the engine has "
                f"{has.depth(memory)}{f' (largest: {largest})' if largest else ''}; {_remedy(memory)} would "
                "make it fit."
            )


def _remedy(memory: Memory) -> str:
    return _REMEDIES.get(
        memory,
        f"a smaller max_length, fewer sentences per run, larger N, or a larger {memory.name.lower()}_depth",
    )


def _stored(plan: Schedule, outputs: list[Output]) -> list[Output]:
    """The outputs in the order of the stream unit's list."""
    waiting = {(o.sentence, o.block, o.value): o for o in outputs}
    return [
        waiting[task.instruction.sentence, task.instruction.block, task.layer]
        for task in plan.lists[isa.Unit.STREAM]
        if isinstance(task.instruction, isa.Store)
    ]
