"""What the scripts share that redraw a paper: its claims judged on a run, a figure's numbers, and the page of them all."""
