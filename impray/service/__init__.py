"""Where packs run: Tune, actors, placement, faults. The only home of ray, which is imported only when it is used."""
