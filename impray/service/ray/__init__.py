"""The one home of Ray."""
