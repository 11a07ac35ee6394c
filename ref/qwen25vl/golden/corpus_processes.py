"""Section 15 - processes: how is a corpus written by several of them at once?

Each opens the checkpoint once, and is given the next case when it has written one. None of them outlives the
process that started it.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from qwen25vl.errors import BadInput
from qwen25vl.golden.corpus_case import CaseWriter, LabRecipe
from qwen25vl.golden.corpus_plan import PlannedCase

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment variables that limit the threads of BLAS and Numba; read when a process begins."""

PATIENCE_S = 10.0
"""Seconds that a process is given to clean up after itself."""


@dataclass(frozen=True)
class Ended:
    """What a process says of a case."""

    refusal: str = ""
    """Why it could not be written: a sentence."""
    fault: str = ""
    """Where this package failed: a traceback."""


def written_by_processes(
    writer: CaseWriter,
    planned: Sequence[PlannedCase],
    recipe: LabRecipe,
    *,
    jobs: int,
    watch: Callable[[str], None] = lambda case_id: None,
) -> None:
    """Write cases in `jobs` processes, the largest first. (X22)

    The processes are spawned: a program that calls this at its top level must do so under
    `if __name__ == "__main__":`.

    Args:
        writer: writes a case.
        planned: what is to be written.
        recipe: how each process opens the checkpoint.
        jobs: the number of processes.
        watch: told the id of each case that is done.

    Raises:
        BadInput: if a case cannot be written, or a process dies. What other processes have ended stays.
    """
    waiting = sorted(planned, key=lambda one: one.nbytes)  # taken from the end
    with _workers(writer, recipe, count=min(jobs, len(planned))) as workers:
        at_work = {worker: waiting.pop() for worker in workers}
        for worker, one in at_work.items():
            worker.send(one)
        while at_work:
            wait(list(at_work))
            for worker in list(at_work):
                if not worker.poll():
                    continue
                one = at_work.pop(worker)
                _check_ended(worker, one)
                watch(one.case.id)
                if waiting:
                    at_work[worker] = waiting.pop()
                    worker.send(at_work[worker])


def _check_ended(worker: Connection, one: PlannedCase) -> None:
    """Take what a process says of its case, and refuse to go on if it is not good."""
    try:
        ended: Ended = worker.recv()
    except (EOFError, OSError):
        raise BadInput(
            f"the process that wrote {one.case.id} has died, as when memory runs out; run it again with fewer "
            "--jobs: what is finished is kept"
        ) from None
    if ended.refusal:
        raise BadInput(ended.refusal)
    if ended.fault:
        raise RuntimeError(f"the case {one.case.id} failed in another process:\n{ended.fault}")


@contextlib.contextmanager
def _workers(writer: CaseWriter, recipe: LabRecipe, *, count: int) -> Iterator[list[Connection]]:
    """Start processes, and end them when the block is left, whatever happens."""
    context = multiprocessing.get_context("spawn")
    processes: list[SpawnProcess] = []
    workers: list[Connection] = []
    try:
        with _thread_limit(max(1, _core_count() // max(1, count))):
            for _ in range(count):
                ours, theirs = context.Pipe()
                process = context.Process(target=serve, args=(theirs, writer, recipe), daemon=True)
                process.start()
                theirs.close()
                processes.append(process)
                workers.append(ours)
        yield workers
    finally:
        for worker in workers:
            worker.close()  # who waits for a case sees that none will come
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(PATIENCE_S)
            process.kill()


@contextlib.contextmanager
def _thread_limit(threads: int) -> Iterator[None]:
    """Let processes that are started in the block have so many threads each, where the user has set no limit."""
    free = [name for name in THREAD_SETTINGS if name not in os.environ]
    os.environ.update(dict.fromkeys(free, str(threads)))
    try:
        yield
    finally:
        for name in free:
            del os.environ[name]


def _core_count() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def serve(connection: Connection, writer: CaseWriter, recipe: LabRecipe) -> None:
    """Write the cases that come, until no more can come. What runs in each process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # through `with`: nothing half-written stays
    lab = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            planned = connection.recv()
            try:
                lab = recipe.lab() if lab is None else lab
                writer.write(planned, lab)
                ended = Ended()
            except BadInput as refusal:
                ended = Ended(refusal=str(refusal))
            except MemoryError as error:
                ended = Ended(refusal=f"the case {planned.case.id}: not enough memory ({error}); use fewer --jobs")
            except Exception:
                ended = Ended(fault=traceback.format_exc())
            connection.send(ended)
