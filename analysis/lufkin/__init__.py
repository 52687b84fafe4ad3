"""The figures of Lufkin, Saxe & Grant (2024) from a sweep's tables, one file each; see analysis/lufkin2024.py.

Every file has the members of `paper.parts.DrawnFigure`, and SETTING: what the paper says of its stimuli, network and training.
`table` raises NotMeasured where a sweep cannot show the figure, and says which sweep can.
"""
