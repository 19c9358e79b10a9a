"""Exact algebra on rules of one's own: what it may not take for granted."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from problems import problem

import faflow as ff
from faflow import laws
from faflow.activations import sign_of
from faflow.nets import forward
from faflow.rules import outgoing


def rule(kind):
    return dataclass(frozen=True, eq=False)(kind)


@rule
class Scaled(ff.FA):
    """The first layer's speed depends on the size of the feedback."""

    def velocity(self, task, w):
        V = super().velocity(task, w)
        return V[0] * (self.B[0].T @ self.B[0]).trace(), V[1]


@rule
class Sized(ff.FA):
    """The first layer's speed depends on its weights."""

    def velocity(self, task, w):
        V = super().velocity(task, w)
        return V[0] * (w[0] * w[0]).sum(), V[1]


@pytest.mark.parametrize("algebra", ["flint", "sympy"])
def test_an_entry_is_a_number_for_matrices(algebra):
    """NumPy would take a polynomial of flint's for a list of its terms."""
    given = {"sizes": (1, 2, 1), "feedback": "given", "algebra": algebra}
    B = (np.array([[1], [2]]),)
    assert not ff.prove(lambda r, w: w[0], Scaled(B), **given)
    across = lambda r, w: np.array([[2, -1]], dtype=object) @ w[0]
    along = lambda r, w: np.array([[1, 5]], dtype=object) @ w[0]
    for kind in (Scaled, Sized):
        assert ff.prove(across, kind(B), **given)
        assert not ff.prove(along, kind(B), **given)


def test_a_velocity_of_another_shape_is_refused():
    @rule
    class Flat(ff.FA):
        def velocity(self, task, w):
            V = super().velocity(task, w)
            return V[0].T, V[1]

    @rule
    class Short(ff.FA):
        def velocity(self, task, w):
            return super().velocity(task, w)[:1]

    @rule
    class Empty(ff.FA):
        def velocity(self, task, w):
            pass

    says = r"Flat must give layer 0 a velocity of shape \(3, 2\), not \(2, 3\)"
    for ask in (
        lambda: ff.prove(laws.feedback_balance, Flat, sizes=(2, 3, 2)),
        lambda: ff.discover(Flat, (2, 3, 2)),
        lambda: ff.certify(Flat, (2, 3, 2), []),
        lambda: ff.integrate(*problem(Flat, sizes=(2, 3, 2)), [0, 1]),
    ):
        with pytest.raises(ValueError, match=says):
            ask()
    with pytest.raises(ValueError, match="gives None"):
        ff.prove(laws.feedback_balance, Empty)
    with pytest.raises(ValueError, match="Short must give 2 velocities, but gives 1"):
        ff.prove(laws.feedback_balance, Short)


@rule
class Targets(ff.DFA):
    """Direct random target projection (Frenkel, Lefebvre & Bol 2021), two layers."""

    def velocity(self, task, w):
        _, inputs, f = forward(task, w)
        error = task.loss.error(f, task.Y)
        return (self.B[0] @ task.Y) @ inputs[0].T, error @ inputs[1].T


def test_targets_are_not_the_error():
    for loss in ("any", "squared"):
        assert not ff.prove(laws.feedback_balance, Targets, loss=loss)
        assert not ff.prove(laws.feedback_balance, Targets, loss=loss, sizes=(2, 3, 2))
    assert len(ff.discover(Targets)) == len(ff.discover(Targets, (2, 3, 2))) == 0
    certificate = ff.certify(Targets, (2, 3, 2))
    assert (certificate.law_rank, certificate.at_most) == (0, 2)
    with pytest.raises(ValueError, match="The law feedback_balance is NOT kept"):
        ff.certify(Targets, (2, 3, 2), [laws.feedback_balance])


@rule
class TwoErrors(ff.FA):
    """The hidden layer is told of the error that would be left after a step of the output."""

    def velocity(self, task, w):
        _, inputs, f = forward(task, w)
        error = task.loss.error(f, task.Y)
        left = task.loss.error(f + error, task.Y)
        return (self.B[0] @ left) @ inputs[0].T, error @ inputs[1].T


@rule
class Differences(ff.FA):
    """Difference target propagation (Lee et al. 2015), two layers."""

    def velocity(self, task, w):
        hidden, inputs, f = forward(task, w)
        error, phi = task.loss.error(f, task.Y), task.activation(0)
        moved = phi.f(hidden[0] + self.B[0] @ error) - phi.f(hidden[0])
        return moved @ inputs[0].T, error @ inputs[1].T


@pytest.mark.parametrize(
    ("kind", "law", "activation", "says"),
    [
        (TwoErrors, laws.feedback_balance, "linear", "error is evaluated at two points"),
        (Differences, laws.neuron_feedback_balance, "relu", "of layer 1 is evaluated at two"),
    ],
    ids=["errors", "slopes"],
)
def test_a_function_known_at_one_point_is_not_asked_at_two(kind, law, activation, says):
    for ask in (
        lambda: ff.prove(law, kind, activation=activation),
        lambda: ff.prove(law, kind, activation=activation, sizes=(2, 3, 2)),
        lambda: ff.discover(kind, activation=activation),
        lambda: ff.discover(kind, (2, 2, 2), activation=activation),
        lambda: ff.certify(kind, (2, 3, 2), activation=activation),
        lambda: ff.certify(kind, (2, 3, 2), [], activation=activation),
    ):
        with pytest.raises(ValueError, match=says):
            ask()


def test_what_is_refused_for_any_function_is_decided_for_a_known_one():
    assert not ff.prove(laws.feedback_balance, TwoErrors, loss="squared")
    told = {"activation": "tanh", "sizes": (2, 2, 1)}
    assert not ff.prove(laws.neuron_feedback_balance, Differences, **told)


@rule
class Together(ff.FA):
    """Samples meet in the second layer, in a term that vanishes for a single one."""

    def velocity(self, task, w):
        V1, V2 = super().velocity(task, w)
        h = task.activation(0).f(w[0] @ task.X)
        E = task.loss.error(w[1] @ h, task.Y)
        both = E @ h.T
        return V1, V2 + both @ (h @ E.T) @ both - (E @ E.T) @ both @ (h @ h.T)


@rule
class Own(ff.FA):
    """Feedback alignment by another name."""


def test_where_samples_do_not_add_up_all_is_for_one_sample():
    relu = {"activation": "relu"}
    assert "2 samples" in ff.prove(laws.feedback_balance, Own, sizes=(2, 2, 1), samples=2).scope
    assert not ff.prove(laws.feedback_balance, Together, sizes=(2, 2, 1), samples=2)
    assert not ff.prove(laws.feedback_balance, Together)
    assert "one sample and activation patterns" in str(ff.certify(Together, (2, 3, 2), **relu))
    assert "one sample," in ff.discover(Together, (2, 2, 1)).scope
    assert ff.discover(Together, **relu).scope.endswith("one sample")


def test_where_samples_add_up_that_is_said():
    said = "all data, as samples add up (2 and 3 tried)"
    assert ff.certify(Own, (2, 3, 2)).data == said
    assert ff.certify(Own, (2, 3, 2), activation="relu", bias=True).data == said
    assert said.replace("all", "any") in ff.discover(Own, (2, 2, 1)).scope
    assert ff.certify(ff.HeavyBall(of=Own(decay=1)), (2, 2, 1)).data == said
    assert ff.certify(ff.FA, (2, 3, 2)).data == "all data"


@rule
class Meeting(ff.FA):
    """Samples meet in a term that vanishes to first order where all weights are zero."""

    def velocity(self, task, w):
        V1, V2 = super().velocity(task, w)
        h = w[0] @ task.X
        E = task.loss.error(w[1] @ h, task.Y)
        A, H = (h @ E.T) @ (E @ h.T), h @ h.T
        return V1 + (A @ H - H @ A) @ w[0], V2


def test_samples_are_tried_at_a_generic_state():
    nothing = (np.zeros((2, 2), int), np.zeros((2, 2), int))
    assert not ff.prove(laws.feedback_balance, Meeting, sizes=(2, 2, 2), samples=2)
    for at in (None, nothing):
        made = ff.certify(Meeting, (2, 2, 2), [laws.feedback_balance], at=at)
        assert made.data == "one sample"


def test_subclasses_of_what_adds_up_need_not_add_up():
    @rule
    class Block(ff.On):
        def velocity(self, task, w):
            V = super().velocity(task, w)
            X, E = task.X, task.loss.error(self.output(task, w), task.Y)
            both = E @ X.T
            return (V[0], V[1] + (E @ E.T) @ both @ (X @ X.T) - both @ (X @ E.T) @ both, *V[2:])

    @rule
    class Pushed(ff.HeavyBall):
        def velocity(self, task, w):
            (V1, V2, *forces), X = super().velocity(task, w), task.X
            E = task.loss.error(self.output(task, w), task.Y)
            both = E @ X.T
            extra = (E @ E.T) @ both @ (X @ X.T) - both @ (X @ E.T) @ both
            return (V1, V2 + extra, *forces)

    @rule
    class Single(ff.FA):
        single = True

        def velocity(self, task, w):
            V1, V2 = super().velocity(task, w)
            h = w[0] @ task.X
            E = task.loss.error(w[1] @ h, task.Y)
            both = E @ h.T
            return V1, V2 + both @ (h @ E.T) @ both - (E @ E.T) @ both @ (h @ h.T)

    block = Block(of=ff.FA(), network=ff.Residual())
    assert "this 1" not in ff.prove(laws.feedback_balance, block, sizes=(2, 2, 2)).scope
    assert "any 1 sample" in ff.prove(laws.feedback_balance, block, sizes=(2, 2, 2)).scope
    assert not ff.prove(laws.feedback_balance, block, sizes=(2, 2, 2), samples=2)
    for one in (block, Pushed(of=ff.FA()), Single):
        assert ff.certify(one, (2, 2, 2)).data == "one sample"
    assert "any 1 sample" in ff.prove(laws.feedback_balance, Single).scope
    assert ff.discover(Single).scope.endswith("one sample")


# Numbers.


@rule
class Through(ff.Rule):
    """The error returns through a matrix of the rule's own, whatever its entries are."""

    C: object = None

    def carry(self, w, k, above, output):
        return self.C @ above


@pytest.mark.parametrize(
    "C",
    [
        np.array([[0.5], [0.25]]),
        np.array([[1], [3]]),
        np.array([[Fraction(1, 3)], [Fraction(2)]]),
        np.array([[0.1], [0.7]]),
        np.array([[3 * 10**7], [10**15]]),
    ],
    ids=["floats", "integers", "Fractions", "rounded floats", "beyond the prime"],
)
def test_arrays_in_a_rule_are_exact_for_certificates(C):
    """The same flow as that of feedback given."""
    given = ff.certify(ff.FA((C,)), (2, 2, 1))
    assert given.complete
    made = ff.certify(Through(C=C), (2, 2, 1))
    assert (made.lie_rank, made.at_most) == (given.lie_rank, given.at_most)
    across = np.array([[C[1, 0], -C[0, 0]]])
    assert ff.certify(Through(C=C), (2, 2, 1), [lambda r, w: across @ w[0]]).law_rank == 2
    with pytest.raises(ValueError, match="is NOT kept"):
        ff.certify(Through(C=C), (2, 2, 1), [lambda r, w: (across + 1) @ w[0]])


def test_masks_of_a_rule_are_exact_for_certificates():
    @rule
    class Masked(ff.FA):
        mask = np.array([[1, 0], [1, 1], [0, 1]])

        def velocity(self, task, w):
            V = super().velocity(task, w)
            return V[0] * self.mask, V[1]

    stands = lambda r, w: w[0] * (1 - r.mask)
    assert ff.certify(Masked, (2, 3, 2), [stands]).law_rank == 2


@rule
class SignsOfFeedback(ff.FA):
    def carry(self, w, k, above, output):
        return sign_of(self.B[k]) @ above


@rule
class SignsOfWeights(ff.GD):
    def carry(self, w, k, above, output):
        return sign_of(outgoing(w, k)).T @ above


def test_residues_have_no_signs_but_those_of_integers_given():
    B = np.array([[3, 7], [2, 11]])
    same = ff.certify(ff.FA((np.ones((2, 2)),)), (2, 2, 2))
    made = ff.certify(SignsOfFeedback((B,)), (2, 2, 2), [])
    assert made.at_most == same.at_most == 4
    for one in (SignsOfFeedback, SignsOfFeedback((B / 100,)), SignsOfWeights):
        with pytest.raises(ValueError, match="residues have no signs"):
            ff.certify(one, (2, 2, 2), [])


@rule
class Smoothed(ff.DFA):
    """The hidden layer is told of the error against smoothed labels."""

    def velocity(self, task, w):
        hidden, inputs, f = forward(task, w)
        error = task.loss.error(f, task.Y)
        told = self.B[0] @ task.loss.error(f, task.Y * Fraction(9, 10))
        return task.activation(0).pull(hidden[0], told) @ inputs[0].T, error @ inputs[1].T


def test_errors_against_two_targets_are_two():
    for ask in (
        lambda: ff.prove(laws.feedback_balance, Smoothed),
        lambda: ff.discover(Smoothed, (2, 2, 2)),
        lambda: ff.certify(Smoothed, (2, 3, 2), activation="relu"),
    ):
        with pytest.raises(ValueError, match="The error is evaluated at two points"):
            ask()
    assert not ff.prove(laws.feedback_balance, Smoothed, loss="squared")


@rule
class Half(ff.FA):
    """The first layer learns at half the rate, said as a float."""

    def velocity(self, task, w):
        V = super().velocity(task, w)
        return 0.5 * V[0], V[1]


def test_floats_are_their_binary_values_in_every_algebra():
    law = lambda r, w: 2 * w[0] @ w[0].T - r.B[0] @ w[1] - (r.B[0] @ w[1]).T
    for sizes in (None, (2, 3, 2)):
        assert ff.prove(law, Half, sizes=sizes)
        assert not ff.prove(laws.feedback_balance, Half, sizes=sizes)
    exact = ff.FA(rates=(Fraction(1, 2), 1))
    found = [[law.terms for law in ff.discover(kind, (2, 3, 2))] for kind in (Half, exact)]
    assert found[0] == found[1]
    assert ff.certify(Half, (2, 3, 2)).law_rank == ff.certify(exact, (2, 3, 2)).law_rank == 7


@rule
class Almost(ff.GD):
    """Gradient descent but for a number that floats beside 1 do not see."""

    def carry(self, w, k, above, output):
        g = outgoing(w, k).T @ above
        return 1.0 * g + 1e-17 * g


def test_no_number_is_rounded_away():
    assert not ff.prove(laws.balance, Almost)
    assert not ff.prove(laws.balance, Almost, sizes=(2, 2, 1))
    for options in ({"algebra": "sympy"}, {"activation": "tanh", "loss": "squared"}):
        assert not ff.prove(laws.balance, Almost, sizes=(2, 2, 1), **options)


@pytest.mark.parametrize("number", [1 + 2**-52, 1 / 3, 0.1])
def test_numbers_that_cancel_but_for_rounding_do_not_cancel(number):
    @rule
    class Mirror(ff.KolenPollack):
        def velocity(self, task, w):
            V = super().velocity(task, w)
            return (*V[:2], number * V[2])

    exactly = Fraction(number)
    law = lambda r, w: exactly * w[1] - w[2].T
    rounded = lambda r, w: w[1] - round(1 / number) * w[2].T
    for activation in ("linear", "relu", "tanh"):
        told = {"sizes": (1, 1, 1), "activation": activation}
        assert ff.prove(law, Mirror, **told)
        assert not ff.prove(rounded, Mirror, **told)


@pytest.mark.parametrize("scale", [0.7, 1 / 3])
def test_the_scale_of_the_output_is_exact_in_proofs_for_given_data(scale):
    task = ff.Task([[0.1, 0.7], [0.2, -0.3]], [[0.3, 0.9]], output_scale=scale)
    assert ff.prove(laws.balance, ff.GD, sizes=(2, 2, 1), task=task)
    assert ff.prove(laws.feedback_balance, ff.FA, sizes=(2, 2, 1), task=task)


def test_patterns_of_given_data_are_not_proved():
    task = ff.Task([[0.1]], [[0.3]], phi="relu")
    with pytest.raises(ValueError, match="given data needs a smooth activation"):
        ff.prove(laws.neuron_balance, ff.GD, sizes=(1, 2, 1), task=task)


@rule
class Magnitudes(ff.GD):
    """The feedback is √(W²) = |W|, which is W for polynomials only."""

    def carry(self, w, k, above, output):
        W = outgoing(w, k)
        return np.sqrt(W * W).T @ above


def test_a_root_is_no_polynomial():
    with pytest.raises(ValueError, match="sqrt"):
        ff.prove(laws.balance, Magnitudes, sizes=(2, 2, 1), algebra="flint")
    with pytest.raises(ValueError, match="no polynomials"):
        ff.discover(Magnitudes, (2, 2, 1))


def test_quotients_are_decided_by_sympy():
    @rule
    class Normed(ff.FA):
        def velocity(self, task, w):
            size = 1 + (w[0] * w[0]).sum()
            return tuple(V / size for V in super().velocity(task, w))

    assert ff.prove(laws.feedback_balance, Normed, sizes=(2, 2, 1))
    assert not ff.prove(laws.balance, Normed, sizes=(2, 2, 1))


def test_integers_of_numpy_are_numbers():
    made = ff.GD(rates=np.array([3, 2]), decay=np.int64(1))
    plain = ff.GD(rates=(3, 2), decay=1)
    assert str(ff.discover(made)) == str(ff.discover(plain))
    assert str(ff.discover(made, (2, 2, 2))) == str(ff.discover(plain, (2, 2, 2)))
    assert ff.certify(made, (2, 2, 2)).law_rank == ff.certify(plain, (2, 2, 2)).law_rank
    assert ff.certify(ff.HeavyBall(friction=np.int64(1)), (2, 2, 2)).complete


# What is searched.


@rule
class Toward(ff.FA):
    """Weight decay towards the feedback: its laws have terms that stand still."""

    def velocity(self, task, w):
        V = super().velocity(task, w)
        return V[0] - w[0], V[1] - 2 * (w[1] - self.B[0].T)


def test_terms_that_stand_still_count_where_laws_grow():
    def law(r, w):
        carried = r.B[0] @ (w[1] - r.B[0].T)
        return w[0] @ w[0].T - carried - carried.T

    assert ff.prove(law, Toward, rate=lambda r, w: -2 * law(r, w))
    words = ff.discover(Toward)
    assert [str(x) for x in words] == [
        "exp(t) (N1' W1), where N1' B2 = 0",
        "exp(2 t) (2 B2 B2' + W1 W1' - B2 W2 - W2' B2')",
    ]
    found = ff.discover(Toward, (1, 1, 1))
    assert (found.total, found.independent, found[0].growth) == (1, 1, 2)
    B = Toward((np.array([[3]]),))
    (numeric,) = ff.discover(B, (1, 1, 1), feedback="numeric")
    assert numeric.polynomial() == "18 + W1[1,1]^2 - 6 W2[1,1]"
    assert numeric(B, (np.array([[2.0]]), np.array([[5.0]]))) == 18 + 4 - 30
    assert ff.certify(Toward, (1, 2, 1)).complete


def test_rules_that_words_cannot_say_have_their_quadratic_laws_counted():
    @rule
    class Squares(ff.FA):
        def velocity(self, task, w):
            V = super().velocity(task, w)
            return V[0], V[1] * V[1]

    certificate = ff.certify(Squares, (2, 2, 1))
    assert (certificate.law_rank, certificate.complete) == (2, True)


def test_layers_may_be_frozen():
    zero = ff.discover(ff.FA(rates=(1, 0)), (2, 3, 2))
    assert [str(law) for law in zero][:2] == ["(W2)[1,1]", "(W2)[1,2]"]
    assert len(ff.discover(ff.FA(rates=(1, 0)))) == 2  # N1'W1 and W2
    assert ff.certify(ff.FA(rates=(1, 0)), (2, 3, 2)).complete


def test_growths_of_both_signs_may_have_constants():
    @rule
    class Apart(ff.FA):
        def velocity(self, task, w):
            V = super().velocity(task, w)
            return V[0] * 0 - (w[0] - self.B[0]), V[1] * 0 + (w[1] - self.B[0].T)

    found = ff.discover(Apart, (1, 1, 1))
    assert sorted(law.growth for law in found) == [-1, 1]
    assert ff.certify(Apart, (1, 1, 1)).law_rank == 2


def test_what_a_class_says_is_not_remembered():
    @rule
    class Tuned(ff.FA):
        gain = 1

        def velocity(self, task, w):
            V = super().velocity(task, w)
            return V[0] * self.gain, V[1]

    for Tuned.gain in (1, 2):
        assert ff.certify(Tuned, (2, 3, 2)).law_rank == 7


def test_options_may_be_arrays():
    @dataclass(frozen=True, eq=False)
    class Gained(ff.FA):
        gain: object = None

        def velocity(self, task, w):
            V = super().velocity(task, w)
            return V[0] * int(self.gain[0]), V[1]

    certificate = ff.certify(Gained(gain=np.array([2, 1])), (2, 3, 2))
    assert certificate.law_rank == 7
    assert "Gained with gain [2 1] on 2-3-2" in str(certificate)


def test_laws_from_a_generator_are_proved_as_well():
    with pytest.raises(ValueError, match="The law balance is NOT kept"):
        ff.certify(ff.FA, (2, 3, 2), laws=(law for law in [laws.balance]))


# What is said.


def test_irrational_growths_are_said_not_to_be_searched():
    made = ff.HeavyBall(of=ff.FA(decay=1), friction=3)
    for found in (ff.discover(made), ff.discover(made, (1, 2, 1))):
        assert found.scope.endswith("up to e^{ct} with rational c")
    assert not ff.certify(made, (1, 2, 1)).complete


def test_slopes_of_homogeneous_activations_are_said_to_be_arbitrary():
    power = {"activation": "relu_power(2)"}
    assert "all data and slopes" in str(ff.certify(ff.FA, (1, 3, 1), **power))
    assert "any data and slopes" in ff.discover(ff.FA, (1, 2, 1), **power).scope
    law = lambda r, w: laws.neuron_feedback_balance(r, w, degree=2)
    assert "any data and slopes" in ff.prove(law, ff.FA, **power).scope


def test_signs_are_said_to_last():
    for bias in (False, True):
        found = ff.discover(ff.SignFA, bias=bias)
        assert "while no weight changes its sign; S2 = sign(W2" in found.scope
        assert len(found) == 2 + bias
        assert ff.certify(ff.SignFA, (2, 3, 2), bias=bias).complete
    assert "sign" not in ff.discover(ff.FA).scope


# What matrices without entries refuse.


def carrying(carry):
    """A rule that brings the error back so."""

    @rule
    class Carrying(ff.FA):
        def carry(self, w, k, above, output):
            return carry(self.B[k], above)

    return Carrying


@pytest.mark.parametrize(
    "carry",
    [
        lambda B, above: B @ np.flip(above),
        lambda B, above: B @ (2 * above - np.mean(above)),
        lambda B, above: B @ above / np.size(above),
        lambda B, above: np.dot(B, above),
        lambda B, above: B @ (above * np.nansum(above)),
        lambda B, above: B @ above * (B != 0),
        lambda B, above: B @ above * int(np.ndim(above)),
    ],
    ids=["flip", "mean", "size", "dot", "nansum", "mask", "ndim"],
)
def test_functions_and_comparisons_are_not_taken_for_something_else(carry):
    kind = carrying(carry)
    for ask in (
        lambda: ff.prove(laws.feedback_balance, kind),
        lambda: ff.discover(kind),
        lambda: ff.certify(kind, (2, 2, 2)),
        lambda: ff.certify(kind, (2, 2, 2), []),
    ):
        with pytest.raises(ValueError, match=r"has no|no array|evaluate|polynomials|rational"):
            ask()


@pytest.mark.parametrize("algebra", ["flint", "sympy"])
def test_functions_of_numpy_on_entries_are_right(algebra):
    """Of arrays with entries they are what they are of numbers."""
    given = {"sizes": (2, 2, 2), "algebra": algebra}
    turned = carrying(lambda B, above: B @ above[::-1])
    assert not ff.prove(laws.feedback_balance, turned, **given)
    assert ff.prove(laws.feedback_balance, carrying(lambda B, e: np.dot(B, e)), **given)


@pytest.mark.parametrize(
    "law",
    [
        lambda r, w: np.dot(w[0], w[0].T) - np.dot(w[1].T, w[1]),
        lambda r, w: np.mean(w[0] * w[0]) - np.mean(w[1] * w[1]),
        lambda r, w: laws.balance(r, w) + w[0] @ w[0].T - np.mean(w[0] @ w[0].T),
        lambda r, w: laws.balance(r, w) + w[0] @ w[0].T - np.flip(w[0] @ w[0].T),
    ],
    ids=["dot", "mean", "less its mean", "less its mirror image"],
)
def test_laws_take_no_functions_of_numpy(law):
    for ask in (
        lambda: ff.prove(law, ff.GD, sizes=(2, 2, 2)),
        lambda: ff.prove(law, ff.GD),
        lambda: ff.certify(ff.GD, (2, 2, 2), [law]),
    ):
        with pytest.raises(ValueError, match=r"of NumPy's|no array|elementwise"):
            ask()


@rule
class InPlace(ff.FA):
    def velocity(self, task, w):
        _, inputs, f = forward(task, w)
        error = task.loss.error(f, task.Y)
        told = error
        told *= 2
        return (self.B[0] @ told) @ inputs[0].T, error @ inputs[1].T


def test_nothing_is_changed_in_place():
    def law(r, w):
        S = w[0] @ w[0].T
        U = S
        U -= w[1].T @ w[1]
        return S

    for ask in (
        lambda: ff.prove(laws.feedback_balance, InPlace),
        lambda: ff.prove(laws.feedback_balance, InPlace, sizes=(2, 2, 2)),
        lambda: ff.certify(InPlace, (2, 2, 2), []),
        lambda: ff.prove(law, ff.GD),
        lambda: ff.prove(law, ff.GD, sizes=(2, 2, 2)),
    ):
        with pytest.raises(ValueError, match="in place"):
            ask()


def test_rules_by_chance_are_noticed():
    rng = np.random.default_rng(0)

    @rule
    class Chance(ff.FA):
        def velocity(self, task, w):
            V = super().velocity(task, w)
            return V[0] * int(rng.integers(1, 10**6)), V[1]

    for ask in (
        lambda: ff.prove(laws.feedback_balance, Chance),
        lambda: ff.prove(laws.feedback_balance, Chance, sizes=(2, 2, 2)),
        lambda: ff.discover(Chance, (2, 2, 2)),
        lambda: ff.certify(Chance, (2, 2, 2), []),
    ):
        with pytest.raises(ValueError, match="gives other velocities for the same state"):
            ask()


@pytest.mark.parametrize("algebra", ["flint", "sympy"])
def test_zero_is_no_law_however_it_is_written(algebra):
    nothing = lambda r, w: (w[0] + w[0]) @ w[0].T - 2 * (w[0] @ w[0].T)
    with pytest.raises(ValueError, match="is zero or does not depend"):
        ff.prove(nothing, ff.GD, sizes=(2, 2, 2), algebra=algebra)


def test_relations_of_all_data_go_with_words_of_all_data():
    white = {"relations": ["X X' = I"]}
    assert ff.prove(laws.feedback_balance, ff.FA, **white)
    with pytest.raises(ValueError, match="is about all samples, but these words see one"):
        ff.prove(laws.neuron_feedback_balance, ff.FA, activation="relu", **white)
