"""Blocks and decorators that set the mode end in any order, anywhere, and leave nothing behind."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import needle as ndl
from needle import Tensor, nn

X = Tensor([1.0, 2.0])


def recorded() -> bool:
    return (X * 2).requires_grad


def is_lazy() -> bool:
    return (Tensor([1.0], requires_grad=False) * 2).op is not None


def state() -> tuple[bool, bool]:
    return recorded(), is_lazy()


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    assert state() == (True, False)
    yield
    gc.collect()
    assert state() == (True, False)
    assert ndl._core.get_thread_mode() == (None, False)


# What a block sets: the state inside of it, alone.
BLOCKS: dict[str, tuple[Callable[[], Any], tuple[bool, bool]]] = {
    "no_grad": (ndl.no_grad, (False, False)),
    "enable_grad": (ndl.enable_grad, (True, False)),
    "lazy": (ndl.lazy, (True, True)),
    "eager": (lambda: ndl.lazy(False), (True, False)),
}
PARTS = {"no_grad": (0, False), "enable_grad": (0, True), "lazy": (1, True), "eager": (1, False)}


def model(names: list[str]) -> tuple[bool, bool]:
    """The state with these blocks open, the newest last."""
    parts = [True, False]
    for name in names:
        part, value = PARTS[name]
        parts[part] = value
    return parts[0], parts[1]


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_sets_its_part(name: str) -> None:
    make, inside = BLOCKS[name]
    with make():
        assert state() == inside
    assert state() == (True, False)


@pytest.mark.parametrize("names", list(itertools.product(BLOCKS, repeat=3)), ids="-".join)
def test_blocks_end_in_any_order(names: tuple[str, ...]) -> None:
    def generator(name: str) -> Iterator[None]:
        with BLOCKS[name][0]():
            yield

    for order in itertools.permutations(range(3)):
        generators = [generator(name) for name in names]
        for opened, g in enumerate(generators):
            next(g)
            assert state() == model(list(names[: opened + 1]))
        left = [0, 1, 2]
        for i in order:
            generators[i].close()
            left.remove(i)
            assert state() == model([names[j] for j in left])


@pytest.mark.parametrize("end", ["close", "throw", "exhaust", "collect", "collect in a cycle"])
def test_interleaved_generators_leave_recording_on(end: str) -> None:
    def samples() -> Iterator[int]:
        with ndl.no_grad():
            yield from (1, 2, 3)

    first, second = samples(), samples()
    next(first), next(second)
    assert not recorded()
    if end == "close":
        first.close(), second.close()
    elif end == "throw":
        for g in (first, second):
            with pytest.raises(KeyError):
                g.throw(KeyError)
    elif end == "exhaust":
        assert list(zip(first, second, strict=False)) == [(2, 2), (3, 3)]
        assert list(second) == []
    elif end == "collect in a cycle":
        box: list[Any] = [first, second]
        box.append(box)
        del box
    del first, second
    gc.collect()
    assert recorded()


@pytest.mark.parametrize("name", ["no_grad", "lazy"])
def test_a_block_ends_on_another_thread(name: str) -> None:
    block = BLOCKS[name][0]()
    block.__enter__()
    assert state() == BLOCKS[name][1]

    def end() -> tuple[bool, bool]:
        with ndl.lazy():  # one of its own is not touched
            block.__exit__(None, None, None)
            inside = state()
        return inside + state()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(end).result() == (True, True, True, False)
    assert state() == (True, False)


def test_a_generator_that_moves_to_another_thread() -> None:
    def samples() -> Iterator[bool]:
        with ndl.no_grad():
            yield recorded()
            yield recorded()

    g = samples()
    assert next(g) is False
    # There the block does not hold: it is of the thread where it began, and ends for that one.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: [*g, recorded()]).result() == [True, True]
    assert recorded()


def test_a_thread_that_ends_takes_its_blocks_along() -> None:
    held: list[Any] = []

    def run() -> None:
        def samples() -> Iterator[None]:
            with ndl.no_grad():
                yield

        held.append(samples())
        next(held[0])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert recorded()
    held[0].close()
    assert recorded()


def test_one_object_for_several_blocks() -> None:
    block = ndl.no_grad()
    with block, ndl.enable_grad():
        with block:
            assert not recorded()
        assert recorded()
    barrier = threading.Barrier(2)

    def run(first: bool) -> bool:
        with block:
            barrier.wait()
            if not first:
                barrier.wait()
            inside = recorded()
        if first:
            barrier.wait()
        return inside or not recorded()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, [True, False])) == [False, False]
    with pytest.raises(RuntimeError, match="no_grad: the block ends before it has begun"):
        block.__exit__(None, None, None)


def test_a_rule_that_ends_a_block_of_its_caller() -> None:
    """The sweep restores its own mode, not what it found."""

    def hold() -> Iterator[None]:
        with ndl.lazy():
            yield

    open_blocks: list[Any] = []

    class Toggle(ndl.TensorOp):
        def compute(self, x: np.ndarray) -> np.ndarray:
            return x + 1

        def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
            if open_blocks:
                open_blocks.pop().close()
            else:
                open_blocks.append(hold())
                next(open_blocks[0])
            return out_grad

    Toggle()(X).sum().backward()
    assert is_lazy()
    Toggle()(X).sum().backward()
    assert not is_lazy()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_blocks_in_a_forked_child() -> None:
    with ndl.no_grad():
        child = os.fork()
        if child == 0:
            with ndl.enable_grad():
                inside = recorded()
            os._exit(0 if inside and not recorded() else 1)
        assert os.waitpid(child, 0)[1] == 0


def plain(*args: int, key: int = 0) -> tuple[Any, ...]:
    """About it."""
    return (*args, key, state())


class Thing:
    @ndl.no_grad()
    def method(self) -> object:
        return self, recorded()

    @ndl.no_grad
    @staticmethod
    def static() -> bool:
        return recorded()

    @staticmethod
    @ndl.no_grad
    def inner_static() -> bool:
        return recorded()

    @ndl.no_grad()
    @classmethod
    def of_class(cls) -> object:
        return cls, recorded()

    @property
    @ndl.no_grad
    def value(self) -> bool:
        return recorded()

    def __call__(self) -> bool:
        return recorded()


@pytest.mark.parametrize("name", BLOCKS)
def test_a_decorated_function(name: str) -> None:
    make, inside = BLOCKS[name]
    decorated = make()(plain)
    assert decorated(1, key=2) == (1, 2, inside)
    assert (decorated.__name__, decorated.__doc__) == ("plain", "About it.")
    assert inspect.signature(decorated) == inspect.signature(plain)
    with pytest.raises(ZeroDivisionError):
        make()(lambda: 1 / 0)()


@pytest.mark.parametrize("mode", [ndl.no_grad, ndl.enable_grad, ndl.lazy])
def test_bare_decorators(mode: Any) -> None:
    assert mode(plain)(1) == mode()(plain)(1)
    assert mode(plain).__name__ == "plain"


def test_decorated_methods_and_objects() -> None:
    thing = Thing()
    assert thing.method() == (thing, False)
    assert thing.static() is Thing.static() is thing.inner_static() is thing.value is False
    assert thing.of_class() == (Thing, False)
    assert ndl.no_grad(thing)() is False
    assert ndl.no_grad(functools.partial(plain, 1))(key=3) == (1, 3, (False, False))
    layer = nn.Linear(2, 1)
    assert ndl.no_grad(layer)(Tensor([[1.0, 2.0]], dtype="float32")).requires_grad is False

    def recursive(n: int) -> list[bool]:
        return [recorded()] + (decorated(n - 1) if n else [])

    decorated = ndl.no_grad()(recursive)
    assert decorated(3) == [False] * 4


def test_a_decorated_generator_function_sets_the_mode_while_it_runs() -> None:
    log: list[object] = []

    @ndl.no_grad()
    def counter(start: int) -> Any:
        """Counts."""
        try:
            while True:
                try:
                    log.append(recorded())
                    sent = yield start
                    start = start + 1 if sent is None else sent
                except KeyError:
                    log.append(("caught", recorded()))
                    if start > 100:
                        return "end"
        finally:
            log.append(("closed", recorded()))

    assert inspect.isgeneratorfunction(counter)
    assert counter.__doc__ == "Counts."
    g = counter(1)
    assert log == []
    assert (next(g), recorded(), next(g), recorded()) == (1, True, 2, True)
    assert g.send(10) == 10
    assert g.throw(KeyError()) == 10
    assert recorded()
    g.close()
    assert log == [False, False, False, ("caught", False), False, ("closed", False)]
    g = counter(101)
    next(g)
    with pytest.raises(StopIteration) as stopped:
        g.throw(KeyError())
    assert stopped.value.value == "end"
    g = counter(1)
    next(g)
    with pytest.raises(ZeroDivisionError):
        g.throw(ZeroDivisionError())
    assert recorded()
    assert log.count(("closed", False)) == 3


def test_a_decorated_coroutine_function_sets_the_mode_while_it_runs() -> None:
    log: list[tuple[str, bool]] = []

    @ndl.no_grad
    async def off(name: str) -> str:
        for _ in range(3):
            log.append((name, recorded()))
            await asyncio.sleep(0)
        return name

    async def on(name: str) -> str:
        for _ in range(3):
            log.append((name, recorded()))
            await asyncio.sleep(0)
        return name

    async def both() -> list[str]:
        return await asyncio.gather(off("off"), on("on"), off("off too"))

    assert inspect.iscoroutinefunction(off)
    assert asyncio.run(both()) == ["off", "on", "off too"]
    assert sorted(set(log)) == [("off", False), ("off too", False), ("on", True)]
    assert len(log) == 9

    @ndl.no_grad
    async def cancelled() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            log.append(("cancelled", recorded()))

    async def cancel() -> None:
        task = asyncio.ensure_future(cancelled())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert recorded()

    asyncio.run(cancel())
    assert log[-1] == ("cancelled", False)


async def asynchronous_generator() -> Any:
    yield 1


WRONG = {
    "a class": (lambda: ndl.no_grad(Thing), "no_grad: expected a function to decorate, got the cl"),
    "a number": (lambda: ndl.no_grad(1), "no_grad: expected a function to decorate, got int"),
    "lazy of a number": (lambda: ndl.lazy(1), "lazy: expected True or False, got int"),
    "lazy of None": (lambda: ndl.lazy(None), "lazy: expected True or False, got NoneType"),
    "a property": (lambda: ndl.enable_grad(Thing.value), "enable_grad: expected a function to dec"),
    "an asynchronous generator": (
        lambda: ndl.lazy()(asynchronous_generator),
        "lazy: cannot decorate an asynchronous generator function",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_decorated(name: str) -> None:
    act, message = WRONG[name]
    with pytest.raises(TypeError, match=message):
        act()


def test_gradients_inside_of_enable_grad() -> None:
    x = Tensor([3.0])
    with ndl.no_grad():
        off = x * x
        with ndl.enable_grad():
            y = x * x
    assert (off.requires_grad, y.requires_grad) == (False, True)
    y.backward()
    assert x.grad.tolist() == [6.0]
