"""Functions of vectors of float32: logarithm, sine and cosine, powers of 2, the error function.

Polynomials are minimax in relative error (reweighted least squares on Chebyshev nodes until the error levels out; then one coefficient
after the other is rounded to float32 and the rest is fitted again), and every product is fused, so results have the same bits on
every CPU. Largest errors over the whole range, against float64:

    log_of 0.9e-7      sine, cosine 0.8e-7      power 0.9e-7      complements 1.2e-7      erf 2.1e-7      all relative
    exponential 1.2e-7      sigmoid 2e-7      tanh 3e-7
    erf_and_erfc 3e-7; of erfc = 2^-a more by 4 a / 2^24, since the exponent is rounded (1.1e-5 at 5.5)
"""

# ruff: noqa: ANN201  (numba infers the types of what it compiles)

from __future__ import annotations

import math

from numba.extending import register_jitable

from impray.kernels.integers import greater, lesser, shifted, where
from impray.kernels.vectors import as_bits, as_float, fma, less, to_float

SIGN = 0x80000000
_ROOT_HALF = 0x3F3504F3
"""The bits of sqrt(1/2)."""
_MANTISSA = 0x7FFFFF
_ONE = 0x3F800000
_LN_2 = math.log(2)
_ROUNDER = 1.5 * 2**23
"""A float plus this is rounded to a whole number, which its last bits then are."""
_LOG2_E = 1 / math.log(2)
_LN_2_FIRST = 0.693145751953125
"""ln 2 to 15 bits."""
_LN_2_REST = math.log(2) - _LN_2_FIRST
_LEAST_EXPONENT = -87.0
_ERF_IS_ONE = 3.925
_ERFC_ENDS = 5.5


@register_jitable
def log_of(u, less):
    """ln u; less: u - 1, which is exact where u is near 1 and u itself has no bits left for it. 0 < u < sqrt(2)."""
    above = as_bits(u) - _ROOT_HALF
    exponent = to_float(shifted(above, 23))
    mantissa = as_float((above & _MANTISSA) + _ROOT_HALF)  # sqrt(1/2) to sqrt(2)
    t = where(mantissa - 1.0, less, above & SIGN)
    q = fma(t, -0.07629599422216415, 0.12919896841049194)
    q = fma(t, q, -0.1324775367975235)
    q = fma(t, q, 0.1417999267578125)
    q = fma(t, q, -0.16608336567878723)
    q = fma(t, q, 0.20002029836177826)
    q = fma(t, q, -0.25001612305641174)
    q = fma(t, q, 0.33333325386047363)
    q = fma(t, q, -0.49999988079071045)
    return fma(exponent, _LN_2, fma(t * t, q, t))


@register_jitable
def sine(angle):
    """Of angles from -pi/4 to pi/4."""
    square = angle * angle
    q = fma(square, -0.00019518291810527444, 0.008332189172506332)
    q = fma(square, q, -0.16666655242443085)
    return fma(angle * square, q, angle)


@register_jitable
def cosine(angle):
    """Of angles from -pi/4 to pi/4."""
    square = angle * angle
    q = fma(square, 2.4432327336398885e-05, -0.0013887309469282627)
    q = fma(square, q, 0.04166664555668831)
    q = fma(square, q, -0.5)
    return fma(square, q, 1.0)


@register_jitable
def _raised(rest):
    """(2^rest - 1) / rest, |rest| <= 1/2."""
    q = fma(rest, 0.0001538211217848584, 0.0013387382496148348)
    q = fma(rest, q, 0.009618311189115047)
    q = fma(rest, q, 0.05550367385149002)
    q = fma(rest, q, 0.24022649228572845)
    return fma(rest, q, 0.6931471824645996)


@register_jitable
def _power(a):
    """2^-a as a power of 2, and how much the rest differs from 1; 0 <= a <= 126."""
    rounded = a + _ROUNDER
    rest = (rounded - _ROUNDER) - a  # -1/2 to 1/2
    return as_float(_ONE - (as_bits(rounded) << 23)), rest * _raised(rest)


@register_jitable
def power(a):
    """2^-a, |a| <= 126."""
    scale, rest = _power(a)
    return fma(scale, rest, scale)


@register_jitable
def exponential(x):
    """e^x, x <= 0; below -87 as there. What is no number stays none."""
    x = greater(_LEAST_EXPONENT, x)
    rounded = fma(x, _LOG2_E, _ROUNDER)
    whole = rounded - _ROUNDER
    rest = fma(whole, -_LN_2_REST, fma(whole, -_LN_2_FIRST, x)) * _LOG2_E
    scale = as_float((as_bits(rounded) << 23) + _ONE)
    return fma(scale, rest * _raised(rest), scale)


@register_jitable
def sigmoid(x):
    """1 / (1 + e^-x)."""
    small = exponential(as_float(as_bits(x) | SIGN))
    below = 1.0 + small
    return where(small / below, 1.0 / below, less(x, 0.0))


@register_jitable
def tanh(x):
    """The hyperbolic tangent."""
    size = as_float(as_bits(x) & (SIGN - 1)) * (2 * _LOG2_E)
    value, rest = complements(lesser(126.0, size))  # in this order, what is no number stays none
    return as_float(as_bits(value / (1.0 + rest)) | (as_bits(x) & SIGN))


@register_jitable
def complements(a):
    """1 - 2^-a and 2^-a, both to the last bits; 0 <= a <= 126."""
    scale, rest = _power(a)
    return fma(scale * -1.0, rest, 1.0 - scale), fma(scale, rest, scale)


@register_jitable
def erf(x):
    """The error function, from erfc(|x|) = 2^-a, a = |x| A(|x|)."""
    size = lesser(_ERF_IS_ONE, as_float(as_bits(x) & (SIGN - 1)))
    q = fma(size, 5.974887608317658e-05, -0.0005573166999965906)
    q = fma(size, q, 0.0018280649092048407)
    q = fma(size, q, 0.0002652412513270974)
    q = fma(size, q, -0.027852283790707588)
    q = fma(size, q, 0.14832158386707306)
    q = fma(size, q, 0.9184446930885315)
    q = fma(size, q, 1.6279070377349854)
    value, _ = complements(size * q)
    return as_float(as_bits(value) | (as_bits(x) & SIGN))


@register_jitable
def erf_and_erfc(size):
    """Both of |x|, each to its last bits; |x| above 5.5 counts as 5.5."""
    size = lesser(size, _ERFC_ENDS)
    q = fma(size, 8.819372787627344e-09, -3.149510519051546e-07)
    q = fma(size, q, 5.012840119889006e-06)
    q = fma(size, q, -4.6812318032607436e-05)
    q = fma(size, q, 0.0002824728435371071)
    q = fma(size, q, -0.0011211357777938247)
    q = fma(size, q, 0.0026157654356211424)
    q = fma(size, q, -0.00033775795600377023)
    q = fma(size, q, -0.027614548802375793)
    q = fma(size, q, 0.1482800394296646)
    q = fma(size, q, 0.9184468984603882)
    q = fma(size, q, 1.6279070377349854)
    return complements(size * q)
