"""Linear models in closed form, as solvers (`impray.training.solver`): `paths` has those whose masks nest, `iht`, `omp` and `lasso` solve
every count from scratch; `closed_form` is the same training round by round.
"""
