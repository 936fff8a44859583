"""The host's vector unit, and the way from IR to machine code: optimise, compile, link.

llvmlite is imported here alone, and only when something is compiled.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import BackendError, OptionError
from ...select import OLDEST, version_numbers
from .objects import key_of

INSTALL = "pip install 'llvmlite>=0.45'"


@dataclass(frozen=True)
class Machine:
    """What the generated code may rely on."""

    cpu: str
    features: str
    """LLVM's list of features, such as "+avx2,-avx512f"."""
    unit: str
    """The vector unit: "avx512", "avx2", "neon", or "" for one that we do not know."""
    vector_bytes: int
    registers: int
    """How many vector registers there are."""
    fused: bool
    """Whether it has fused multiply-adds."""
    llvm: str
    """The version of LLVM, which compiles the same text to other code in another version."""

    def lanes(self, element: str) -> int:
        """Return how many elements a vector register holds."""
        return self.vector_bytes // {"float": 4, "double": 8, "i64": 8, "i1": 4}[element]


@dataclass(frozen=True)
class _Unit:
    name: str
    needs: tuple[str, ...]
    vector_bytes: int
    registers: int


# The best first. Masked loads of 32 bytes need avx512vl, which every CPU with avx512f but one has.
_UNITS = (
    _Unit("avx512", ("avx512f", "avx512vl", "avx512dq", "avx512bw", "fma"), 64, 32),
    _Unit("avx2", ("avx2", "fma"), 32, 16),
    _Unit("neon", ("neon",), 16, 32),
    _Unit("", (), 16, 16),
)
_WIDER_THAN_AVX2 = ("avx512", "avx10", "evex512", "amx")


@functools.cache
def host(unit: str | None = None) -> Machine:
    """Return this machine, with its best vector unit or a lesser one.

    Raises
    ------
    BackendError
        If llvmlite is missing or too old.
    OptionError
        If the host lacks the unit.

    """
    llvm = binding()
    try:
        features = dict(llvm.get_host_cpu_features())
    except RuntimeError:  # LLVM cannot tell on this system
        features = {}
    if platform.machine().lower() in ("arm64", "aarch64"):
        features["neon"] = True  # every 64-bit ARM has it, whether or not LLVM lists it
    usable = {u.name: u for u in _UNITS if all(features.get(need) for need in u.needs)}
    if unit is not None and unit not in usable:
        raise OptionError(f"jit: expected a vector unit of {sorted(usable)}, got {unit!r}")
    chosen = next(iter(usable.values())) if unit is None else usable[unit]
    if chosen.name != "avx512":
        features.update({name: False for name in features if name.startswith(_WIDER_THAN_AVX2)})
    if chosen.name == "":
        features.update({name: False for name in features if name.startswith(("avx", "fma"))})
    return Machine(
        cpu=llvm.get_host_cpu_name(),
        # What is off comes last: "+vaes" turns on the AVX that it builds on.
        features=",".join(sorted((f"{'+' if on else '-'}{name}" for name, on in features.items()))),
        unit=chosen.name,
        vector_bytes=chosen.vector_bytes,
        registers=chosen.registers,
        fused=chosen.name != "",
        llvm=".".join(map(str, llvm.llvm_version_info)),
    )


@functools.cache
def binding() -> Any:
    """Return llvmlite.binding, ready to compile for this machine."""
    try:
        llvmlite = importlib.import_module("llvmlite")
    except ImportError as error:
        raise BackendError(f"jit: expected llvmlite, got {error}; {INSTALL}") from error
    if version_numbers(llvmlite.__version__) < OLDEST["llvmlite"]:  # its LLVM does not read our text
        oldest = ".".join(map(str, OLDEST["llvmlite"]))
        raise BackendError(f"jit: expected llvmlite {oldest} or later, got {llvmlite.__version__}; {INSTALL}")
    llvm = importlib.import_module("llvmlite.binding")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


def compiled(text: str, machine: Machine) -> bytes:
    """Return the object code of a module's text, optimised."""
    llvm = binding()
    target = _target(machine)
    module = llvm.parse_assembly(text)
    module.verify()  # the passes end the process if they meet nonsense
    passes = llvm.create_new_module_pass_manager()
    # The text is unrolled, vectorised and fused already. All of -O2 takes ten times as long, and its code is
    # no faster.
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options()))
    return bytes(target.emit_object(module))


def _target(machine: Machine) -> Any:
    target = binding().Target.from_default_triple()
    return target.create_target_machine(
        cpu=machine.cpu, features=machine.features, opt=3, codemodel="jitdefault", jit=True
    )


@dataclass(frozen=True)
class Library:
    """Linked machine code. The addresses are valid as long as it lives."""

    addresses: dict[str, int]
    size: int
    """The bytes of its object."""
    _alive: Any = field(repr=False)

    def function(self, name: str, *types: Any) -> Any:
        """Return a function for ctypes, which releases the GIL while it runs; it keeps the library alive."""
        function: Any = ctypes.CFUNCTYPE(None, *types)(self.addresses[name])
        function.library = self
        return function


def linked(code: bytes, names: Sequence[str], machine: Machine) -> Library:
    """Load an object; its calls of the C library go to the one of this process."""
    llvm = binding()
    jit = llvm.create_lljit_compiler(_target(machine))
    builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
    for name in names:
        builder.export_symbol(name)
    library = builder.link(jit, f"lamina{key_of(code)[:16]}")
    return Library({name: library[name] for name in names}, len(code), (library, jit))


def build(text: str, names: Sequence[str], machine: Machine) -> Library:
    """Compile and link a module's text."""
    return linked(compiled(text, machine), names, machine)
