"""Figures that plugins bring: a name each."""

from __future__ import annotations

from impray.spec.base import Spec


class FigureSpec(Spec):
    """A figure of a plugin, by its name alone: what it shows is an `impray.figures.Figure`."""
