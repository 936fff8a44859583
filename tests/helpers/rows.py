"""Tests over the rows of a table: one test for all rows, whose failure names each failing row.

A test of its own for each of thousands of rows would take longer to report than to run.
`pytest --rows TEXT` runs only the rows whose name contains the text.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest

Cases = Iterable[Any] | Callable[[], Iterable[Any]]


def each(
    cases: Cases, name: Callable[[Any], str] = lambda case: case.name, argument: str = "case"
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call a test with every case as an argument of it; `cases` may be a function that the test calls."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def over_rows(request: pytest.FixtureRequest, **fixtures: Any) -> None:
            __tracebackhide__ = True
            wanted = request.config.getoption("--rows")
            every = [(name(case), case) for case in (cases() if callable(cases) else cases)]
            rows = {label: case for label, case in every if wanted in label}
            assert len(rows) == sum(wanted in label for label, _ in every), "two rows have one name"
            if not rows:
                pytest.skip(f"no row has {wanted!r} in its name")
            _run(rows, lambda case: test(**{argument: case}, **fixtures))

        old = inspect.signature(test).parameters.values()
        own = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = [own, *(p for p in old if p.name != argument)]
        over_rows.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return over_rows

    return decorate


def each_op(ops: Iterable[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call a test with every `op` of some names."""
    return each(list(ops), name=str, argument="op")


def _run(rows: dict[str, Any], test: Callable[[Any], None]) -> None:
    """Test every row, then raise the errors of those that fail."""
    __tracebackhide__ = True
    if len(rows) == 1:
        return test(*rows.values())  # pytest reports it as any test
    errors: dict[str, Exception] = {}
    for i, (label, case) in enumerate(rows.items()):
        try:
            test(case)
        except pytest.skip.Exception as skip:
            if i == 0:  # the whole test skips
                raise
            errors[label] = AssertionError(f"a row may not skip: {skip}")
        except pytest.fail.Exception as failure:  # no ExceptionGroup takes it
            errors[label] = AssertionError(str(failure)).with_traceback(failure.__traceback__)
        except Exception as error:
            errors[label] = error
    for label, error in errors.items():
        error.add_note(f"in the row {label!r}")
    if errors:
        raise ExceptionGroup(
            f"{len(errors)} of {len(rows)} rows fail: {', '.join(errors)}", [*errors.values()]
        )
    return None


def row(cases: Iterable[Any], name: str) -> Any:
    """Return the case of that name."""
    return next(case for case in cases if case.name == name)


def of_each_class(cases: Iterable[Any]) -> list[Any]:
    """Return the first row of each class of layers or losses."""
    return list({case.name.split()[0]: case for case in reversed(list(cases))}.values())
