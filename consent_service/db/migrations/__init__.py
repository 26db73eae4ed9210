"""Migrations of the service's own database, run by Alembic."""
