"""Rounds of a pack of lineages: train, prune, rewind; and the checkpoints they resume from."""
