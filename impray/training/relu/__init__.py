"""Sparse ReLU networks by whole problems: iterative hard thresholding and a pursuit (`impray.training.solver.Block` in, `Solved` out).

The fused network is y = sum_j a_j relu(w_j x) with a fixed readout a_j = +-1. With gates 1[h_j x > 0] in the place of 1[w_j x > 0] it is
linear in w: y = A w, A = [A_1 ... A_m], A_j = a_j diag(1[X h_j > 0]) X, weights in the order of `weight1`, row by row. A is n x (m d)
and is never made: `streamed` has its products.

All work on the CPU in float64, problem by problem, on one thread: a problem's numbers do not depend, in a single bit, on the problems
beside it.
"""
