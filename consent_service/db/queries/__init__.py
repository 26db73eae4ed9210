"""Reading: from rows to domain values. Nothing here writes."""
