"""Kernels for CPUs, compiled at run time by numba: what neither torch nor a library does as fast.

`vectors` are values of many lanes inside numba's code, `compiled` says where compiled code is kept, and the rest are kernels. Their
results are the same, bit for bit, on every x86-64 CPU that has fused multiply-add, whatever the width of its registers: every
product is fused explicitly, every sum has one order, and nothing is compiled with fast math.
"""
