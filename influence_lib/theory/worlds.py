"""Where the claims are checked: a world of symbols, and a world of random float64 matrices."""

from typing import Protocol

import sympy
import torch

from influence_lib.theory.algebra import Matrix, Scalar

__all__ = ["Numbers", "Symbols", "World"]


class World(Protocol):
    """A supply of matrices and scalars of k×d encoders; each call gives a new one."""

    k: int
    d: int

    def matrix(self, name: str, height: int, width: int) -> Matrix:
        """Return a matrix with free entries."""

    def unit(self, name: str, size: int) -> Matrix:
        """Return a column of length one."""

    def orthogonal(self, name: str, size: int) -> Matrix:
        """Return an orthogonal matrix (with symbols: of size 1, 2 or 3)."""

    def positive(self, name: str) -> Scalar:
        """Return a positive number."""


class Symbols:
    """The world of SymPy: everything is a rational function of free real symbols.

    Examples
    --------
    >>> Symbols(1, 2).matrix("W", 1, 2)
    Matrix([[W0, W1]])
    """

    def __init__(self, k: int, d: int) -> None:
        self.k, self.d = k, d

    def matrix(self, name: str, height: int, width: int) -> sympy.Matrix:
        """Return a matrix of real symbols."""
        return sympy.Matrix(height, width, sympy.symbols(f"{name}:{height * width}", real=True))

    def unit(self, name: str, size: int) -> sympy.Matrix:
        """Return a unit column by stereographic projection, which reaches all of the sphere but one point."""
        free = sympy.symbols(f"{name}:{size - 1}", real=True)
        square = sum(t**2 for t in free)
        return sympy.Matrix([2 * t / (1 + square) for t in free] + [(1 - square) / (1 + square)])

    def orthogonal(self, name: str, size: int) -> sympy.Matrix:
        """Return (I − S)(I + S)⁻¹ with S skew-symmetric (Cayley): every rotation without the eigenvalue −1."""
        S = sympy.zeros(size, size)
        for i in range(size):
            for j in range(i):
                S[i, j] = sympy.Symbol(f"{name}{i}{j}", real=True)
                S[j, i] = -S[i, j]
        unit = sympy.eye(size)
        return ((unit - S) @ (unit + S).inv()).applyfunc(sympy.cancel)

    def positive(self, name: str) -> sympy.Symbol:
        """Return a positive symbol."""
        return sympy.Symbol(name, positive=True)


class Numbers:
    """The world of numbers: float64 tensors from a seeded generator.

    Parameters
    ----------
    k, d : int
        Size of the encoder.
    seed : int
        Of the generator; the same seed gives the same matrices.

    Examples
    --------
    >>> Numbers(1, 2, seed=0).unit("δ", 2).norm()
    """

    def __init__(self, k: int, d: int, seed: int) -> None:
        self.k, self.d = k, d
        self.generator = torch.Generator().manual_seed(seed)

    def _normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def matrix(self, name: str, height: int, width: int) -> torch.Tensor:
        """Return a matrix of standard normal entries."""
        return self._normal(height, width)

    def unit(self, name: str, size: int) -> torch.Tensor:
        """Return a column with a uniformly distributed direction."""
        column = self._normal(size, 1)
        return column / column.norm()

    def orthogonal(self, name: str, size: int) -> torch.Tensor:
        """Return an orthogonal matrix, rotation or reflection."""
        return torch.linalg.qr(self._normal(size, size)).Q

    def positive(self, name: str) -> torch.Tensor:
        """Return a number between 0.3 and 1.7: sizes at which no term of a formula is negligible."""
        return 0.3 + 1.4 * torch.rand((), generator=self.generator, dtype=torch.float64)
