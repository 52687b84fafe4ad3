"""Figures of Fridovich-Keil & Pilanci (2025), a file each."""
