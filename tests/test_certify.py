import itertools
import json
import re
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

import faflow as ff
from faflow import laws, nets

SHAPES = [
    s
    for layers, widest in ((3, 5), (4, 4), (5, 3))
    for s in itertools.product(range(1, widest + 1), repeat=layers)
]


def fa_count(n):
    """Laws of deep linear FA: balances and null spaces, cᵢ = min(nᵢ, c_{i+1})."""
    depth = len(n) - 1
    c = [*n]
    for i in range(depth - 1, 0, -1):
        c[i] = min(n[i], c[i + 1])
    null = sum((n[i] - c[i]) * n[i - 1] for i in range(1, depth))
    return null + sum(n[i] * c[i] - c[i] * (c[i] - 1) // 2 for i in range(1, depth))


def dfa_count(n):
    """Laws of deep linear DFA: null spaces, and balances on the intersections of row spaces."""
    depth, m = len(n) - 1, n[-1]
    c = [0, *(min(k, m) for k in n[1:])]
    total = sum((n[i] - c[i]) * n[i - 1] for i in range(1, depth))
    for i in range(1, depth):
        k = c[i] if i == depth - 1 else max(0, c[i] + c[i + 1] - m)
        total += (n[i] - c[i] + k) * k - k * (k - 1) // 2
    return total


def has_chain(n):
    """Two layers of width one enclosing hidden layers, at least two, all of them wider."""
    ones = [i for i, k in enumerate(n) if k == 1]
    return any(b - a >= 3 for a, b in itertools.pairwise(ones))


@pytest.mark.algebra
@pytest.mark.parametrize(("kind", "count"), [(ff.FA, fa_count), (ff.DFA, dfa_count)])
def test_closed_formulas_count_the_laws_of_every_shape(kind, count):
    """Widths [1..5]³, [1..4]⁴, [1..3]⁵: 624 shapes, each certified complete."""
    wrong = []
    for sizes in SHAPES:
        certificate = ff.certify(kind, sizes)
        if not certificate.complete or certificate.law_rank != count(sizes):
            wrong.append((sizes, certificate.law_rank, certificate.at_most, count(sizes)))
    assert wrong == []


@pytest.mark.algebra
@pytest.mark.parametrize("kind", [ff.GD, ff.KolenPollack])
def test_balances_are_all_laws_but_where_a_chain_moves_along_one_field(kind):
    """On the same shapes; where a chain has more laws, they are counted and proved local ones."""
    incomplete, uncounted = [], []
    for sizes in SHAPES:
        certificate = ff.certify(kind, sizes)
        if not certificate.complete:
            incomplete.append(sizes)
        if certificate.count is None or certificate.count != certificate.at_most:
            uncounted.append(sizes)
    assert incomplete == [s for s in SHAPES if has_chain(s)]
    assert len(incomplete) == 41
    assert uncounted == []


def test_a_chain_of_width_one_has_all_laws_of_a_single_field():
    certificate = ff.certify(ff.GD, (1, 2, 2, 1))
    assert (certificate.dimension, certificate.law_rank, certificate.count) == (8, 6, 7)
    assert not certificate
    assert "only 6 of them listed" in str(certificate)
    assert "between layers of width one, 0 to 3" in str(certificate)


def linear_gd(n, r, m):
    """Marcotte, Gribonval & Peyré (2023), proposition 4.2: UVᵀ with U (n, r), V (m, r)."""
    k = min(n + m, r)
    return k * r - k * (k - 1) // 2


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("r", [2, 4, 7])
@pytest.mark.parametrize("m", [2, 3])
def test_published_counts_of_two_layer_gradient_descent(n, r, m):
    assert ff.certify(ff.GD, (m, r, n)).law_rank == linear_gd(n, r, m)
    relu = ff.certify(ff.GD, (m, r, n), activation="relu")
    assert relu.complete
    assert relu.law_rank == r  # one a hidden neuron
    assert ff.certify(ff.HeavyBall(of=ff.GD()), (m, r, n), activation="relu").count == 0


COUNTS = {  # (rule, sizes, options): the number of independent laws
    "gd 2-3-2": (ff.GD, (2, 3, 2), {}, 6),
    "kp 2-3-2": (ff.KolenPollack, (2, 3, 2), {}, 12),
    "signs 2-3-2": (ff.SignFA, (2, 3, 2), {}, 7),
    "gd 3-3-3-1": (ff.GD, (3, 3, 3, 1), {}, 12),
    "fa 3-3-3-1": (ff.FA, (3, 3, 3, 1), {}, 18),
    "dfa 3-3-3-1": (ff.DFA, (3, 3, 3, 1), {}, 18),
    "kp 2-3-2-2": (ff.KolenPollack, (2, 3, 2, 2), {}, 19),
    "gd, biases": (ff.GD, (2, 3, 2), {"bias": True}, 6),
    "fa, biases": (ff.FA, (2, 3, 2), {"bias": True}, 10),
    "dfa, biases": (ff.DFA, (2, 3, 2), {"bias": True}, 10),
    "kp, biases": (ff.KolenPollack, (2, 3, 2), {"bias": True}, 12),
    "gd, relu": (ff.GD, (2, 3, 2, 2), {"activation": "relu"}, 5),
    "fa, relu": (ff.FA, (2, 3, 2, 2), {"activation": "relu"}, 5),
    "dfa, relu": (ff.DFA, (2, 3, 2, 2), {"activation": "relu"}, 2),
    "signs, relu": (ff.SignFA, (2, 3, 2, 2), {"activation": "relu"}, 5),
    "kp, relu": (ff.KolenPollack, (2, 3, 2, 2), {"activation": "relu"}, 15),
    "deep dfa, relu": (ff.DFA, (2, 2, 2, 2, 1), {"activation": "relu"}, 2),
    "fa, squared relu": (ff.FA, (2, 3, 2), {"activation": "relu_power(2)"}, 3),
    "gd, uniform decay, relu": (ff.GD(decay=1), (2, 3, 2), {"activation": "relu"}, 3),
    "fa, uniform decay, relu": (ff.FA(decay=1), (2, 3, 2), {"activation": "relu"}, 0),
    "kp, uniform decay, relu": (ff.KolenPollack(decay=1), (2, 3, 2), {"activation": "relu"}, 9),
    "gd, doubling decay, relu": (ff.GD(decay=(1, 2)), (2, 3, 2), {"activation": "relu"}, 0),
    "fa, doubling decay, relu": (ff.FA(decay=(1, 2)), (2, 3, 2), {"activation": "relu"}, 3),
    "kp, doubling decay, relu": (
        ff.KolenPollack(decay=(1, 2)),
        (2, 3, 2),
        {"activation": "relu"},
        6,
    ),
    "gd, doubling decay": (ff.GD(decay=(1, 2)), (2, 3, 2), {}, 0),
    "fa, doubling decay": (ff.FA(decay=(1, 2)), (2, 3, 2), {}, 7),
    "kp, doubling decay": (ff.KolenPollack(decay=(1, 2)), (2, 3, 2), {}, 6),
    "fa, deep doubling decay": (ff.FA(decay=(1, 2, 4)), (2, 2, 2, 2), {}, 6),
    "kp, deep doubling decay": (ff.KolenPollack(decay=(1, 2, 4)), (2, 2, 2, 2), {}, 8),
    "fa, uniform decay": (ff.FA(decay=1), (2, 3, 2), {}, 2),
    "rates": (ff.FA(rates=(2, 3)), (2, 3, 2), {}, 7),
    "heavy ball, fa": (ff.HeavyBall(of=ff.FA(), friction=2), (2, 3, 2), {}, 7),
    "heavy ball, fa, relu": (ff.HeavyBall(of=ff.FA()), (2, 3, 2), {"activation": "relu"}, 0),
    "heavy ball, gd": (ff.HeavyBall(of=ff.GD()), (2, 3, 2), {}, 3),
}


@pytest.mark.parametrize("name", COUNTS)
def test_known_counts_are_certified(name):
    rule, sizes, options, count = COUNTS[name]
    certificate = ff.certify(rule, sizes, **options)
    assert certificate.complete, str(certificate)
    assert certificate.law_rank == count


def test_random_shapes_of_marcotte_s_distribution_are_all_complete():
    """Linear: 2 to 5 layers of widths 2 to 5; ReLU: 2 to 4 layers of widths 2 to 9."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        linear = tuple(int(n) for n in rng.integers(2, 6, rng.integers(3, 6)))
        relu = tuple(int(n) for n in rng.integers(2, 10, rng.integers(3, 5)))
        assert ff.certify(ff.GD, linear).complete
        certificate = ff.certify(ff.GD, relu, activation="relu")
        assert certificate.complete
        assert certificate.law_rank == sum(relu[1:-1])


# An independent oracle: rules typed again, brackets by nested jvp in floats, ranks by SVD.


def typed_again(kind, sizes, B, relu):
    """The velocity of one sample, from the papers, for float arrays."""

    def velocity(w, x, e, masks):
        inputs, errors = [x], [e]
        for W, d in zip(w[:-1], masks, strict=True):
            inputs.append(d * (W @ inputs[-1]))
        for k in range(len(w) - 2, -1, -1):
            back = {"GD": lambda k: w[k + 1].T @ errors[-1], "FA": lambda k: B[k] @ errors[-1]}
            back |= {"DFA": lambda k: B[k] @ e}
            errors.append(masks[k] * back[kind](k))
        return tuple(np_.outer(d, a) for d, a in zip(errors[::-1], inputs, strict=True))

    import jax.numpy as np_

    return velocity


@pytest.mark.jax
@pytest.mark.parametrize(
    ("kind", "sizes", "activation", "depth"),
    [
        (ff.GD, (2, 3, 2), "linear", 3),
        (ff.FA, (2, 3, 2), "linear", 3),
        (ff.DFA, (2, 3, 2, 2), "linear", 3),
        (ff.GD, (1, 2, 2, 1), "linear", 3),
        (ff.FA, (2, 2, 2), "relu", 2),
        (ff.DFA, (2, 2, 2, 1), "relu", 3),
    ],
)
def test_the_rank_of_the_brackets_is_that_of_nested_derivatives_in_floats(
    kind, sizes, activation, depth
):
    jax = pytest.importorskip("jax")
    relu = activation == "relu"
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        draw = lambda *shape: jax.numpy.asarray(rng.standard_normal(shape))
        B = tuple(draw(*s) for s in kind.shapes(sizes))
        velocity = typed_again(kind.__name__, sizes, B, relu)
        w = tuple(draw(n, m) for m, n in itertools.pairwise(sizes))

        def field():
            masks = [draw(n) if relu else 1.0 for n in sizes[1:-1]]
            return partial(velocity, x=draw(sizes[0]), e=draw(sizes[-1]), masks=masks)

        def bracket(fields):
            *inner, last = fields
            if not inner:
                return last
            first = bracket(inner)

            def both(w):
                there = jax.jvp(first, (w,), (last(w),))[1]
                back = jax.jvp(last, (w,), (first(w),))[1]
                return tuple(a - b for a, b in zip(there, back, strict=True))

            return both

        rows = [
            np.concatenate([np.ravel(V) for V in bracket([field() for _ in range(k + 1)])(w)])
            for k in range(depth)
            for _ in range(12)
        ]
    values = np.linalg.svd(np.array(rows))[1]
    seen = int(np.sum(values > 1e-9 * values[0]))
    assert values[seen - 1] > 1e-4 * values[0]  # a gap of five decades about the threshold
    certificate = ff.certify(kind, sizes, activation=activation)
    assert seen == certificate.lie_rank


# Feedback, starts and laws that are special.


def test_a_feedback_without_full_rank_has_more_laws():
    special = ff.FA((np.outer([1, 2, 3], [1, -1]),))
    certificate = ff.certify(special, (4, 3, 2))
    assert certificate.complete
    assert certificate.law_rank == 2 * 4 + 3  # two null vectors times inputs, a balance on one
    assert certificate.law_rank > ff.certify(ff.FA, (4, 3, 2)).law_rank
    assert "this feedback" in str(certificate)
    assert "generic feedback" in str(ff.certify(ff.FA, (4, 3, 2)))


@pytest.mark.parametrize(("n", "rank"), [((1, 3, 2), 1), ((2, 5, 3), 1), ((1, 3, 2), 0)])
def test_laws_that_only_special_feedback_has_are_found_among_polynomials(n, rank, tmp_path):
    """W₂Nm with m'N'W₁ = 0: neither input nor error reaches these units."""
    rng = np.random.default_rng(0)
    B = rng.integers(-3, 4, (n[1], rank)) @ rng.integers(-3, 4, (rank, n[2]))
    assert np.linalg.matrix_rank(B) == rank
    certificate = ff.certify(ff.FA((B,)), n)
    symmetric = n[1] * rank - rank * (rank - 1) // 2
    idle = (n[2] - rank) * (n[1] - rank - n[0])
    assert certificate.count == (n[1] - rank) * n[0] + symmetric + idle
    assert certificate.complete
    words = ff.certify(ff.FA((B,)), n, ff.discover(ff.FA))
    assert words.at_most == certificate.law_rank > words.law_rank
    certificate.save(tmp_path / "c.json")
    assert ff.load_certificate(tmp_path / "c.json").check()


def test_feedback_that_is_singular_but_for_rounding_is_refused():
    B = np.outer([0.1, 0.2, 0.3], [0.7, -0.3])
    with pytest.raises(ValueError, match="B2 has rank 1 within rounding but rank 2 exactly"):
        ff.certify(ff.FA((B,)), (4, 3, 2))
    whole = np.array([[10**9, 10**9 + 1], [10**9 - 1, 10**9], [0, 0]])
    assert np.linalg.matrix_rank(whole.astype(float)) == 1
    assert ff.certify(ff.FA((whole,)), (4, 3, 2)).law_rank == 6 + 4 - 1  # rank 2: N'QN is N'WW'N
    with pytest.raises(ValueError, match="which floats round"):
        ff.FA((whole * 10**9,))


def test_the_feedback_of_the_first_weights_is_counted_from_there():
    """B = W₂(0)ᵀ: at that start feedback alignment is gradient descent, to first order."""
    rng = np.random.default_rng(0)
    w0 = tuple(rng.integers(-5, 6, s) for s in ((3, 2), (2, 3)))
    certificate = ff.certify(ff.FA((w0[1].T,)), (2, 3, 2), at=w0)
    assert certificate.complete
    assert certificate.law_rank == 7
    assert "from the start given" in str(certificate)


def test_a_start_at_a_saddle_is_not_a_generic_one():
    """At W = 0 gradient descent stands still, and no law has a derivative there."""
    zero = (np.zeros((3, 2)), np.zeros((2, 3)))
    certificate = ff.certify(ff.GD, (2, 3, 2), at=zero)
    assert (certificate.law_rank, certificate.at_most) == (0, 12)
    assert not certificate.complete
    assert ff.certify(ff.FA, (2, 3, 2), at=zero).complete  # the feedback moves W₁ even there


def test_signs_are_those_of_the_start_itself():
    """Two columns of the upper weights with the same signs: one more null vector, two more laws."""
    w0 = (np.ones((2, 2)), np.array([[1, 2], [3, 4]]))
    mixed = (np.ones((2, 2)), np.array([[1, 2], [3, -4]]))
    same, other = (ff.certify(ff.SignFA, (2, 2, 2), at=w) for w in (w0, mixed))
    assert other.complete
    assert (other.law_rank, other.lie_rank) == (3, 5)
    assert same.lie_rank < other.lie_rank
    for wrong in (0.5, 0.0):
        with pytest.raises(ValueError, match="the start must be in integers other than 0"):
            ff.certify(ff.SignFA, (2, 2, 2), at=(wrong * w0[0], w0[1]))


def test_laws_of_one_s_own_are_proved_before_they_count():
    certificate = ff.certify(ff.FA, (2, 3, 2), [laws.feedback_balance])
    assert (certificate.law_rank, certificate.at_most, certificate.count) == (6, 7, None)
    assert "at least 6 independent laws, at most 7" in str(certificate)
    with pytest.raises(ValueError, match="The law balance is NOT kept"):
        ff.certify(ff.FA, (2, 3, 2), [laws.balance])


def test_a_law_that_is_none_is_found_out_though_a_proof_let_it_pass(monkeypatch):
    monkeypatch.setattr("faflow.symbolic.certify._check", lambda *_: None)
    with pytest.raises(RuntimeError, match="balance counts as kept, but it moves"):
        ff.certify(ff.FA, (2, 3, 2), [laws.balance])


def test_half_a_law_counts_half():
    """The diagonal alone of a balance: bounds that do not meet."""
    certificate = ff.certify(ff.GD, (3, 4, 2), [laws.neuron_balance])
    assert certificate.law_rank == 4
    assert certificate.at_most == 10
    assert not certificate


def test_a_law_twice_or_a_function_of_others_adds_nothing():
    def square(rule, w):
        Q = laws.balance(rule, w)
        return Q @ Q

    once = ff.certify(ff.GD, (3, 4, 2), [laws.balance])
    twice = ff.certify(ff.GD, (3, 4, 2), [laws.balance, laws.layer_balance, square])
    assert once.law_rank == twice.law_rank == 10


@pytest.mark.parametrize("seed", range(5))
def test_other_draws_give_the_same_ranks(seed):
    certificate = ff.certify(ff.DFA, (3, 4, 4, 2), seed=seed)
    assert (certificate.law_rank, certificate.lie_rank) == (28, 8)
    assert certificate.dimension == 36


# Files.


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (ff.GD, {}),
        (ff.FA.random((2, 3, 2), decay=0.1), {"activation": "relu"}),
        (ff.FA((np.array([[Fraction(1, 3), 2], [0, 1], [1, 1]], dtype=object),)), {}),
        (ff.HeavyBall(of=ff.FA(), friction=2), {"bias": True}),
        (ff.SignFA(rates=(1, Fraction(1, 3))), {"seed": 3}),
        (ff.GD, {"at": (np.ones((3, 2)), np.eye(3)[:2])}),
    ],
)
def test_a_certificate_comes_back_from_its_file_and_is_checked_again(rule, options, tmp_path):
    certificate = ff.certify(rule, (2, 3, 2), **options)
    certificate.save(tmp_path / "certificate.json")
    again = ff.load_certificate(tmp_path / "certificate.json")
    assert str(again) == str(certificate)
    assert again.check()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lie_rank", 4),
        ("law_rank", 8),
        ("history", [4, 4]),
        ("laws", ["x"]),
        ("scope", "nonlinear"),
        ("signs", True),
        ("chains", [[0, 2]]),
        ("prime", 7),
    ],
)
def test_a_certificate_that_was_changed_is_found_out(name, value, tmp_path):
    path = tmp_path / "certificate.json"
    ff.certify(ff.FA, (2, 3, 2)).save(path)
    about = json.loads(path.read_text())
    path.write_text(json.dumps(about | {name: value}))
    with pytest.raises(ValueError, match=f"The certificate says {name}"):
        ff.load_certificate(path).check()


def test_a_certificate_with_laws_of_one_s_own_is_checked_with_them(tmp_path):
    path = tmp_path / "certificate.json"
    ff.certify(ff.GD, (2, 3, 2), [laws.balance]).save(path)
    with pytest.raises(ValueError, match="Pass the laws it was made with: balance"):
        ff.load_certificate(path).check()
    assert ff.load_certificate(path).check([laws.balance])


WRONG = {
    "law_rank": ["7", None, 7.0, True, -7, [7]],
    "dimension": ["12", False],
    "seed": [-1, "0"],
    "prime": [None],
    "chain_rank": [0.5],
    "seconds": [None, "abc", True, -1.0, float("nan")],
    "scope": [3, None],
    "method": [None],
    "activation": [["relu"]],
    "bias": [0, "yes"],
    "own": [None],
    "signs": [1],
    "timed": [0],
    "sizes": [None, "2,3,2", [2, "3", 2], [2.0, 3, 2], {"2": 3}],
    "laws": ["x", [3], None],
    "history": [3, [3.5], [[4]]],
    "chains": [[0, 2], [[0, 1, 2]], [["0", "2"]], None],
    "rule": [None, ["FA"]],
    "options": [7, None, []],
    "version": [1.0, True],
    "B": [3, None, [["1"]], [[["1/0"]]], [[["x"]]], [[["1"], ["2", "3"]]], [[[1.5]]], [[]]],
    "at": [3, "x", [[["x"]]], [[]]],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values])
def test_a_file_that_was_written_by_hand_and_wrongly_is_refused(name, value, tmp_path):
    path = tmp_path / "certificate.json"
    ff.certify(ff.FA, (2, 3, 2)).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    says = re.escape(f"{path} is not a certificate of faflow: its {name} must be")
    with pytest.raises(ValueError, match=f"^{says} [^\\n]*$"):
        ff.load_certificate(path)


@pytest.mark.parametrize("version", [0, 2, -5, "x", None, [1]])
def test_a_certificate_of_another_version_is_refused(version, tmp_path):
    path = tmp_path / "certificate.json"
    ff.certify(ff.FA, (2, 3, 2)).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": version}))
    with pytest.raises(ValueError, match=re.escape(f"has version {version!r} of the format")):
        ff.load_certificate(path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"decay": "x"}, "the rule FA with options {'decay': 'x'}, which it does not take"),
        ({"friction": 1}, "the rule FA with options .*, which it does not take"),
        ({"decay": {"fraction": "1/0"}}, "the rule FA with options .*, which it does not take"),
        ({"of": {"rule": "GD"}}, "the rule GD without a dictionary of its options"),
        ({"of": {"rule": ["GD"]}}, r"the rule \['GD'\], which is not one of faflow's"),
    ],
)
def test_options_that_a_rule_of_a_file_does_not_take_are_refused(options, says, tmp_path):
    path = tmp_path / "certificate.json"
    ff.certify(ff.FA, (2, 3, 2)).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"options": options}))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} holds {says}"):
        ff.load_certificate(path)


def test_an_activation_is_saved_by_its_name(tmp_path):
    path = tmp_path / "certificate.json"
    ff.certify(ff.GD, (2, 3, 2), activation=nets.activation("relu_power(2)")).save(path)
    assert ff.load_certificate(path).activation == "relu_power(2)"
    assert ff.load_certificate(path).check()


def test_a_certificate_names_what_was_chosen():
    rule = ff.HeavyBall(of=ff.FA(decay=1), friction=2)
    name = str(ff.certify(rule, (1, 2, 1))).split(" on ")[0]
    assert name == "HeavyBall of FA with decay 1, friction 2"


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": "faflow certificate"}'])
def test_a_foreign_file_is_refused(text, tmp_path):
    path = tmp_path / "certificate.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="is not a certificate of faflow"):
        ff.load_certificate(path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ff.certify(ff.GD, (2, 3, 2), activation="tanh"), "but tanh gives none"),
        (lambda: ff.certify(ff.GD, (2,)), "sizes must be at least two positive widths"),
        (lambda: ff.certify(ff.FA((np.ones((2, 3)),)), (2, 3, 2)), r"B2 must be \(3, 2\), but is"),
        (
            lambda: ff.certify(ff.GD((np.ones((3, 2)),)), (2, 3, 2)),
            "^Feedback must be empty, as the rule has no fixed matrices; it has 1",
        ),
        (lambda: ff.certify(ff.GD, (2, 3, 2), seed=-1), "seed must be an integer of at least 0"),
        (lambda: ff.certify(ff.GD, (2, 3, 2), at=(1,)), "must be the 2 matrices W1, W2, but has 1"),
        (lambda: ff.certify(ff.FAStar, (2, 3, 2)), "FAStar solves a linear system"),
        (lambda: ff.certify(ff.SignFA(beta=2), (2, 3, 2)), "velocities of SignFA are no polynom"),
        (lambda: ff.certify(ff.GD(decay=(1, 2, 3)), (2, 3, 2)), "decay has 3 entries"),
    ],
)
def test_a_certificate_that_cannot_be_made_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


# Pair by pair of indices.

SMALL = [*itertools.product(range(1, 4), repeat=3)]
SMALL += [*itertools.product(range(1, 4), repeat=4)][::4]  # each pair of widths at the end alike


@pytest.mark.algebra
@pytest.mark.parametrize("kind", [ff.GD, ff.FA, ff.DFA, ff.KolenPollack])
def test_ranks_pair_by_pair_never_exceed_those_at_a_generic_point(kind):
    refused = 0
    for sizes in SMALL:
        dense = ff.certify(kind, sizes)
        try:
            blocks = ff.certify(kind, sizes, method="blocks")
        except ValueError:
            refused += 1
            continue
        assert blocks.dimension == dense.dimension
        assert blocks.law_rank <= dense.law_rank
        assert blocks.at_most >= dense.at_most
        if kind is ff.FA:
            assert blocks.complete
            assert blocks.law_rank == fa_count(sizes)
    assert (refused > 0) == (kind is ff.DFA)


def test_diagonal_feedback_that_is_special_is_refused():
    """The rows of two diagonal 1x2 matrices are parallel, those of generic ones are not."""
    assert ff.certify(ff.DFA, (1, 1, 1, 2)).law_rank == 1
    with pytest.raises(
        ValueError, match="where P1 B1 = Q1 B2 that has rank 1 and generic feedback 2"
    ):
        ff.certify(ff.DFA, (1, 1, 1, 2), method="blocks")


@pytest.mark.algebra
@pytest.mark.parametrize(
    ("kind", "sizes", "count"),
    [
        (ff.FA, (60, 60, 60), fa_count((60, 60, 60))),
        (ff.FA, (30, 50, 20, 7), fa_count((30, 50, 20, 7))),
        (ff.DFA, (25, 25, 25, 25), dfa_count((25, 25, 25, 25))),
        (ff.GD, (30, 30, 30, 30), 2 * 30 * 31 // 2),
        (ff.KolenPollack, (20, 20, 20, 20), 2 * 20 * 21 // 2 + 2 * 20 * 20),
        (ff.FA, (200, 200, 200), fa_count((200, 200, 200))),
    ],
)
def test_large_networks_are_certified_pair_by_pair(kind, sizes, count):
    certificate = ff.certify(kind, sizes, method="blocks")
    assert certificate.complete, str(certificate)
    assert certificate.law_rank == count
    assert "pair by pair of indices" in str(certificate)


def test_blocks_are_taken_where_the_dense_method_is_too_large():
    assert ff.certify(ff.FA, (90, 90, 90)).method == "blocks"
    assert ff.certify(ff.FA, (20, 20, 20)).method == "dense"


def test_blocks_that_are_too_weak_say_so(tmp_path):
    certificate = ff.certify(ff.GD, (4, 8, 4), method="blocks")
    assert not certificate.complete
    assert "at least 26 independent laws, at most 42; the diagonal point may be" in str(certificate)
    assert ff.certify(ff.GD, (4, 8, 4)).complete
    certificate.save(tmp_path / "certificate.json")
    assert ff.load_certificate(tmp_path / "certificate.json").check()


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (ff.FA, {"activation": "relu"}),
        (ff.FA, {"bias": True}),
        (ff.SignFA, {}),
        (ff.FA(decay=1), {}),
        (ff.FA.random((2, 3, 2)), {}),
        (ff.HeavyBall(of=ff.FA()), {}),
    ],
)
def test_problems_without_blocks_are_refused(rule, options):
    with pytest.raises(ValueError, match="Pairs of indices part only in linear networks"):
        ff.certify(rule, (2, 3, 2), method="blocks", **options)
    with pytest.raises(ValueError, match="for laws that discover found"):
        ff.certify(ff.GD, (2, 3, 2), [laws.balance], method="blocks")
    with pytest.raises(ValueError, match="Unknown method 'fast'; choose from auto, dense, blocks"):
        ff.certify(ff.GD, (2, 3, 2), method="fast")


class Squashed(ff.FA):
    """A rule that is no polynomial."""

    def carry(self, w, k, above, output):
        return np.tanh(above)


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: ff.certify(ff.GD, (2, 3, 2), laws.balance), TypeError, "laws must be a list of"),
        (lambda: ff.certify(ff.GD, (2, 3, 2), [None]), TypeError, "A law is a function law"),
        (lambda: ff.certify("FA", (2, 3, 2)), TypeError, "The rule must be a Rule"),
        (lambda: ff.certify(ff.GD, (2, 3, 2), bias=3), ValueError, "bias must be True or False"),
        (
            lambda: ff.certify(ff.GD, (2, 3, 2), [lambda rule, w: w[0] @ w[0]]),
            ValueError,
            "The law <lambda> cannot be evaluated for GD",
        ),
        (
            lambda: ff.certify(ff.GD, (2, 3, 2), at=(np.full((3, 2), np.nan), np.ones((2, 3)))),
            ValueError,
            "The start W1 must hold finite numbers",
        ),
        (lambda: ff.certify(Squashed, (2, 3, 2)), ValueError, "velocities of Squashed are no poly"),
        (lambda: ff.discover(Squashed), ValueError, "Words cannot evaluate the rule Squashed"),
        (lambda: ff.discover(Squashed, (2, 3, 2)), ValueError, "of Squashed are no polynomials"),
        (lambda: ff.discover("FA"), TypeError, "The rule must be a Rule"),
        (lambda: ff.discover(ff.FA, ends=5), ValueError, "ends must be two spaces among"),
        (lambda: ff.discover(ff.FA, bias="yes"), ValueError, "bias must be True or False"),
        (lambda: ff.discover(ff.GD, (60, 60, 60), degree=4), ValueError, "ask for a lower degree"),
        (lambda: ff.prove(None, ff.FA), TypeError, "A law is a function law"),
        (
            lambda: ff.discover(ff.FA)[0](ff.FA.random((2, 3, 2)), (np.ones((3, 2)),)),
            ValueError,
            r"The law is for states \(W1, W2\), but this has 1 matrices",
        ),
        (
            lambda: ff.discover(ff.GD, (2, 3, 2))[0](ff.GD(), (np.ones((2, 2)), np.ones((2, 2)))),
            ValueError,
            r"The law is for states W1 \(3, 2\), W2 \(2, 3\), but these shapes are",
        ),
    ],
)
def test_nonsense_is_refused_in_one_sentence(make, kind, says):
    with pytest.raises(kind, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)
