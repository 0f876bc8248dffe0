"""Work that threads or processes do ahead of time, with the results in the order of the jobs.

Each worker is a thread. With processes each thread hands its jobs to a process of its own over a
pipe and waits for the answer, so there are no locks and no queues between processes: a process that
dies, or is killed half way through an answer, is seen as the end of its pipe. Nothing outlives the
iterator, whether it is exhausted, closed, left by an exception or by Ctrl-C; and since threads and
processes are daemons, an iterator that was never closed does not keep the interpreter from exiting.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any

# Seconds that a worker has for the job that it is at, once nobody wants the result any more.
_PATIENCE = 1.0

Function = Callable[[Any], Any]
_Job = tuple["Future[Any]", Any] | None


class WorkerTraceback(Exception):
    """The traceback of an exception in another process, as text; the cause of the exception."""

    def __str__(self) -> str:
        return f"in a worker process\n\n{self.args[0]}"


def map_in_order(
    function: Function, jobs: Iterable[Any], *, workers: int, ahead: int, processes: bool
) -> Iterator[Any]:
    """`function` of each job in the order of the jobs, up to `ahead` of them begun early.

    With `processes` the function and the jobs are pickled, unless a process begins by `fork`; how
    it begins is the default of `multiprocessing`. An exception of `function` is raised as it is,
    with the traceback of the worker; a process that dies is a RuntimeError.
    """
    pool = _Pool(function, workers, processes)
    pending: deque[Future[Any]] = deque()
    try:
        for job in jobs:
            pending.append(pool.submit(job))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.close(pending)


class _Pool:
    """Threads that take jobs from one queue, each with a process if so asked."""

    def __init__(self, function: Function, workers: int, processes: bool) -> None:
        self._owner = os.getpid()
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._processes: list[_Process] = []
        calls = [function] * workers
        try:
            if processes:
                # All of them before the first thread: a fork beside threads is a risk.
                for _ in range(workers):
                    self._processes.append(_Process(function))
                calls = [process.call for process in self._processes]
        except BaseException:
            self._stop_processes()
            raise
        self._threads = [
            threading.Thread(target=self._work, args=(call,), name=f"needle-data-{i}", daemon=True)
            for i, call in enumerate(calls)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._jobs.put((future, job))
        return future

    def close(self, pending: Iterable[Future[Any]]) -> None:
        """End threads and processes; jobs that nobody waits for are dropped."""
        if os.getpid() != self._owner or sys.is_finalizing():
            # A copy in a forked child, as garbage: nothing here is the child's. Or the very end of
            # the program: threads do not run any more, and multiprocessing has ended the processes.
            return
        running = [future for future in pending if not future.cancel()]
        for _ in self._threads:
            self._jobs.put(None)
        if wait(running, timeout=_PATIENCE).not_done:
            for process in self._processes:
                process.terminate()
        for thread in self._threads:
            # A thread cannot be ended from outside; it is a daemon, and stops after its job.
            thread.join(_PATIENCE)
        self._stop_processes()

    def _work(self, call: Function) -> None:
        while (item := self._jobs.get()) is not None:
            future, job = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call(job))
            except BaseException as error:
                future.set_exception(error)
            # Not kept until the next job: a result is as large as a batch.
            del item, future, job

    def _stop_processes(self) -> None:
        for process in self._processes:
            process.close()


class _Process:
    """A process that applies a function to what comes over a pipe."""

    def __init__(self, function: Function) -> None:
        context = multiprocessing.get_context()
        self._pipe, theirs = context.Pipe()
        # Each side may hold its own end only: else a death would not show as the end of the pipe. A
        # fork inherits both.
        inherited = self._pipe if context.get_start_method() == "fork" else None
        with theirs:
            self._process: BaseProcess = context.Process(
                target=_serve, args=(theirs, inherited, function), daemon=True
            )
            try:
                self._process.start()
            except BaseException:
                self._pipe.close()
                raise

    def call(self, job: Any) -> Any:
        try:
            self._pipe.send(job)
            succeeded, answer, text = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(_PATIENCE)
            raise RuntimeError(
                f"DataLoader: worker process {self._process.pid} died, "
                f"exit code {self._process.exitcode}"
            ) from None
        if not succeeded:
            raise answer from WorkerTraceback(text)
        return answer

    def terminate(self) -> None:
        self._process.terminate()

    def close(self) -> None:
        # Said in words: processes forked later hold this end of the pipe, too.
        with self._pipe, contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(pipe: Connection, inherited: Connection | None, function: Function) -> None:
    """What a process does until it is told to stop, or the holder of the pipe's other end dies."""
    if inherited is not None:
        inherited.close()
    # Ctrl-C goes to the whole group, and is for the parent to answer. `terminate` means it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        while (job := pipe.recv()) is not None:
            pipe.send_bytes(_answer(function, job))
    except (EOFError, OSError):
        return


def _answer(function: Function, job: Any) -> Any:
    try:
        return ForkingPickler.dumps((True, function(job), ""))
    except Exception as error:
        return ForkingPickler.dumps((False, _portable(error), traceback.format_exc()))


def _portable(error: Exception) -> Exception:
    """The exception, or one that says the same where it does not survive pickling."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        copy = None
    if type(copy) is type(error) and str(copy) == str(error):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
