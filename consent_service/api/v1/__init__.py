"""Version 1: every noun's operations in one table."""

from consent_service.api.operations import Operation, in_order
from consent_service.api.v1 import (
    audit,
    clips,
    consents,
    disputes,
    erasure,
    forms,
    handovers,
    holds,
    involvements,
    keys,
    leaflets,
    people,
    permissions,
    recordings,
    retention,
    reviews,
    scans,
    subject_access,
    uploads,
    withdrawals,
)

OPERATIONS: tuple[Operation, ...] = in_order(
    module.room
    for module in (
        people,
        involvements,
        leaflets,
        forms,
        consents,
        scans,
        disputes,
        permissions,
        recordings,
        uploads,
        clips,
        reviews,
        handovers,
        withdrawals,
        erasure,
        holds,
        retention,
        subject_access,
        keys,
        audit,
    )
)
"""The table: routes, guard, document and tests are made from it."""
