"""impray: which statistics of the data make iterative magnitude pruning find structure?"""

__version__ = "0.8.0"
