"""A sweep that runs: which calls wait, which are out, what came back.

Calls go out in batches, of which a worker makes as many as a moment has room for, and gives back the rest: so
trivial calls cost little, and long ones have a process of their own. Only a few batches are ahead of the
workers, so that a million sets of values from a generator need no memory.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import hashlib
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from restified_magics.core.model import Model
from restified_magics.core.parameter_sets import set_of
from restified_magics.errors import ParameterError, RestifiedError, ReturnError, TaskDied
from restified_magics.signature.parameters import Parameter, bind
from restified_magics.sweep.crews import MOMENT, Crew
from restified_magics.sweep.parcels import HEAVIEST, Answer, Item, Went, of_call, of_ended
from restified_magics.sweep.store import ABSENT, Store
from restified_magics.sweep.worker import made_here

__all__ = ["CrewedSweep", "Outcome", "Read", "RunningSweep"]

Read = Callable[[Parameter, Any], Any]

_LEAST = 0.02  # seconds of calls that share a batch however few are left: what a process costs
_MOST = 2000  # calls of a batch
_AHEAD = 2  # batches for each worker that wait or run
_FOUND = 256  # calls found in the store, one after the other, before who asked gets them
_GATHERING = 0.02  # seconds that a batch waits for more sets: who makes them may take his time


class Outcome(NamedTuple):
    """How one call of a sweep went.

    Attributes:
        number: its position in the sweep, counted from 0.
        params: the values that were given.
        value: the value of the ``return`` cell, or None.
        error: what ended it, or None.
        stored: the store had its value, and it was not made.
    """

    number: int
    params: Mapping[str, Any]
    value: Any = None
    error: Exception | None = None
    stored: bool = False


class RunningSweep:
    """A sweep that runs, whoever makes its calls.

    Args:
        model: the Model.
        retries: how many times a call that failed is made again.
        limit: seconds that each call may take, or None.
        seed: the sweep's own, or None.
        store: keeps the values, or None.
        read: makes a value for a parameter of what was given; None is :meth:`Parameter.coerce`.
    """

    def __init__(
        self,
        model: Model,
        *,
        retries: int,
        limit: float | None,
        seed: int | None,
        store: Store | None,
        read: Read | None,
    ) -> None:
        self._model = model
        self._retries = retries
        self._limit = limit
        self._seed = seed
        self._store = store
        self._read = {} if read is None else {"read": read}
        self._notebook = model.notebook
        self._parameters = self._notebook.fields.parameters
        self._tries: collections.Counter[int] = collections.Counter()
        self._again: collections.deque[Item] = collections.deque()  # calls that failed, and have another try
        self._ready: collections.deque[Outcome] = collections.deque()

    def outcomes(self, sets: Iterator[tuple[int, Mapping[str, Any]]]) -> Iterator[Outcome]:
        """All outcomes, as they come: here of calls in this thread, one after the other."""
        for number, values in sets:
            item = self._bound(number, values)
            while item is not None:
                self._ended(item, made_here(self._model, item, self._limit, self._store))
                item = self._again.popleft() if self._again else None
            yield self._ready.popleft()

    def stop(self) -> None:
        """Begin nothing more, keep what is done, and end what runs, where it is ours to end."""

    def _bound(self, number: int, values: Mapping[str, Any]) -> Item | None:
        """The call, unless its values are wrong, or it was done before."""
        seed = None if self._seed is None else _seed_of(self._seed, number)
        key = None
        values = set_of(values, number)
        try:
            params = bind(self._parameters, values, self._notebook.name, **self._read)
            if seed is not None and "seed" in self._parameters and "seed" not in params:
                params["seed"] = seed
            if self._store is not None:
                key = self._store.key(params, seed)
        except ParameterError as error:
            self._ready.append(Outcome(number, values, error=error))
            return None
        item = Item(number, params, seed, key)
        return None if self._was_kept(item) else item

    def _was_kept(self, item: Item) -> bool:
        """Whether the store has the call, which is its outcome then."""
        if self._store is None or item.key is None:
            return False
        value = self._store.get(item.key)
        if value is not ABSENT:
            self._ready.append(Outcome(item.number, item.params, value, stored=True))
        return value is not ABSENT

    def _ended(self, item: Item, how: Went) -> None:
        if how.well and self._store is not None and item.key is not None and not how.kept:
            try:
                self._store.put(item.key, how.what)
            except ReturnError as error:  # a value that no store can keep is that call's failure
                self._failed(item, error)
                return
        if how.well:
            self._ready.append(Outcome(item.number, item.params, how.what))
        elif self._tries[item.number] < self._retries and not isinstance(how.what, ParameterError):
            self._tries[item.number] += 1
            self._again.append(item)
        else:
            self._failed(item, how.what)

    def _failed(self, item: Item, what: Any) -> None:
        self._tries.pop(item.number, None)
        error = what if isinstance(what, Exception) else RestifiedError(f"the call ended by {what!r}")
        self._ready.append(Outcome(item.number, item.params, error=error))


class _Batch(NamedTuple):
    """Calls that are out together.

    Attributes:
        items: the calls.
        heard: the answers of the first of them.
    """

    items: list[Item]
    heard: list[Answer]


class CrewedSweep(RunningSweep):
    """A sweep whose calls a crew makes, in batches.

    Args:
        model: the Model.
        crew: makes the calls.
        count: how many there are, where that is known.
        options: those of every sweep.
    """

    def __init__(self, model: Model, crew: Crew, count: int | None, **options: Any) -> None:
        super().__init__(model, **options)
        self._crew = crew
        self._left = count
        self._batch = self._few = 1  # until it is known how long a call takes
        self._out: dict[concurrent.futures.Future[Any], _Batch] = {}
        self._back: collections.deque[Item] = collections.deque()  # their batch had no time for them
        self._same: dict[str, list[Item]] = {}  # calls that wait for one with the same values, by its key
        self._done: queue.SimpleQueue[concurrent.futures.Future[Any]] = queue.SimpleQueue()
        self._broken_off: Exception | None = None  # what the sets raised
        self._most = crew.size  # nothing waits until it is known, either

    def outcomes(self, sets: Iterator[tuple[int, Mapping[str, Any]]]) -> Iterator[Outcome]:
        """All outcomes, as they come. Where the sets break off, first those of the calls that were begun."""
        more = True
        while more or self._out or self._again or self._back or self._ready:
            while self._left is None and self._ready:  # the next set may be long in coming
                yield self._ready.popleft()
            while len(self._out) < self._most and len(self._ready) < _FOUND:
                items, more = self._taken(sets, more)
                if not items:
                    break
                self._send(items)
                if self._left is None and not self._done.empty():
                    break
            while self._ready:
                yield self._ready.popleft()
            if self._out:
                future = self._done.get()  # not `wait` of the standard library: two Ctrl-C at once break it
                self._came(future, self._out.pop(future))
        if self._broken_off is not None:
            raise self._broken_off

    def _send(self, items: list[Item]) -> None:
        batch = _Batch(items, [])
        try:
            future = self._crew.submit(items, batch.heard)
        except ParameterError as error:  # a value of one of them cannot travel
            if len(items) > 1:
                self._again.extend(items)
            else:
                self._ended(items[0], Went(False, error))
        else:
            self._out[future] = batch
            future.add_done_callback(self._done.put)

    def stop(self) -> None:
        """As of every sweep, and also if who has pressed Ctrl-C presses it again meanwhile."""
        ending = threading.Thread(target=self._end, name="restified-ending")  # no Ctrl-C reaches it
        try:
            ending.start()
        except RuntimeError:  # Python itself ends
            self._end()
        else:
            ending.join()

    def _end(self) -> None:
        running = bool(self._out)
        for future, batch in self._out.items():
            if not future.cancel() and future.done() and self._store is not None:
                with contextlib.suppress(Exception):  # what ended the sweep is what counts
                    self._came(future, batch)
        self._crew.end(running)

    def _taken(self, sets: Iterator[tuple[int, Mapping[str, Any]]], more: bool) -> tuple[list[Item], bool]:
        """The next batch, empty where there is none now, and whether there may be more sets."""
        if self._again:
            return [self._again.popleft()], more
        size = self._batch
        if self._left is not None and size > 1:  # the last ones are shared by all
            size = min(size, max(self._few, math.ceil((self._left + len(self._back)) / self._crew.size)))
        items = [self._back.popleft() for _ in range(min(size, len(self._back)))]
        latest = time.monotonic() + _GATHERING
        while more and len(items) < size and len(self._ready) < _FOUND and time.monotonic() < latest:
            try:
                given = next(sets, None)
                item = None if given is None else self._bound(*given)
            except Exception as error:  # noqa: BLE001 - raised when what was begun has ended
                self._broken_off = error
                given = item = None
            more = given is not None
            if given is not None:
                if item is not None:
                    items.append(item)
                    if len(items) == 1 and size > 1:
                        size = min(size, self._lot(item))
                if self._left is not None:
                    self._left -= 1
        return items, more

    def _bound(self, number: int, values: Mapping[str, Any]) -> Item | None:
        item = super()._bound(number, values)
        if item is None or item.key is None:
            return item
        if item.key.name in self._same:
            self._same[item.key.name].append(item)
            return None
        self._same[item.key.name] = []
        return item

    def _lot(self, item: Item) -> int:
        """How many calls like this one go into a batch, by their size."""
        try:
            return max(1, HEAVIEST // self._crew.weight(item))
        except ParameterError:
            return 1  # which will be told when it is sent

    def _came(self, future: concurrent.futures.Future[Any], batch: _Batch) -> None:
        answers: list[Any] | None
        try:
            answers, seconds = future.result()
        except concurrent.futures.BrokenExecutor as error:
            told = str(error).rstrip(".")
            raise TaskDied(
                f"the executor is broken: one of its processes ended, {told}. With workers= a call that ends "
                "its process ends no other, and store= keeps what is done",
                notebook=self._notebook.name,
            ) from error
        except Exception as error:  # noqa: BLE001 - that of a batch: who of it was it?
            error.__traceback__ = None  # which has the future, which has the error: Dask would keep all
            answers = of_ended(batch.heard, getattr(future, "where", None), error)
            if answers is None:
                self._broke(batch, error)
                return
        else:
            answers = [*batch.heard, *answers]
            each = max(seconds / len(answers), 1e-6)
            self._batch, self._few = (max(1, min(int(span / each), _MOST)) for span in (MOMENT, _LEAST))
            self._most = self._crew.size * _AHEAD
        for item, answer in zip(batch.items, answers, strict=False):
            self._answered(item, answer)
        self._back.extend(batch.items[len(answers) :])

    def _answered(self, item: Item, answer: Any) -> None:
        if answer is not None:
            self._ended(item, self._crew.read(answer))
        elif not self._was_kept_meanwhile(item):
            self._back.append(item)

    def _was_kept_meanwhile(self, item: Item) -> bool:
        """Whether the store has a call that was out, though nobody has heard its answer."""
        if not self._was_kept(item):
            return False
        self._go_on(item)
        return True

    def _broke(self, batch: _Batch, error: Exception) -> None:
        """A batch ended early, and nobody knows which call it was: calls are made alone."""
        for item, answer in zip(batch.items, batch.heard, strict=False):
            self._answered(item, answer)
        unknown = [item for item in batch.items[len(batch.heard) :] if not self._was_kept_meanwhile(item)]
        if len(batch.items) == 1:
            self._ended(batch.items[0], Went(False, error))
            return
        alone = 1 if isinstance(error, TaskDied | TimeoutError) else len(unknown)  # else none of it may work
        self._again.extend(unknown[:alone])
        self._back.extend(unknown[alone:])

    def _ended(self, item: Item, how: Went) -> None:
        if not how.well and isinstance(how.what, Exception):
            how = Went(False, of_call(how.what, self._notebook, item, self._limit))
        tries = len(self._again)
        super()._ended(item, how)
        if len(self._again) == tries:
            self._go_on(item)

    def _go_on(self, ended: Item) -> None:
        """Others with the same values have waited for a call: the store has theirs, or the next is made."""
        if ended.key is None:
            return
        waiting = self._same.pop(ended.key.name, [])
        for place, item in enumerate(waiting):
            if not self._was_kept(item):
                self._back.append(item)
                self._same[ended.key.name] = waiting[place + 1 :]
                return


def _seed_of(seed: int, number: int) -> int:
    """The seed of one call: the same wherever and whenever it runs, and unlike that of any other."""
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4], "big")
