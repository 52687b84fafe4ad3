"""Isolated hosts on one machine: what a power cut, a pulled cable and an ssh login are, without a second machine."""
