"""ReLU networks with one hidden layer, solved count by count: whole data in, masks and weights out."""
