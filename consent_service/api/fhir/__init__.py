"""FHIR R4 (UK Core), for reading: one pure mapper per resource, one table of what is served."""

from consent_service.api.fhir.room import SERVED, room

__all__ = ["SERVED", "room"]
