"""Claims 6 and 7 and Corollary 3: the influence of a group of examples."""

import sympy
import torch

from influence_lib.theory.algebra import Matrix, Scalar, inverse, norm2, ones
from influence_lib.theory.setting import EPS, dataset_influence, own_influence
from influence_lib.theory.statement import Claims, Formula, Formulas, Statement, at_most, differ, equal
from influence_lib.theory.theorem1 import unit_columns
from influence_lib.theory.worlds import Symbols, World

__all__ = ["STATEMENTS", "remainder"]


def printed_group(W: Matrix, D: Matrix, eps: Scalar) -> Scalar:
    """Return −2ε²‖Σ Wδ_i‖², which Claim 6 takes for the influence of a group."""
    return -2 * eps**2 * norm2(W @ D @ ones(D.shape[1], D))


def remainder(products: Matrix, eps: Scalar) -> Scalar:
    """Return −4ε² Σ_{i<j} of the entries of a symmetric matrix of products: Claim 6's R(S) for (Wδ_i)ᵀ(Wδ_j)."""
    return -4 * eps**2 * sum(products[i, j] for j in range(products.shape[0]) for i in range(j))


def _claim6(f: Formulas, s: World) -> Claims:
    W, D, eps = s.matrix("W", s.k, s.d), unit_columns(s, 2), s.positive("eps")
    yield equal("two examples, Hessian of the subset", f.group(W, D, eps), own_influence(W, D, eps))


def _claim6_numbers(f: Formulas, s: World) -> Claims:
    W, D, eps = s.matrix("W", s.k, s.d), unit_columns(s, s.d + 2), s.positive("eps")
    yield equal("more examples than dimensions", f.group(W, D, eps), own_influence(W, D, eps))
    flipped = D * torch.where(torch.arange(D.shape[1]) % 2 == 0, 1.0, -1.0).double()
    yield equal("δ → −δ changes no loss", norm2(W @ flipped), norm2(W @ D))
    yield equal("δ → −δ changes no influence", f.group(W, flipped, eps), own_influence(W, D, eps))


def _claim6_ones(f: Formulas) -> Claims:
    W = sympy.Matrix([1])
    for name, D in ((r"\delta_1 = \delta_2 = 1", [[1, 1]]), (r"\delta_1 = 1, \delta_2 = -1", [[1, -1]])):
        columns = sympy.Matrix(D)
        yield equal(
            rf"$k = d = 1$, $W = 1$, ${name}$: influence of both",
            f.group(W, columns, EPS),
            own_influence(W, columns, EPS),
        )


CLAIM6 = Statement(
    id="claim6",
    title="Claim 6, the influence of a group",
    place="appendix C.2",
    verdict="definition",
    line="no Hessian gives the formula, which changes with the sign of δ when no loss does",
    says=r"""With the total loss $\sum_i \varepsilon^2 \lVert W\delta_i \rVert^2$ the influence of a subset $S$ is
$I(S) = -2\varepsilon^2 \lVert \sum_{i \in S} W\delta_i \rVert^2 = \sum_{i \in S} I(x_i) + R(S)$ with
$R(S) = -4\varepsilon^2 \sum_{i < j \in S} (W\delta_i)^\top (W\delta_j)$.""",
    meant="""That groups of aligned examples act together. They do, through the Hessian of the data set; the proof
writes the first equality down without deriving it.""",
    found=r"""The second equality is algebra. The first is a definition: it does not follow from Eq. 4 or 6.
Replacing a $\delta_i$ by $-\delta_i$ leaves every loss, gradient and Hessian as it is, so it leaves every influence
that is made of them; it changes the printed $I(S)$, from $-8\varepsilon^2$ to $0$ in the smallest example. What Eq.
4 gives for the loss of the group, $g_S = 2\varepsilon^2 W M_S$ with $M_S = \sum_{i \in S} \delta_i\delta_i^\top$:

- with the Hessian of the *subset's* loss: $I(S) = -2\varepsilon^2 \sum_{i \in S} \lVert W\delta_i \rVert^2$.
  Influences add, $R(S) = 0$;
- with the Hessian of the *data set* (sum of losses, $M = \sum_j \delta_j \delta_j^\top$):
  $I(S) = -2\varepsilon^2 \sum_{i, j \in S} (\delta_i^\top M^{+} \delta_j)\, (W\delta_i)^\top (W\delta_j)$, so that
  $R(S) = -4\varepsilon^2 \sum_{i<j} (\delta_i^\top M^{+} \delta_j)\, (W\delta_i)^\top (W\delta_j)$.

{prf:ref}`ext_group` has both with damping. The printed formula is the second with every
$\delta_i^\top M^{+} \delta_j$ set to 1, which no data set of more than one example has. In $R(S)$ the single
influences are those on the same Hessian.""",
    proof=r"""$H_S = I_k \otimes 2\varepsilon^2 M_S$ and $g_S = 2\varepsilon^2 W M_S$ give
$g_S^\top H_S^{+} g_S = 2\varepsilon^2 \operatorname{tr}(W M_S M_S^{+} M_S W^\top) = 2\varepsilon^2
\operatorname{tr}(W M_S W^\top)$.
The matrix $(\delta_i^\top M^{+} \delta_j)_{ij}$ is an orthogonal projection, in which a diagonal entry 1 has only
zeros beside it.""",
    rests="""The proof covers all k, d and S; SymPy confirms the subset's Hessian for two examples, numbers for more
examples than dimensions; the data set's Hessian is checked with {prf:ref}`ext_group`.""",
    formulas={
        "group": Formula(holds=lambda W, D, eps: -2 * eps**2 * norm2(W @ D), printed=printed_group),
    },
    claims=_claim6,
    numeric=_claim6_numbers,
    counterexample=_claim6_ones,
    sizes=((1, 2),),
)


def _cor3(f: Formulas, s: World) -> Claims:
    W, D, eps = s.matrix("W", s.k, s.d), unit_columns(s, 3), s.positive("eps")
    image = W @ D
    # the remainder is what the printed I(S) has beyond the sum of the influences …
    difference = printed_group(W, D, eps) + 2 * eps**2 * norm2(image)
    yield equal("R(S) is the difference", f.remainder(image.T @ image, eps), difference)
    # … and vanishes where the images are orthogonal
    frame = s.orthogonal("q", s.d) * s.positive("length")
    none = f.remainder(frame.T @ frame, eps)
    yield equal("orthogonal images: R(S) = 0", none, 0 * none, scale=1)


def _cor3_converse(f: Formulas) -> Claims:
    # W = I and the unit vectors e₁, e₂, (1, −1)/√2
    D = sympy.Matrix([[1, 0, 1 / sympy.sqrt(2)], [0, 1, -1 / sympy.sqrt(2)]])
    yield equal("no converse: R(S) = 0 for e₁, e₂, (1, −1)/√2", f.remainder(D.T @ D, EPS), sympy.Integer(0))
    yield differ("though they are not orthogonal", (D.T @ D)[0, 2], sympy.Integer(0))


def _cor3_dataset(f: Formulas, s: World) -> Claims:
    D, eps, damping = s.matrix("D", s.d, s.d + 2), s.positive("eps"), s.positive("lambda")
    subset = D[:, : s.d]
    W = s.orthogonal("q", s.d) @ inverse(subset)  # maps the first d directions to an orthonormal frame
    single = sum(dataset_influence(W, D[:, i : i + 1], D, eps, damping) for i in range(s.d))
    group = dataset_influence(W, subset, D, eps, damping)
    yield equal("orthogonal images, Hessian of the data set: influences add", group, single)


COR3 = Statement(
    id="cor3",
    title="Corollary 3, orthogonal examples",
    place="appendix C.2",
    verdict="holds",
    line="right for the printed I(S) and, undamped, for the derived ones; the converse is false from three examples on",
    says=r"If the $W\delta_i$, $i \in S$, are mutually orthogonal, then $I(S) = \sum_{i \in S} I(x_i)$.",
    found=r"""Right for the printed $I(S)$, and without damping also for the derived ones of {prf:ref}`claim6`: with
the subset's Hessian no orthogonality is needed, with the data set's it suffices (there with damping too). The
converse, for the printed $I(S)$, holds for two examples and fails for three: with $W = I$ and
$\delta = e_1, e_2, (1, -1)/\sqrt2$ the products $0,\ 1/\sqrt2,\ -1/\sqrt2$ add up to 0.""",
    proof=r"Each term of $R(S)$ has a factor $(W\delta_i)^\top (W\delta_j) = 0$.",
    rests="""The proof covers all k, d and S; SymPy confirms it for three examples, numbers under the data set's
Hessian.""",
    formulas={"remainder": Formula(remainder)},
    claims=_cor3,
    symbolic=_cor3_converse,
    numeric=_cor3_dataset,
    sizes=((1, 2), (2, 2)),
)

SIZE = 4  # of the groups that are checked


def _claim7(f: Formulas, s: World) -> Claims:
    """Take the extreme case: copies of the one direction that W stretches most."""
    sigma, eps = s.positive("sigma"), s.positive("eps")
    W, delta = _stretching(s, sigma)
    for size in (2, 3, SIZE):
        D = delta @ ones(size, delta).T
        image = W @ D
        products = image.T @ image
        yield equal(f"{size} copies: |R(S)| is the bound", -remainder(products, eps), f.bound(size, sigma**2, eps))
        hat = ones(size, delta) @ ones(size, delta).T / size  # δ_iᵀM⁺δ_j for that many copies
        derived = -remainder(_entrywise(hat, products), eps)
        yield equal(f"{size} copies: the derived |R(S)| is its bound", derived, f.derived(size, sigma**2, eps))


def _stretching(s: World, sigma: Scalar) -> tuple[Matrix, Matrix]:
    """Return W with the largest singular value σ, and the direction that it stretches by σ."""
    if isinstance(s, Symbols):
        shrink = 1 / (1 + s.positive("r"))
        return sympy.diag(sigma, sigma * shrink), sympy.Matrix([1, 0])
    U, S, V = torch.linalg.svd(s.matrix("W", s.k, s.d), full_matrices=False)
    return U @ torch.diag(S / S[0] * sigma) @ V, V[:1].T


def _entrywise(A: Matrix, B: Matrix) -> Matrix:
    return A * B if isinstance(A, torch.Tensor) else A.multiply_elementwise(B)


def _claim7_numbers(f: Formulas, s: World) -> Claims:
    W, eps = s.matrix("W", s.k, s.d), s.positive("eps")
    square = torch.linalg.matrix_norm(W, 2) ** 2
    for extra in (0, 1, s.d):
        D = unit_columns(s, SIZE + extra)
        image = W @ D[:, :SIZE]
        products = image.T @ image
        yield at_most("random S", remainder(products, eps).abs(), f.bound(SIZE, square, eps))
        hat = (D.T @ torch.linalg.pinv(D @ D.T, hermitian=True) @ D)[:SIZE, :SIZE]
        yield at_most("random S, derived remainder", remainder(hat * products, eps).abs(), f.derived(SIZE, square, eps))


def _claim7_long(f: Formulas) -> Claims:
    products = sympy.Matrix([[4, 4], [4, 4]])
    yield at_most(
        r"$k = d = 1$, $W = 1$, $\delta_1 = \delta_2 = 2$: $\vert R(S) \vert$",
        -remainder(products, EPS),
        f.bound(2, 1, EPS),
    )


CLAIM7 = Statement(
    id="claim7",
    title="Claim 7, the interaction bound",
    place="appendix C.2",
    verdict="holds_with_assumptions",
    line="right and attained for unit δ; the derived remainder, on the sum of losses, obeys |S| − 1 for |S|(|S| − 1)",
    says=r"""For every $S$:
$\lvert R(S) \rvert \le 2\varepsilon^2 \lvert S \rvert (\lvert S \rvert - 1)\, \sigma_{max}(W)^2$.""",
    meant=r"""Unit perturbations, as in Definition 3. The neighbouring claims carry $\lVert\delta\rVert^2$ along,
and this one does not.""",
    found=r"""**Assumption: $\lVert\delta_i\rVert \le 1$.** Then the bound on the printed $R(S)$ is right, and
attained by copies of the direction that $W$ stretches most. The remainder that follows from the definition, with
the Hessian of Claim 6's *sum* of losses over the data set ({prf:ref}`claim6`), obeys a bound without the square:

$$\lvert R(S) \rvert \le 2\varepsilon^2\, (\lvert S \rvert - 1)\, \sigma_{max}(W)^2 ,$$

for any lengths of $\delta_i$ with $\lVert W\delta_i \rVert \le \sigma_{max}(W)$, attained by $\lvert S \rvert$
copies which are the whole data set. Both sides are absolute: the scores of the single examples shrink on this
Hessian too, and relative to their sum $\lvert S \rvert$ copies still give $\lvert S \rvert - 1$. With the mean of
Eq. 1 there is a factor $n$ ({prf:ref}`ext_group`).""",
    proof=r"""Printed: Cauchy–Schwarz for each of the $\lvert S \rvert (\lvert S \rvert - 1) / 2$ pairs. Derived:
let $m = \lvert S \rvert$, $P_{ij} = \delta_i^\top M^{+} \delta_j$ and $K_{ij} = (W\delta_i)^\top (W\delta_j)$ for
$i, j \in S$. $P$ is a block of a projection, so $0 \preceq P \preceq I$; $K \succeq 0$ and $K_{ii} \le \sigma^2$.
Let $q = \sum_{i \ne j} P_{ij} K_{ij} = \operatorname{tr}(PK) - \sum_i P_{ii} K_{ii}$. If
$\operatorname{tr} P \ge 1$, then $\operatorname{tr}(PK) \le \operatorname{tr} K$ gives
$q \le \sum_i (1 - P_{ii}) K_{ii} \le (m - \operatorname{tr} P)\, \sigma^2 \le (m - 1)\, \sigma^2$. If
$\operatorname{tr} P < 1$, then $\lvert P_{ij} \rvert \le \sqrt{P_{ii} P_{jj}}$ gives
$q \le \sigma^2 \sum_{i \ne j} \sqrt{P_{ii} P_{jj}} \le (m - 1) \operatorname{tr} P\, \sigma^2 \le (m - 1)\, \sigma^2$.
The same for $I - P$ in the place of $P$ bounds $-q$. Finally $\lvert R \rvert = 2\varepsilon^2 \lvert q \rvert$.""",
    rests="""The proofs cover all k, d and S; SymPy confirms that both bounds are attained for up to 4 copies,
numbers that they are not exceeded.""",
    formulas={
        "bound": Formula(lambda size, square, eps: 2 * eps**2 * size * (size - 1) * square, bound="upper"),
        "derived": Formula(lambda size, square, eps: 2 * eps**2 * (size - 1) * square, bound="upper"),
    },
    claims=_claim7,
    numeric=_claim7_numbers,
    counterexample=_claim7_long,
    sizes=((2, 2),),
)

STATEMENTS = (CLAIM6, COR3, CLAIM7)
