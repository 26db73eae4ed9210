"""The service's database: typed tables, reading queries, the unit of work and the audit log."""
