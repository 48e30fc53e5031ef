"""Rank of this process where torchrun started several, and waiting for the first of them.

Only the first process (rank 0) reports, writes results and checks the request; the others only help it compute.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

HELPER_TIMEOUT = timedelta(minutes=30)
"""How long helpers wait for the first process, which may have large inputs to check."""


def rank() -> int:
    """The number of this process, 0 where it is alone."""
    return int(os.environ.get("RANK", "0"))


def is_distributed() -> bool:
    """Whether torchrun started more than one process."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def release_helpers() -> None:
    """In the first process: let the others read the job, which is resolved now. Needs PyTorch if there are any."""
    if is_distributed():
        _store().set(_key(), "settled")


def wait_for_rank_0() -> None:
    """Wait, in a helper, until `release_helpers` was called."""
    _store().wait([_key()], HELPER_TIMEOUT)


def leave_process_group() -> None:
    """End the communication with the other processes; a process that exits without may abort."""
    if is_distributed():
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()


def _store() -> Any:
    """The key-value store that torchrun keeps for its processes."""
    from torch import distributed

    return distributed.TCPStore(  # type: ignore[attr-defined]
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=HELPER_TIMEOUT
    )


def _key() -> str:
    return f"deeprecon-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
