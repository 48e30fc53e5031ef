"""Which of several processes this is, where torchrun started more than one, and waiting for the first of them.

Only the first process (rank 0) speaks, writes results and checks what was asked for; the others only help it compute.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

PATIENCE = timedelta(minutes=30)
"""How long helpers wait for the first process, which may have large inputs to check."""


def rank() -> int:
    """The number of this process, 0 where it is alone."""
    return int(os.environ.get("RANK", "0"))


def several() -> bool:
    """Whether torchrun started more than one process."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def let_helpers_begin() -> None:
    """Say, in the first process, that the job folder holds the settled job. Needs PyTorch where there are helpers."""
    if several():
        _store().set(_key(), "settled")


def wait_for_first() -> None:
    """Wait, in a helper, until `let_helpers_begin` was called."""
    _store().wait([_key()], PATIENCE)


def leave() -> None:
    """Take leave of the other processes; a process that ends without may abort."""
    if several():
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()


def _store() -> Any:
    """The key-value store that torchrun keeps for its processes."""
    from torch import distributed

    return distributed.TCPStore(  # type: ignore[attr-defined]
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=PATIENCE
    )


def _key() -> str:
    return f"deeprecon-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
