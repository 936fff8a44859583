"""`check_case`: the proofs of one optimizer, over 1,000 steps."""

from __future__ import annotations

from ....backends import Backend
from ....backends.select import available
from ....layers.proofs.check import BACKEND, TORCH, Proof, second_backend
from .case import OptimizerCase
from .trajectories import compare_trajectories, torch_trajectory, trajectory


def check_case(case: OptimizerCase, backend: Backend) -> Proof:
    """Compare an optimizer on a float64 backend with a second backend, and with torch.optim."""
    proof = Proof(case.name)
    ours = trajectory(case, backend)
    if (other := second_backend(backend)) is not None:
        proof.attempt(
            BACKEND, lambda: compare_trajectories(case.name, other.spec, ours, trajectory(case, other))
        )
    if case.torch is not None and "torch" in available():
        proof.attempt(
            TORCH, lambda: compare_trajectories(case.name, "torch.optim", ours, torch_trajectory(case))
        )
    return proof
