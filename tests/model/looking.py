"""What must hold after every step of a film's life, looked at from outside.

Each check reads the ledger, the keyring and the store themselves, besides asking the service.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import select

from consent_service.db.models.consent import ConsentDecision
from consent_service.db.models.recordings import Asset
from consent_service.domain.assets import AssetState
from consent_service.domain.roles import Permission
from consent_service.errors import ConsentServiceError
from consent_service.services import audit, certificates, film_keys, keys, viewing
from consent_service.services.withdrawal_outcome import PreviewLine
from consent_service.vault.blobs import range_of
from consent_service.vault.keyring_values import KeyStatus, Zone
from consent_service.vault.wraps import Wrap, parse_sidecar
from tests.support.clinic import Clinic

Lines = frozenset[tuple[str, str, str | None]]
"""What becomes of film: asset, outcome and ground."""


@dataclass
class Film:
    """A film, clip or photo as it was made, and what has become of it.

    `shut` are the uses that were ended for good, each with the acts that did; `fenced` are those
    acts that named films, and leave consent as it is; `gone` once a certificate says so.
    """

    id: str
    depicted: frozenset[str]
    content: bytes
    source: str | None = None
    photo: bool = False
    shut: dict[str, set[str]] = field(default_factory=dict)
    fenced: set[str] = field(default_factory=set)
    key: str = ""
    gone: bool = False

    def end(self, purposes: Iterable[str], act: str) -> None:
        """Note what may never be opened again, unless the act is taken back."""
        for purpose in purposes:
            self.shut.setdefault(purpose, set()).add(act)

    def taken_back(self, act: str) -> None:
        """Note that an act was undone."""
        for acts in self.shut.values():
            acts.discard(act)

    def is_keyless(self, purpose: str) -> bool:
        """Tell whether keys of this use went with somebody's consent, or all of it is gone."""
        return self.gone or bool(self.shut.get(purpose, set()) - self.fenced)

    def may_open(self, purpose: str) -> bool:
        """Tell whether no act has ended this use of it."""
        return not (self.gone or self.shut.get(purpose))


def opens(clinic: Clinic, film: Film, purpose: str) -> bytes | None:
    """Return every byte as the service releases it, or None when it refuses."""
    try:
        with viewing.open_film(clinic.ctx, clinic.guider, film.id, purpose) as opened:
            return b"".join(opened.iter_range(0, opened.size))
    except ConsentServiceError:
        return None


def unwraps(clinic: Clinic, film: Film, purpose: str) -> bool:
    """Tell whether live keys open a wrap of this film for a use, in the ledger or beside it.

    A sidecar may name a yes that a restore lost. That key is kept, in case a newer backup is put
    back, until somebody confirms that none will be; nothing of the service reads it meanwhile.
    """
    for asset_key, wrap in _wraps(clinic, film):
        if wrap.purpose == purpose:
            wanted = {asset_key, *wrap.key_ids}
            if clinic.ctx.keyring.read(sorted(wanted)).keys() == wanted:
                return True
    return False


def _wraps(clinic: Clinic, film: Film) -> Iterator[tuple[str, Wrap]]:
    with clinic.ctx.read() as session:
        row = session.get(Asset, film.id)
        found = keys.wraps_by_asset(session, [film.id]).get(film.id, [])
    if row is not None:
        yield from ((row.asset_key_id, wrap) for wrap in found)
    name = keys.sidecar_name(film.id)
    if name in set(clinic.ctx.blobs.list(film.id)):
        with clinic.ctx.blobs.open(name) as source:
            sidecar = parse_sidecar(range_of(source, 0, source.size))
        with clinic.ctx.read() as session:
            known = set(session.scalars(select(ConsentDecision.id)))
        yield from ((sidecar.asset_key_id, w) for w in sidecar.wraps if known >= set(w.key_ids))


def is_ground(clinic: Clinic, film: Film, purpose: str) -> bool:
    """Tell whether the service finds a use permitted and its key at hand, asking only."""
    try:
        ground = film_keys.ground_for(
            clinic.ctx, clinic.guider, film.id, purpose, Permission.FILM_WATCH
        )
        film_keys.data_key_of(clinic.ctx, ground)
    except ConsentServiceError:
        return False
    return True


def key_of(clinic: Clinic, asset: str) -> str:
    """Return the id of a film's own key."""
    with clinic.ctx.read() as session:
        return session.get_one(Asset, asset).asset_key_id


def is_left(clinic: Clinic, film: Film) -> list[str]:
    """Return what there still is of a film that a certificate says is gone."""
    left = list(clinic.ctx.blobs.list(film.id))
    if clinic.ctx.keyring.status([film.key])[film.key] is not KeyStatus.DESTROYED:
        left.append(film.key)
    return left


def without_owner(clinic: Clinic) -> list[str]:
    """Return every object of the store that belongs to no film standing in the ledger."""
    with clinic.ctx.read() as session:
        standing = select(Asset.id).where(Asset.state != AssetState.ERASED)
        owners = set(session.scalars(standing))
    names = [*clinic.ctx.blobs.list(), *(u.name for u in clinic.ctx.blobs.list_unfinished())]
    return [name for name in names if name.split(".")[0] not in owners]


def keys_without_owner(clinic: Clinic) -> list[str]:
    """Return every live key that neither a film nor a yes of the ledger stands behind."""
    with clinic.ctx.read() as session:
        owners = set(session.scalars(select(Asset.asset_key_id)))
        owners |= set(session.scalars(select(ConsentDecision.id)))
    return [
        one.key_id for one in clinic.ctx.keyring.list_keys(Zone.LIVE) if one.key_id not in owners
    ]


def certified(clinic: Clinic, order: str) -> Lines:
    """Return what the newest certificate of an order says became of each thing; it must verify."""
    view = certificates.certificate(clinic.ctx, clinic.ig, order)
    verified = certificates.verify_bundle(view.bundle(), clinic.ctx.signers.published)
    if not verified.ok:
        raise AssertionError(f"a certificate does not verify: {verified.fault}")
    body = json.loads(view.body)
    gone = {(one["asset"], "destroy", None) for one in body["destroyed"]}
    return frozenset(gone | {(one["asset"], "keep", one["ground"]) for one in body["kept"]})


def previewed(lines: Iterable[PreviewLine]) -> Lines:
    """Return what a preview says will become of each thing."""
    return frozenset((line.asset, line.outcome, line.ground) for line in lines)


def require_sound_log(clinic: Clinic) -> None:
    """Seal what waits and verify every byte of the audit log; raises AssertionError."""
    audit.seal(clinic.ctx)
    report = audit.read_through(clinic.ctx)
    if not report.ok:
        raise AssertionError(f"the audit log does not verify: {report}")
