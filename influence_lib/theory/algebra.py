"""Linear algebra that reads the same for SymPy matrices and for torch tensors.

A formula of the paper is written once, with ``@``, ``.T``, ``*`` and the functions below, and is then evaluated on
symbols (SymPy proves) and on random float64 matrices (autograd confirms). Vectors are matrices of one column.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import sympy
import torch
from sympy.matrices.expressions.matexpr import MatrixExpr

__all__ = [
    "Matrix",
    "Scalar",
    "coefficient",
    "gradient",
    "hessian",
    "identity",
    "influence",
    "inner",
    "inverse",
    "jacobian",
    "kron",
    "norm2",
    "ones",
    "rows",
    "scalar",
    "sqrt",
    "trace",
    "undamped",
]

Matrix: TypeAlias = Any  # sympy.Matrix, sympy.MatrixSymbol or a float64 torch.Tensor with two axes
Scalar: TypeAlias = Any  # a SymPy expression, or a torch tensor without axes, or a number

PINV_TOLERANCE = 1e-10  # relative to the largest eigenvalue: below it an eigenvalue counts as zero


def trace(M: Matrix) -> Scalar:
    """Return the sum of the diagonal, a scalar."""
    if isinstance(M, MatrixExpr) and not isinstance(M, sympy.MatrixBase):  # of symbolic size
        return sympy.Trace(M)
    return M.trace()


def inner(A: Matrix, B: Matrix) -> Scalar:
    """Return the Frobenius inner product ⟨A, B⟩ = tr(AᵀB)."""
    return trace(A.T @ B)


def norm2(A: Matrix) -> Scalar:
    """Return the squared Frobenius norm ‖A‖²; for a column the squared Euclidean norm."""
    return inner(A, A)


def scalar(M: Matrix) -> Scalar:
    """Return the one entry of a 1×1 matrix."""
    return M[0, 0]


def sqrt(value: Scalar) -> Scalar:
    """Return the square root."""
    return value.sqrt() if isinstance(value, torch.Tensor) else sympy.sqrt(value)


def kron(A: Matrix, B: Matrix) -> Matrix:
    """Return the Kronecker product A ⊗ B."""
    return torch.kron(A.contiguous(), B.contiguous()) if isinstance(A, torch.Tensor) else sympy.kronecker_product(A, B)


def identity(size: int, like: Matrix) -> Matrix:
    """Return the identity of this size, of the kind of `like`."""
    return torch.eye(size, dtype=like.dtype) if isinstance(like, torch.Tensor) else sympy.eye(size)


def ones(size: int, like: Matrix) -> Matrix:
    """Return a column of ones, of the kind of `like`."""
    return torch.ones(size, 1, dtype=like.dtype) if isinstance(like, torch.Tensor) else sympy.ones(size, 1)


def rows(M: Matrix) -> Matrix:
    """Return vec_r(M): the rows of M stacked into one column (row-major, as torch and NumPy flatten)."""
    return M.reshape(-1, 1) if isinstance(M, torch.Tensor) else sympy.Matrix(list(M))


def inverse(M: Matrix) -> Matrix:
    """Return M⁻¹; with symbols it is computed exactly in the field of rational functions."""
    if isinstance(M, torch.Tensor):
        return torch.linalg.inv(M)
    return M.to_DM(field=True).inv().to_Matrix()


def gradient(loss: Callable[[Matrix], Scalar], at: Matrix) -> Matrix:
    """Return the derivative of a scalar function of a matrix, in the shape of the matrix.

    torch differentiates by autograd, SymPy entry by entry: neither knows the formula that it is compared with.
    """
    if isinstance(at, torch.Tensor):
        return torch.func.grad(loss)(at)
    value, names = _at_symbols(loss, at)
    slope = sympy.Matrix(*at.shape, [sympy.diff(value, name) for name in names])
    return slope.subs(dict(zip(names, at, strict=True)))


def hessian(loss: Callable[[Matrix], Scalar], at: Matrix) -> Matrix:
    """Return the second derivative with respect to vec_r of a matrix of p entries, a symmetric p×p matrix."""
    if isinstance(at, torch.Tensor):
        # reverse mode twice: the first use of the forward mode compiles for seconds
        return torch.func.jacrev(torch.func.grad(loss))(at).reshape(at.numel(), at.numel())
    value, names = _at_symbols(loss, at)
    return sympy.hessian(value, names).subs(dict(zip(names, at, strict=True)))


def jacobian(function: Callable[[Matrix], Matrix], at: Matrix) -> Matrix:
    """Return the derivative of vec_r of a matrix function with respect to vec_r of its argument."""
    if isinstance(at, torch.Tensor):
        out = torch.func.jacrev(function)(at)
        return out.reshape(-1, at.numel())
    value, names = _at_symbols(function, at)
    return sympy.Matrix(list(value)).jacobian(names).subs(dict(zip(names, at, strict=True)))


def coefficient(function: Callable[[Scalar], Scalar], order: int, like: Matrix) -> Scalar:
    """Return the coefficient of ε^order in the Taylor series of a scalar function of ε at 0.

    `like` says whether the function takes a SymPy symbol or a float64 tensor.
    """
    if isinstance(like, torch.Tensor):
        derivative = function
        for _ in range(order):
            derivative = torch.func.grad(derivative)
        return derivative(torch.zeros((), dtype=torch.float64)) / math.factorial(order)
    eps = sympy.Symbol("epsilon", positive=True)
    return sympy.diff(function(eps), eps, order).subs(eps, 0) / sympy.factorial(order)


def _at_symbols(function: Callable[[Matrix], Any], at: Matrix) -> tuple[Any, list[sympy.Symbol]]:
    """Evaluate at fresh symbols, so that a derivative can be taken at numbers too."""
    names = sympy.symbols(f"p:{len(at)}", real=True, cls=sympy.Dummy)
    return function(sympy.Matrix(*at.shape, names)), list(names)


def influence(g: Matrix, H: Matrix, damping: Scalar = 0) -> Scalar:
    """Return −gᵀ(H + λI)⁻¹g, the self-influence as the paper defines it (Eq. 4 and 6).

    Parameters
    ----------
    g : matrix
        The gradient, of any shape with p entries; it is flattened row by row.
    H : p×p matrix
        The Hessian in the same order.
    damping : scalar, default 0
        λ.
    """
    flat = rows(g)
    return -scalar(flat.T @ inverse(H + damping * identity(H.shape[0], H)) @ flat)


def undamped(g: Matrix, H: Matrix) -> Scalar:
    """Return the limit of −gᵀ(H + λI)⁻¹g for λ → 0, where g is in the range of H: −gᵀH⁺g.

    torch takes the pseudo-inverse. SymPy inverts for a symbolic λ, cancels, and puts λ = 0.
    """
    if isinstance(H, torch.Tensor):
        flat = rows(g)
        return -scalar(flat.T @ torch.linalg.pinv(H, hermitian=True, rtol=PINV_TOLERANCE) @ flat)
    damping = sympy.Dummy("lambda", positive=True)
    return sympy.cancel(influence(g, H, damping)).subs(damping, 0)
