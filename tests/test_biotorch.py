"""`check_step` on biotorch, a PyTorch library of feedback alignment: what its rules turn out to be.

Runs in an environment of its own: ``make test-foreign``.
"""

import importlib
from itertools import pairwise

import numpy as np
import pytest

import faflow as ff

torch = pytest.importorskip("torch")
pytest.importorskip("biotorch")

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of PyTorch about what biotorch asks of it
]

EXACT = 1e-13  # seen: at most 1.7e-14
SIZES = (6, 9, 7, 4)


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(1)
    yield
    torch.set_default_dtype(torch.float32)


def linear(kind, sizes=SIZES, phi=torch.nn.ReLU, bias=True, **options):
    """A network of biotorch's linear layers."""
    layer = importlib.import_module(f"biotorch.layers.{kind}").Linear
    outputs = (sizes[-1],) if kind == "dfa" else ()
    made = []
    for below, above in pairwise(sizes):
        config = {"options": dict(options)} if options else {} if kind == "dfa" else None
        made += [layer(below, above, *outputs, bias=bias, layer_config=config), phi()]
    return torch.nn.Sequential(*made[:-1])


def convolutional(kind, pool=None, stride=1, bias=True):
    """Two convolutions of biotorch, pooling, two linear layers; 8x8 images in two channels."""
    layers = importlib.import_module(f"biotorch.layers.{kind}")
    side = 8 if pool is None else 4
    side = (side - 1) // stride + 1
    made = [
        layers.Conv2d(2, 6, 3, padding=1, bias=bias),
        torch.nn.ReLU(),
        torch.nn.Identity() if pool is None else pool(2),
        layers.Conv2d(6, 7, 3, padding=1, stride=stride, bias=bias),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        layers.Linear(7 * side**2, 8, bias=bias),
        torch.nn.ReLU(),
        layers.Linear(8, 4, bias=bias),
    ]
    return torch.nn.Sequential(*made)


def steps(network, number=1, eta=0.1, samples=20):
    """Lists of the state before and after each of so many steps of SGD, on new data each."""
    optimizer = torch.optim.SGD(network.parameters(), lr=eta)
    first = next(network.parameters())
    shape = (samples, first.shape[1]) if first.ndim == 2 else (samples, 2, 8, 8)
    state = lambda: {k: v.detach().clone() for k, v in network.state_dict().items()}
    states = [state()]
    for _ in range(number):
        output = network(torch.randn(*shape))
        loss = torch.nn.functional.cross_entropy(output, torch.randint(4, (samples,)))
        told = torch.autograd.grad(loss, output, retain_graph=True)[0]
        for module in network.modules():
            module.loss_gradient = told  # as biotorch's BioModule does, for DFA
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        states.append(state())
    return states[:-1], states[1:]


def feedback(state):
    return [M for name, M in state.items() if name.endswith("weight_backward")]


def weights(state):
    return [M for name, M in state.items() if name.endswith("weight")]


def verdicts(report):
    return {layer.verdict for layer in report.layers}


def exact(report):
    return report.ok and max(layer.residual for layer in report.layers) < EXACT


CONVOLUTIONS = [
    {},
    {"bias": False, "pool": torch.nn.MaxPool2d},
    {"stride": 2, "pool": torch.nn.AvgPool2d},
]


@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers_do_feedback_alignment_step_after_step(bias):
    before, after = steps(linear("fa", bias=bias), 20)
    report = ff.check_step(before, after, before[0])
    assert exact(report), str(report)
    assert report.layout == "W"


def test_linear_layers_do_feedback_alignment_as_whole_matrices():
    before, after = steps(linear("fa", phi=torch.nn.Identity))
    report = ff.check_step(before, after, before[0], activation="linear")
    assert exact(report), str(report)
    assert {layer.law for layer in report.layers} == {"matrix"}


@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_convolutions_do_feedback_alignment_with_any_pooling_and_stride(options):
    before, after = steps(convolutional("fa", **options), 3)
    report = ff.check_step(before, after, before[0])
    assert exact(report), str(report)
    assert [layer.units for layer in report.layers] == [6, 7, 8]


def test_float32_passes_at_its_precision():
    torch.set_default_dtype(torch.float32)
    before, after = steps(linear("fa", (784, 100, 50, 4)), samples=64)
    report = ff.check_step(before, after, before[0])
    assert report.ok, str(report)
    assert max(layer.residual for layer in report.layers) < 1e-5  # 1e-6 seen


def test_backpropagation_is_gradient_descent():
    before, after = steps(linear("backpropagation"))
    report = ff.check_step(before, after, [torch.randn_like(W) for W in weights(before[0])])
    assert [[fault.name for fault in a.fits] for a in report.layers] == [["gradient descent"]] * 2


@pytest.mark.parametrize("network", [linear, convolutional])
def test_usf_is_feedback_alignment_of_the_signs_until_they_change(network):
    before, after = steps(network("usf"), 40, eta=1)
    assert exact(ff.check_step(before[0], after[0], before[0]))
    report = ff.check_step(before, after, before[0])
    assert verdicts(report) == {"fault"}
    assert all(layer.residuals[0] < EXACT for layer in report.layers)


@pytest.mark.parametrize("network", [linear, convolutional])
def test_brsf_draws_its_feedback_anew_and_keeps_the_one_it_used(network):
    before, after = steps(network("brsf"))
    assert verdicts(ff.check_step(before, after, before[0])) == {"fault"}
    assert exact(ff.check_step(before, after, after[0]))


@pytest.mark.parametrize("network", [linear, convolutional])
def test_frsf_keeps_sizes_alone_and_its_feedback_has_the_signs_of_the_weights(network):
    before, after = steps(network("frsf"))
    assert verdicts(ff.check_step(before, after, before[0])) == {"fault"}
    both = zip(feedback(before[0]), weights(before[0]), strict=True)
    signed = [M * torch.sign(W) for M, W in both]
    assert exact(ff.check_step(before, after, signed))


def test_dfa_is_feedback_alignment_in_its_last_hidden_layer_alone():
    before, after = steps(linear("dfa"))
    above = [{k: v for k, v in s[0].items() if not k.startswith("0.")} for s in (before, after)]
    assert exact(ff.check_step(*above, feedback(before[0])[2:]))
    with pytest.raises(ValueError, match=r"must have the shape of .*, but is \(4, 9\)"):
        ff.check_step(before, after, before[0])
    other = [torch.randn_like(W) for W in weights(before[0])]
    report = ff.check_step(before, after, other)
    assert "direct feedback" in report.layers[0].cannot_tell


def test_dfa_on_linear_layers_is_another_feedback_and_the_direct_one():
    """There ΔW₁(W₂W₁)ᵀ = B₁ΔW₃, the last hidden layer's law carried down."""
    before, after = steps(linear("dfa", phi=torch.nn.Identity, bias=False))
    other = [torch.randn_like(W) for W in weights(before[0])]
    report = ff.check_step(before, after, other, activation="linear")
    assert [[fault.name for fault in a.fits] for a in report.layers] == [
        ["another B", "direct feedback"],
        ["another B"],
    ]
    W, B = weights(before[0]), feedback(before[0])
    moved = [new - old for old, new in zip(W, weights(after[0]), strict=True)]
    gap = moved[0] @ (W[1] @ W[0]).T - B[1].T @ moved[2]
    np.testing.assert_allclose(gap, 0, atol=1e-15)


def test_constrained_weights_are_not_those_the_optimiser_moves():
    """Every forward pass makes them anew; the optimiser has the old ones, and biases alone move."""
    options = {"constrain_weights": True, "gradient_clip": False, "init": "xavier"}
    before, after = steps(linear("fa", **options), 3)
    for step in zip(before, after, strict=True):
        report = ff.check_step(*step, before[0])
        assert verdicts(report) == {"no update"}, str(report)
    assert (before[0]["0.bias"] != after[0]["0.bias"]).any()


def test_brsf_stops_with_an_error_at_the_other_initialisation():
    options = {"constrain_weights": False, "gradient_clip": False, "init": "kaiming"}
    with pytest.raises(NameError):
        steps(linear("brsf", **options))
