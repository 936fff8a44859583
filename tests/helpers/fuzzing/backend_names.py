"""Names of backends, as the command line, the environment and the files of others give them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from random import Random

from hypothesis import strategies as st

from lamina.backends import BackendError, get_backend
from lamina.backends.select import is_lamina_own, with_decorator, without_decorator

from . import Example, Target, randoms
from .mutations import chance

WORDS = (
    "numpy", "torch", "numpi", "strict", "autodiff", "crosscheck", "profile", "jit", "cuda", "cpu", "meta",
    "mps", "xla",
    "json", "json:JSONDecoder", "nosuch.module:Class", "lamina.backends:Backend",
    "lamina.backends.base:Backend", "os",
    "collections.abc:Sized", "numpy:cpu", "torch:cpu", "torch:cuda", "torch:cuda:0", "torch:cuda:99",
    "torch:meta",
    "torch:cpu:0", "torch:99999999999999999999", "torch:cuda:-1", "torch:٣", "..:x", ".a:B", "a..b:C", "0",
    "١",
    "crosscheck(numpy)", "crosscheck(strict+numpy)", "strict+", "autodiff+", "jit+numpy", "numpy:",
    ":numpy", "json:",
)  # fmt: skip
MARKS = ("+", "++", "(", ")", "((", "))", ":", "::", " ", "\n", "\0", "\x1b[2J", ".", ",", "é", "\u202e", "9")
STACK = ("strict", "autodiff", "crosscheck(numpy)", "crosscheck(strict+torch)", "profile", "jit")


def _stack(r: Random) -> str:
    chosen = r.sample(STACK, r.randrange(5))
    if chance(r, 2):
        chosen.sort(key=STACK.index)
    return "+".join([*chosen, r.choice(("numpy", "torch", "numpy", "torch:cpu", ""))])


def drawn(r: Random, text: str) -> str:
    """Draw a stack, words and marks in any order, or one of them very often."""
    made = r.choice(
        (text, _stack(r), "".join(r.choice(r.choice((WORDS, MARKS))) for _ in range(r.randrange(9))))
    )
    if chance(r, 6):
        piece, times = r.choice((*WORDS, *MARKS, "crosscheck(", "a")), r.choice((2, 50, 2000, 100_000))
        end = r.choice(("", "numpy", ")" * times))
        made = (piece * times)[:300_000] + made + end
    return made


def examples(folder: Path) -> st.SearchStrategy[Example]:
    """Ask for the backend of the text, and do what else takes such a text."""

    for raw in ("numpy", "torch"):  # to import a library takes more than any name may
        with contextlib.suppress(BackendError):
            get_backend(f"autodiff+crosscheck(strict+numpy)+profile+jit+{raw}")

    def example(r: Random, text: str, way: int, dtype: str) -> Example:
        name = drawn(r, text)

        def call() -> object:
            if way == 0:
                return is_lamina_own(name), without_decorator(name, "strict"), with_decorator(name, "jit")
            return get_backend(name, dtype=dtype)

        return Example(
            name.encode("utf-8", "surrogatepass"),
            call,
            ("ackend", "ecorator", "crosscheck"),
            options=f"way {way}",
        )

    dtypes = st.sampled_from(("float32", "float64"))
    return st.builds(example, randoms, st.text(max_size=12), st.integers(0, 5), dtypes)


TARGET = Target("backend", examples)
