"""Side by side with peers, on this machine, in one run: ratios are ours to theirs in time."""
