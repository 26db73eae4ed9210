"""Small programs that do a peer's work (and ours) in a process of its own, to be timed whole."""
