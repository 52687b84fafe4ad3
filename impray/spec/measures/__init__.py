"""Kinds of measures, a file per theme; `impray.spec.measure` has them all."""
