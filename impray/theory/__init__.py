"""Closed-form predictions to hold simulations against: numpy and scipy only."""
