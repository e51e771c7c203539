"""The compiler: runs the passes, and checks that the result fits an engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
        graph: the model; none of its accumulators may overflow.
        lanes: N of the engine; ignored if `engine` is given.
        sentences: sentences per run: 1 for the lowest latency, 2 for the highest throughput.
        max_length: tokens of the longest sentence that the program accepts; None for that of the model.
        engine: the engine that the program must fit; None for one that fits the program.
        tight: use little memory rather than few cycles. This is also done if the faster program does not fit `engine`.
        weight_words: words of WEIGHT memory to use at most, see `streaming`; None for those of the engine.

    Raises:
        UserError: an option is out of range, the model has a part that the engine has no instruction for, or it does
            not fit.
    """
    lanes = engine.lanes if engine is not None else lanes
    longest = graph.metadata.max_length if max_length is None else max_length
    _check_options(graph, lanes, sentences, longest, weight_words)
    if any(bound.bits > ACC_BITS for bound in prove(graph).values()):
        raise UserError("an accumulator of the model could overflow; export it again.")
    rooms = {} if engine is None else {memory: engine.depth(memory) for memory in STREAMABLE}
    if weight_words is not None:
        rooms[Memory.WEIGHT] = min(weight_words, rooms.get(Memory.WEIGHT, weight_words))
    low = lower(graph, Image(lanes), longest, sentences)
    try:
        result = _run_passes(low, rooms, tight=False)
        if tight or (engine is not None and not _fits(result.needs, engine)):
            # In either order one memory may need more words than in the other.
            result = min(
                (result, _run_passes(low, rooms, tight=True)),
                key=lambda r: (engine is not None and not _fits(r.needs, engine), memory_bits(r.needs)),
            )
    except isa.FieldError as error:
        raise UserError(
            f"a layer is too large for an instruction of the engine ({error}); make it smaller."
        ) from None
    for memory, room in rooms.items():
        if result.needs.depth(memory) > room:
            raise UserError(
                f"the model needs more than {room} words of {memory.name} memory even if all {STREAMABLE[memory]} are "
                f"streamed; {_remedy(memory)} would make it fit."
            )
    emitted = result.emitted
    if engine is not None:
        _check_fit(result.needs, engine, emitted.allocation)
    metadata = graph.metadata
    frontend = frontend_of(graph) if metadata.tokenizer and metadata.labels else None
    return EngineBuild(
        Options(lanes, sentences, longest, engine, tight, weight_words),
        emitted.program,
        result.image.packet(),
        result.stream,
        emitted.views,
        tuple(low.columns),
        tuple(_in_store_order(low.outputs, emitted.schedule)),
        tuple(tuple(task.layer for task in tasks) for tasks in emitted.schedule.lists),
        emitted.allocation.peak,
        frontend and replace(frontend, max_length=longest),
    )


def _check_options(graph: Graph, lanes: int, sentences: int, longest: int, weight_words: int | None) -> None:
    if lanes not in isa.LANES:
        raise UserError(f"N must be one of {', '.join(map(str, isa.LANES))}, got {lanes}.")
    if not 1 <= sentences <= isa.SENTENCES:
        raise UserError(f"the sentences per run must be from 1 to {isa.SENTENCES}, got {sentences}.")
    most = min(graph.metadata.max_length, isa.MAX_LENGTH)
    if not 1 <= longest <= most:
        raise UserError(f"the maximum length must be from 1 to {most} tokens for this model, got {longest}.")
    most = isa.MEMORIES[Memory.WEIGHT].max_depth
    if weight_words is not None and not 1 <= weight_words <= most:
        raise UserError(f"the words of WEIGHT memory must be from 1 to {most}, got {weight_words}.")


@dataclass(frozen=True)
class EmittedProgram:
    """A program, and what the passes after lowering determined on the way to it.

    Attributes:
        program: its instructions.
        schedule: the order of its tasks.
        allocation: the addresses of its buffers.
        views: where it writes the values of the graph.
    """

    program: Program
    schedule: Schedule
    allocation: Allocation
    views: tuple[View, ...]


@dataclass(frozen=True)
class _Result:
    """What the passes give for one set of choices."""

    emitted: EmittedProgram
    image: Image
    stream: bytes

    @property
    def needs(self) -> Parameters:
        """The words that the program needs of each memory."""
        return self.emitted.program.parameters


def _run_passes(low: Lowering, rooms: Mapping[Memory, int], tight: bool) -> _Result:
    """Streams constants as `rooms` requires, and emits the program.

    Buffers of streamed constants can leave gaps between them; then they get fewer words, until they fit. A memory that
    remains too small is not reported.
    """
    given = dict(rooms)
    while True:
        streamed = stream_constants(low.tasks, low.image, given)
        emitted = emit_program(streamed.tasks, streamed.image, low.max_length, low.sentences, tight)
        excess = {m: emitted.program.parameters.depth(m) - rooms[m] for m in streamed.memories}
        if all(words <= 0 for words in excess.values()):
            loads = [task for task in emitted.schedule.lists[isa.Unit.STREAM] if task in streamed.content]
            return _Result(emitted, streamed.image, b"".join(streamed.content[task] for task in loads))
        for memory, words in excess.items():
            given[memory] -= max(0, words)


def emit_program(
    tasks: Sequence[Task], image: Image, longest: int, sentences: int, tight: bool = False
) -> EmittedProgram:
    """Runs the passes after lowering and streaming.

    Args:
        tasks: all tasks of a model, or some of them.
        image: the constants.
        longest: tokens of the longest sentence.
        sentences: sentences per run.
        tight: use little memory rather than few cycles.

    Raises:
        FieldError: a value does not fit in a field of an instruction.
        UserError: a memory would have to be larger than an instruction can address.
    """
    ordered = schedule(tasks, longest, sentences, image.lanes, tight)
    allocation = allocate(ordered, image.depth)
    lists, views = emit(ordered, allocation)
    program = _program(image, lists, allocation, longest, sentences)
    for _, _, instruction in program:
        isa.check_fields(instruction)
    return EmittedProgram(program, ordered, allocation, views)


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
        if depth > isa.MEMORIES[memory].max_depth:
            raise UserError(
                f"the model needs {depth} words of {memory.name} memory and no engine has more than "
                f"{isa.MEMORIES[memory].max_depth}; {_remedy(memory)} would make it fit."
            )
    depths = {f"{memory.name.lower()}_depth": need.get(memory, 1) for memory in Memory}
    array, vector, stream = lists
    return Program(
        Parameters(image.lanes, **depths), longest, sentences, init, array, vector, stream, image.crc()
    )


def memory_bits(needs: Parameters) -> int:
    """Bits of all memories of an engine, or bits that a program needs of them."""
    return sum(needs.depth(memory) * isa.MEMORIES[memory].bits(needs.lanes) for memory in Memory)


def _fits(needs: Parameters, has: Parameters) -> bool:
    return all(needs.depth(memory) <= has.depth(memory) for memory in Memory)


def _check_fit(needs: Parameters, has: Parameters, allocation: Allocation) -> None:
    for memory in Memory:
        if needs.depth(memory) > has.depth(memory):
            largest = ", ".join(f"{name} ({words})" for name, words in allocation.peak.get(memory, ())[:2])
            # The remedy is first: the command line cuts long messages.
            raise UserError(
                f"the model needs {needs.depth(memory)} words of {memory.name} memory and the engine has "
                f"{has.depth(memory)}; {_remedy(memory)} would make it fit"
                f"{f' (largest: {largest})' if largest else ''}."
            )


def _remedy(memory: Memory) -> str:
    return _REMEDIES.get(
        memory,
        f"a smaller max_length, fewer sentences per run, larger N, or a larger {memory.name.lower()}_depth",
    )


def _in_store_order(outputs: list[Output], ordered: Schedule) -> Iterator[Output]:
    """The outputs in the order in which the stream unit sends them."""
    by_store = {(output.sentence, output.block, output.value): output for output in outputs}
    for task in ordered.lists[isa.Unit.STREAM]:
        if isinstance(task.instruction, isa.Store):
            yield by_store[task.instruction.sentence, task.instruction.block, task.layer]
