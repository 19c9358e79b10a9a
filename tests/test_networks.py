import numpy as np
import pytest

import faflow as ff

NETWORKS = {  # (network, sizes, rows of X for each unit of input)
    "residual": (ff.Residual(), (2, 3, 2, 4, 2), 1),
    "convolution": (ff.Convolution(2), (3, 4, 2), 2),
    "deep convolution": (ff.Convolution(3), (2, 2, 2, 1), 5),
    "attention": (ff.Attention(3), (3, 2, 2, 2), 3),
    "gains": (ff.Gains(), (2, 3, 2), 1),
}
LAWS = {
    ("residual", ff.GD, "linear"): [
        "W1 W1' - W2' W2  [balance, k=0]",
        "W3 W3' - W4' W4  [balance, k=2]",
    ],
    ("residual", ff.FA, "relu"): [
        "1/2 diag(W1 W1') - diag(B2 W2)  [neuron_feedback_balance, k=0]",
        "1/2 diag(W3 W3') - diag(B4 W4)  [neuron_feedback_balance, k=2]",
    ],
    ("residual", ff.FA, "linear"): [
        "N1' W1, where N1' B2 = 0",
        "W1 W1' - B2 W2 - W2' B2'  [feedback_balance, k=0]",
        "N2' W3, where N2' B4 = 0",
        "W3 W3' - B4 W4 - W4' B4'  [feedback_balance, k=2]",
    ],
    ("convolution", ff.GD, "linear"): ["W1 W1' - W2_1' W2_1 - W2_2' W2_2"],
    ("convolution", ff.GD, "relu"): ["diag(W1 W1') - diag(W2_1' W2_1) - diag(W2_2' W2_2)"],
    ("convolution", ff.FA, "linear"): [
        "W1 W1' - B2_1 W2_1 - B2_2 W2_2 - W2_1' B2_1' - W2_2' B2_2'"
    ],
    ("convolution", ff.FA, "relu"): ["diag(W1 W1') - 2 diag(B2_1 W2_1) - 2 diag(B2_2 W2_2)"],
    ("attention", ff.GD, "linear"): ["Q Q' - K K'", "V V' - O' O"],
    ("attention", ff.FA, "linear"): [
        "Q Q' - K K'",
        "V V' - BO O - O' BO'",
        "Nvalue' V, where Nvalue' BO = 0",
    ],
    ("gains", ff.GD, "linear"): [
        "W1 W1' - W2' W2  [balance, k=0]",
        "g1 g1 - g2 g2",
        "tr(W1 W1') - tr(g1 g1)",
    ],
    ("gains", ff.FA, "relu"): [
        "1/2 diag(W1 W1') - diag(B2 W2)  [neuron_feedback_balance, k=0]",
        "tr(g1 g1) - 2 tr(B2 W2)",
        "tr(W2 W2') - tr(g2 g2)",
    ],
}
COUNTS = {  # all of them complete: (variables, laws)
    ("residual", ff.GD, "linear"): (28, 16),
    ("residual", ff.GD, "relu"): (28, 7),
    ("residual", ff.FA, "relu"): (28, 7),
    ("convolution", ff.GD, "linear"): (28, 10),
    ("convolution", ff.GD, "relu"): (28, 4),
    ("convolution", ff.FA, "linear"): (28, 10),
    ("convolution", ff.FA, "relu"): (28, 4),
    ("deep convolution", ff.GD, "linear"): (22, 6),
    ("deep convolution", ff.FA, "relu"): (22, 4),
    ("attention", ff.GD, "linear"): (22, 6),
    ("attention", ff.FA, "linear"): (22, 6),
    ("gains", ff.GD, "linear"): (14, 8),
    ("gains", ff.GD, "relu"): (14, 5),
    ("gains", ff.FA, "linear"): (14, 9),
    ("gains", ff.FA, "relu"): (14, 5),
}


def problem(name, of, phi, seed=0):
    """(rule, task, state) at random."""
    network, sizes, places = NETWORKS[name]
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((places * sizes[0], 6)) / 2
    rule = ff.On.random(sizes, of=of, network=network, seed=seed)
    w0 = rule.start(sizes, scale=0.7, seed=seed + 1)
    return rule, ff.Task(X, rng.standard_normal((sizes[-1], 6)) / 2, phi), w0


def curved(name):
    """An activation, where the network has any."""
    return "linear" if name == "attention" else "tanh"


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_descent_on_a_network_is_the_gradient_of_its_loss(name, loss):
    phi = curved(name)
    rule, given, w = problem(name, ff.GD, phi)
    if loss == "cross_entropy":
        given = ff.Task(given.X, np.abs(given.Y) / np.abs(given.Y).sum(0), phi, loss)
    h = 1e-5
    for k, (W, V) in enumerate(zip(w, rule(given, w), strict=True)):
        for index in np.ndindex(W.shape):
            sides = []
            for sign in (1, -1):
                moved = [M.copy() for M in w]
                moved[k][index] += sign * h
                sides.append(rule.loss(given, tuple(moved)))
            assert (sides[1] - sides[0]) / (2 * h) == pytest.approx(V[index], abs=1e-8)


@pytest.mark.parametrize("name", NETWORKS)
def test_feedback_alignment_with_transposed_weights_is_gradient_descent(name):
    rule, given, w = problem(name, ff.FA, curved(name))
    state = dict(zip(rule.state(NETWORKS[name][1]), w, strict=True))
    B = tuple(state[n].T for n in state if rule.network.returns(n))
    mirrored = ff.On(of=ff.FA(B), network=rule.network)
    plain = ff.On(of=ff.GD(), network=rule.network)
    for V, G in zip(mirrored(given, w), plain(given, w), strict=True):
        assert np.abs(V - G).max() < 1e-14
    assert (
        max(np.abs(V - G).max() for V, G in zip(rule(given, w), plain(given, w), strict=True))
        > 0.01
    )


@pytest.mark.parametrize("case", LAWS)
def test_the_laws_of_networks_are_found_and_proved(case):
    name, of, phi = case
    network, sizes, _ = NETWORKS[name]
    found = ff.discover(ff.On(of=of(), network=network), depth=len(sizes) - 1, activation=phi)
    assert [str(law) for law in found] == LAWS[case]
    for law in found:
        assert law.verdict.kept
        assert network.title in law.verdict.scope
        assert "any data" in law.verdict.scope
        assert ("attention patterns" in law.verdict.scope) == (name == "attention")


@pytest.mark.parametrize(
    ("name", "phi"),
    [
        (n, phi)
        for phi in ("linear", "relu_power(2)")
        for n in NETWORKS
        if phi == "linear" or n != "attention"
    ],
)
@pytest.mark.parametrize("of", [ff.GD, ff.FA])
def test_laws_of_networks_are_kept_along_flows_and_others_are_not(name, of, phi):
    rule, given, w0 = problem(name, of, phi)
    sol = ff.integrate(rule, given, w0, [0, 0.25, 0.5])  # one of them is very stiff at 1
    drift = lambda law: np.abs(sol.measure(law) - sol.measure(law)[0]).max(initial=0)
    depth = len(NETWORKS[name][1]) - 1
    for law in ff.discover(rule, depth=depth, activation=phi):
        assert drift(law) < 1e-9
    other = ff.On(of=ff.FA() if of is ff.GD else ff.GD(), network=rule.network)
    broken = [
        drift(law)
        for law in ff.discover(other, depth=depth, activation=phi)
        if of is ff.FA and not law.unknowns
    ]
    if of is ff.FA:
        assert max(broken) > 1e-4


@pytest.mark.parametrize("case", COUNTS)
def test_the_laws_of_networks_are_certified_complete(case):
    name, of, phi = case
    network, sizes, _ = NETWORKS[name]
    certificate = ff.certify(ff.On(of=of(), network=network), sizes, activation=phi)
    assert certificate.complete, str(certificate)
    assert (certificate.dimension, certificate.law_rank) == COUNTS[case]


def test_skip_connections_add_no_law_of_gradient_descent_but_some_of_feedback_alignment():
    """Under FA a block sees the error of the next through fixed matrices: 4 w₁ + … is kept."""
    rule = ff.On(of=ff.FA(), network=ff.Residual())
    certificate = ff.certify(rule, (1, 1, 1, 1, 1))
    assert (certificate.law_rank, certificate.at_most) == (2, 3)
    assert not certificate.complete
    found = ff.discover(rule, (1, 1, 1, 1, 1), feedback="numeric")
    assert found.independent == 3
    B2, B3, B4 = (int(B[0, 0]) for B in found.rule.B)
    (extra,) = (law for law in found if not law.name)
    # Ẇ₁ = B₂ae, Ẇ₂ = aeW₁ and Ẇ₃ = B₄e(1 + W₁W₂) at x = 1, a = 1 + B₃B₄.
    a = 1 + B3 * B4
    w = np.random.default_rng(0).standard_normal(4)
    known = a * w[2] * 2 * B2 - 2 * B4 * w[0] - B4 * B2 * w[1] ** 2
    at = lambda law, w: float(law(found.rule, tuple(np.array([[x]]) for x in w)))
    ratio = at(extra, w) / known
    for seed in range(1, 4):
        w = np.random.default_rng(seed).standard_normal(4)
        known = a * w[2] * 2 * B2 - 2 * B4 * w[0] - B4 * B2 * w[1] ** 2
        assert at(extra, w) / known == pytest.approx(ratio, rel=1e-12)


def test_runs_on_networks_are_saved_and_read_again(tmp_path):
    rule, given, w0 = problem("attention", ff.FA, "linear")
    sol = ff.integrate(rule, given, w0, [0, 0.5])
    assert "FA on attention" in str(sol)
    assert sol.loss() < sol.loss(0)
    sol.save(tmp_path / "run.npz")
    again = ff.load(tmp_path / "run.npz")
    assert again.rule.network == ff.Attention(3)
    assert again.loss() == sol.loss()
    certificate = ff.certify(rule, (3, 2, 2, 2))
    certificate.save(tmp_path / "certificate.json")
    assert ff.load_certificate(tmp_path / "certificate.json").check()


def run(name, of=ff.FA, phi="linear", **changed):
    rule, given, w0 = problem(name, of, phi)
    made = {"rule": rule, "task": given, "w0": w0} | {k: v(w0) for k, v in changed.items()}
    return ff.integrate(made["rule"], made["task"], made["w0"], [0, 0.1])


def test_traces_are_named_among_polynomials():
    found = ff.discover(ff.On(network=ff.Gains()), (2, 2, 1))
    assert [str(law) for law in found][-2:] == ["(g1 g1 - g2 g2)[1,1]", "tr(W1 W1') - tr(g1 g1)"]
    assert found.independent == ff.certify(ff.On(network=ff.Gains()), (2, 2, 1)).count


def test_networks_are_spoken_of_in_words():
    scope = ff.discover(ff.On(network=ff.Gains())).scope
    assert scope.endswith("every size of a 2-layer linear network with gains")
    scope = ff.discover(ff.On(network=ff.Gains()), (1, 1, 1)).scope
    assert "sizes 1-1-1 of a linear network with gains, any data" in scope
    assert ff.On(network=ff.Gains()).name == "GD on a network with gains"
    scope = ff.discover(ff.On(network=ff.Residual())).scope
    assert scope.endswith("every size of 2-layer linear residual blocks")


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: ff.On(of=ff.DFA()), TypeError, "On needs GD or FA without decay and rates"),
        (lambda: ff.On(of=ff.GD(decay=1)), TypeError, "On needs GD or FA without decay"),
        (lambda: ff.On(of=ff.GD(), network="resnet"), TypeError, "must be one of Residual, Conv"),
        (lambda: ff.On((np.eye(2),), network=ff.Gains()), ValueError, "Give B to the rule inside"),
        (lambda: ff.Convolution(0), ValueError, "offsets must be a positive integer, but is 0"),
        (lambda: ff.Attention(1), ValueError, "tokens must be an integer of at least 2"),
        (lambda: run("residual", phi="relu"), ValueError, "needs a smooth activation"),
        (lambda: run("residual", w0=lambda w: w[:3]), ValueError, "two layers a block, not 3"),
        (lambda: run("gains", w0=lambda w: (*w[:3], w[0])), ValueError, "w0 g2 must be"),
        (
            lambda: run("attention", task=lambda w: ff.Task(np.ones((8, 2)), np.ones((2, 2)))),
            ValueError,
            "takes 3 parts of equal size to a sample, but X has 8 rows",
        ),
        (
            lambda: run("convolution", w0=lambda w: (w[0], w[1], w[2].T)),
            ValueError,
            r"FA on convolutions of 2 offsets's w0 W2_2 must be \(2, 4\), but is \(4, 2\)",
        ),
        (
            lambda: ff.discover(ff.On(network=ff.Residual()), depth=3),
            ValueError,
            "A residual network has two layers a block, not 3",
        ),
        (
            lambda: ff.discover(ff.On(network=ff.Attention()), depth=2),
            ValueError,
            r"Attention has sizes \(token, key, value, output\)",
        ),
        (
            lambda: ff.certify(ff.On(network=ff.Residual()), (2, 3, 4)),
            ValueError,
            "layers 0 and 2 have one size, not 2 and 4",
        ),
        (
            lambda: ff.certify(ff.On(network=ff.Gains()), (2, 3, 2), bias=True),
            ValueError,
            "network with gains: no biases",
        ),
        (
            lambda: ff.discover(ff.On(network=ff.Attention()), depth=3, activation="relu"),
            ValueError,
            "Of attention no layer has an activation; leave it linear",
        ),
        (
            lambda: ff.certify(ff.On(network=ff.Attention()), (2, 2, 2, 2), activation="relu"),
            ValueError,
            "Of attention no layer has an activation",
        ),
        (
            lambda: ff.discover(
                ff.HeavyBall(of=ff.On(network=ff.Attention())), (1, 1, 1, 1), activation="piecewise"
            ),
            ValueError,
            "Of attention no layer has an activation",
        ),
        (
            lambda: ff.prove(
                ff.laws.balance,
                ff.On(network=ff.Attention()),
                sizes=(2, 2, 2, 2),
                activation="tanh",
            ),
            ValueError,
            "Of attention no layer has an activation",
        ),
        (lambda: run("attention", phi="tanh"), ValueError, "Of attention no layer has an activat"),
    ],
)
def test_networks_that_cannot_be_are_refused(make, kind, says):
    with pytest.raises(kind, match=says):
        make()
