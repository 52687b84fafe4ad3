"""Shapes in annotations are checked at run time in the tests: a function's first calls in each test, then some of the others.

Checks of every call were a third of what the tests that have them take, most of it in functions that one test calls thousands of times.
Functions are prepared for checks when the first of them comes: to prepare all takes each worker some seconds. This module takes effect when
it is imported, which tests/conftest.py does before anything of impray.
"""

import functools
import inspect

import jaxtyping
from jaxtyping import _decorator

FIRST = 32  # calls that are checked, of each function in each test
EVERY = 16  # of the others, one in so many


class Checks:
    """What the test that runs wants."""

    on = False
    test = 0  # a number of its own for each test

    @classmethod
    def begin(cls, on: bool) -> None:
        cls.on, cls.test = on, cls.test + 1


def some_calls(fn, check):
    """A function of which `check(fn)` takes the calls that are checked."""
    checked, test, calls = None, None, 0

    @functools.wraps(fn)
    def call(*args, **kwargs):
        nonlocal checked, test, calls
        if not Checks.on:
            return fn(*args, **kwargs)
        if test != Checks.test:
            test, calls = Checks.test, 0
        calls += 1
        if calls > FIRST and calls % EVERY:
            return fn(*args, **kwargs)
        if checked is None:
            checked = check(fn)
        return checked(*args, **kwargs)

    return call


_whole = _decorator.jaxtyped


def jaxtyped(fn=None, *, typechecker=None):
    """In the place of jaxtyping's own, which its import hook looks up by name in every module that it changes."""
    if fn is None:
        return functools.partial(jaxtyped, typechecker=typechecker)
    if inspect.isfunction(fn):
        return some_calls(fn, functools.partial(_whole, typechecker=typechecker))
    return _whole(fn, typechecker=typechecker)  # a class or a property: it comes back with the functions within


_decorator.jaxtyped = jaxtyping.jaxtyped = jaxtyped
