"""Figures of Elesedy, Kanade & Teh (2020), a file each."""
