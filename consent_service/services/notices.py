"""Messages to staff: a row in the same transaction, sent later; ids and codes only."""

from consent_service.db.models.jobs import Notice
from consent_service.db.unit_of_work import UnitOfWork
from consent_service.ids import new_id


def notify(
    uow: UnitOfWork,
    kind: str,
    *,
    role: str | None = None,
    user: str | None = None,
    subject: str | None = None,
) -> None:
    """Leave a message for a role or one member of staff; it is sent after the commit."""
    uow.session.add(
        Notice(
            id=new_id(),
            kind=kind,
            to_role=role,
            to_user_id=user,
            subject=subject,
            created_at=uow.at,
        )
    )
