"""The figures of Redman et al. (2025) from a sweep's tables, one file each; see analysis/redman2025.py.

Every file has the same members: TITLE, PAPER (what the paper found), `table(of) -> Table`, `claims(table)` (what the
paper says, judged on this run), `told(table)` (more of what this run shows), `caption(table)` and `draw(table)`.
"""
