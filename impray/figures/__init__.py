"""Figures as data: what is reported, what is claimed of it and what is drawn; one judge of claims and one form of sentence for all.

Reads a sweep's tables and never trains; imports `results`, `theory` and `spec` only."""
