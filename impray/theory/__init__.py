"""Closed-form predictions to hold simulations against, and arithmetic on what was stored: numpy and scipy only."""
