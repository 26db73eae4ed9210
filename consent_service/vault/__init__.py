"""Films at rest: the container, the keys that stand for consent, the stores and the journal."""
