"""Use cases: the only place where a transaction begins or ends."""
