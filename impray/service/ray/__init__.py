"""The only home of ray: packs in actors, on this machine or on a cluster."""
