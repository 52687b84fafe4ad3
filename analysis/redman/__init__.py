"""The figures of Redman et al. (2025) from a sweep's tables, one file each with a FIGURE; see analysis/redman2025.py."""
