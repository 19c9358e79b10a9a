"""Data that ship, generators, and your own files with everything that can be wrong in them."""

import pickle
import sys

import numpy as np
import pytest

from faflow import FA, Task, accuracy, data, init

REAL = {"digits": (64, 10, 1797), "breast_cancer": (30, 1, 569), "diabetes": (10, 1, 442)}


@pytest.mark.parametrize("name", REAL)
def test_real_data_are_split_into_columns_of_standard_inputs(name):
    d_in, d_out, total = REAL[name]
    made = data.by_name(name)
    held_out = round(total / 4)
    assert made.X.shape == (d_in, total - held_out)
    assert made.Y.shape == (d_out, total - held_out)
    assert made.X_test.shape == (d_in, held_out)
    assert made.Y_test.shape == (d_out, held_out)
    assert {M.dtype for M in (made.X, made.Y, made.X_test, made.Y_test)} == {np.dtype(float)}
    assert np.isfinite(made.X_test).all()
    np.testing.assert_allclose(made.X.mean(1), 0, atol=1e-13)
    spread = made.X.std(1)
    np.testing.assert_allclose(spread[spread > 0], 1, rtol=1e-12)


def test_pixels_that_never_vary_in_training_are_zero_in_the_test_too():
    made = data.digits(samples=50)
    constant = made.X.std(1) == 0
    assert constant.sum() > 3
    assert not made.X[constant].any()
    assert not made.X_test[constant].any()


@pytest.mark.parametrize("samples", [None, 100])
def test_every_class_has_its_share_of_each_part(samples):
    made = data.digits(samples=samples)
    whole = np.bincount(data.digits(test=0).labels) / 1797
    for labels in (made.labels, made.labels_test):
        assert np.abs(np.bincount(labels, minlength=10) - whole * len(labels)).max() <= 1.5


def test_no_sample_is_in_training_and_test_and_none_is_lost():
    made, whole = data.diabetes(scale=None), data.diabetes(scale=None, test=0)
    parts = np.hstack([made.X, made.X_test])
    np.testing.assert_array_equal(parts[:, np.lexsort(parts)], whole.X[:, np.lexsort(whole.X)])


def test_inputs_targets_and_labels_stay_together():
    made, whole = data.digits(scale=None), data.digits(scale=None, test=0, seed=5)
    of_image = {X.tobytes(): label for X, label in zip(whole.X.T, whole.labels, strict=True)}
    seen = [of_image[X.tobytes()] for X in made.X_test.T]
    assert seen == made.labels_test.tolist()
    assert made.Y_test.argmax(0).tolist() == seen


def test_the_seed_decides_the_split_and_the_test_set_ignores_how_many_are_trained_on():
    first, again, other = data.digits(seed=1), data.digits(seed=1), data.digits(seed=2)
    assert np.array_equal(first.X, again.X)
    assert not np.array_equal(first.labels_test, other.labels_test)
    few = data.digits(seed=1, samples=30)
    assert np.array_equal(few.labels_test, first.labels_test)
    assert np.array_equal(few.labels, first.labels[:30])


def test_digits_have_three_kinds_of_targets():
    one_hot, signs, parity = (data.digits(targets=t) for t in ("one-hot", "signs", "parity"))
    assert np.array_equal(one_hot.Y.argmax(0), one_hot.labels)
    assert np.array_equal(signs.Y, 2 * one_hot.Y - 1)
    assert np.array_equal(parity.Y[0], (-1.0) ** parity.labels)
    one_hot.task(loss="cross_entropy")
    signs.task(loss="logistic")
    parity.task(loss="exponential")


def test_tumours_are_labelled_minus_one_and_plus_one():
    made = data.breast_cancer()
    assert set(made.labels.tolist()) == {-1, 1}
    assert np.array_equal(made.Y[0], made.labels)
    assert made.task("tanh", loss="logistic").loss.name == "logistic"


def test_the_diabetes_target_is_standardised_by_its_training_part():
    made, few = data.diabetes(), data.diabetes(samples=20)
    np.testing.assert_allclose([made.Y.mean(), made.Y.std()], [0, 1], atol=1e-13)
    np.testing.assert_allclose([few.Y.mean(), few.Y.std()], [0, 1], atol=1e-13)
    assert abs(made.Y_test.mean()) > 1e-3


@pytest.mark.parametrize("samples", [20, 200])
def test_unit_inputs_have_a_covariance_of_trace_one_for_any_number_of_samples(samples):
    made = data.diabetes(samples=samples, scale="unit")
    assert np.trace(made.X @ made.X.T) == pytest.approx(1)
    standard = data.diabetes(samples=samples)
    factor = np.sqrt(10 * samples)
    np.testing.assert_allclose(made.X_test * factor, standard.X_test, rtol=1e-12)


def test_unit_inputs_are_a_smaller_rate_and_smaller_weights_in_the_first_layer():
    unit, standard = data.diabetes(samples=40, scale="unit"), data.diabetes(samples=40)
    c = np.sqrt(10 * 40)
    rule, (W1, W2) = FA.random((10, 4, 1)), init((10, 4, 1))
    first, second = rule(unit.task("tanh"), (W1, W2))
    slow = FA(rule.B, rates=(1 / c**2, 1))
    slow_first, slow_second = slow(standard.task("tanh"), (W1 / c, W2))
    np.testing.assert_allclose(first / c, slow_first, rtol=1e-9)
    np.testing.assert_allclose(second, slow_second, rtol=1e-9)


def test_the_test_task_is_the_same_task_on_other_samples():
    made = data.digits(samples=50)
    train = made.task("relu", loss="cross_entropy", bias=True)
    test = made.test_task("relu", loss="cross_entropy", bias=True)
    assert (train.phi, train.loss, train.bias) == (test.phi, test.loss, test.bias)
    assert np.array_equal(test.X, made.X_test)
    assert 0 <= accuracy(test, init((64, 5, 10), bias=True)) <= 1
    with pytest.raises(ValueError, match="no samples held out"):
        data.digits(test=0).test_task()


def test_data_print_as_one_line():
    line = "diabetes: 10 inputs, 1 targets, 332 samples, 110 held out"
    assert str(data.diabetes()) == line
    assert str(data.diabetes(test=0)).endswith("442 samples, none held out")


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'faflow\[data\]'"):
        data.digits()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samples": 0}, "samples must be from 1 to 1348"),
        ({"samples": 1349}, "samples must be from 1 to 1348, of 1797 with 449 held out"),
        ({"test": 1}, "test must be a share"),
        ({"targets": "two-hot"}, "choose from one-hot, signs, parity"),
        ({"scale": "large"}, "choose from standard, unit"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        data.digits(**options)


def test_low_rank_matrices_have_their_rank_and_their_singular_values():
    Y = data.low_rank(7, 5, 3, singular_values=[3, 2, 0.5], seed=4)
    np.testing.assert_allclose(np.linalg.svd(Y, compute_uv=False), [3, 2, 0.5, 0, 0], atol=1e-14)
    gaussian = data.low_rank(200, 100, 20)
    assert np.linalg.matrix_rank(gaussian) == 20
    assert gaussian.std() == pytest.approx(1, rel=0.1)
    assert not np.array_equal(gaussian, data.low_rank(200, 100, 20, seed=1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rank": 6}, r"rank must be from 1 to min\(n, m\) = 5"),
        ({"rank": 2, "singular_values": [1]}, "must be 2 positive numbers"),
        ({"rank": 2, "singular_values": [1, 0]}, "must be 2 positive numbers"),
    ],
)
def test_impossible_low_rank_matrices_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        data.low_rank(7, 5, **arguments)


def linear_fit(made):
    """The teacher of `made`, from more samples than inputs."""
    return made.Y @ np.linalg.pinv(made.X)


def test_a_linear_teacher_answers_the_test_with_the_same_matrix():
    made = data.teacher_student(6, 2, 400)
    np.testing.assert_allclose(linear_fit(made) @ made.X_test, made.Y_test, atol=1e-11)
    assert linear_fit(made).shape == (2, 6)


def test_noise_is_on_the_training_targets_only():
    clean, noisy = (data.teacher_student(6, 2, 4000, noise=s) for s in (0, 0.5))
    assert np.array_equal(clean.X, noisy.X)
    assert np.array_equal(clean.Y_test, noisy.Y_test)
    assert (noisy.Y - clean.Y).std() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(("samples", "of_rows"), [(12, True), (6, True), (4, False)])
def test_isometric_inputs_are_orthonormal_rows_or_columns(samples, of_rows):
    made = data.teacher_student(6, 2, samples, isometric=True)
    gram = made.X @ made.X.T if of_rows else made.X.T @ made.X
    np.testing.assert_allclose(gram, np.eye(min(6, samples)), atol=1e-14)
    many = data.teacher_student(60, 2, 10 * samples, isometric=True)
    assert np.mean(many.X_test**2) == pytest.approx(np.mean(many.X**2), rel=0.1)


def test_a_teacher_with_hidden_units_bends_the_targets():
    made = data.teacher_student(3, 2, 500, hidden=8, phi="relu")
    left = made.Y - linear_fit(made) @ made.X
    assert np.linalg.norm(left) > 0.1 * np.linalg.norm(made.Y)
    flat = data.teacher_student(3, 2, 500, hidden=8)
    np.testing.assert_allclose(linear_fit(flat) @ flat.X, flat.Y, atol=1e-12)
    with pytest.raises(ValueError, match="A teacher with relu needs hidden="):
        data.teacher_student(3, 2, 5, phi="relu")


def test_the_task_of_lillicrap_has_thirty_inputs_ten_outputs_and_a_bounded_teacher():
    made = data.lillicrap_linear(500, seed=3)
    T = linear_fit(made)
    assert T.shape == (10, 30)
    assert 0.97 < np.abs(T).max() <= 1 + 1e-12
    assert T.std() == pytest.approx(1 / np.sqrt(3), rel=0.1)
    np.testing.assert_allclose(T @ made.X_test, made.Y_test, atol=1e-11)


# your own files


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "mine.npz", **arrays)
        return tmp_path / "mine.npz"

    return write


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        (tmp_path / "mine.csv").write_text(text, encoding=encoding)
        return tmp_path / "mine.csv"

    return write


X23, Y13 = np.arange(6.0).reshape(2, 3), np.array([[1.0, -1.0, 1.0]])


def test_npz_arrays_come_back_as_they_are(npz):
    made = data.load(npz(X=X23, Y=Y13, X_test=2 * X23[:, :2], Y_test=Y13[:, :2]))
    assert made.name == "mine"
    put = (X23, Y13, 2 * X23[:, :2], Y13[:, :2])
    for got, want in zip((made.X, made.Y, made.X_test, made.Y_test), put, strict=True):
        assert np.array_equal(got, want)
    assert isinstance(made.test_task("tanh", loss="logistic"), Task)


def test_npz_without_a_test_can_be_split_scaled_and_transposed(npz):
    path = npz(X=np.random.default_rng(0).standard_normal((20, 4)).astype("f4"), Y=np.arange(20))
    made = data.load(path, transpose=True, test=0.25, scale="standard")
    assert made.X.shape == (4, 15)
    assert made.Y.shape == (1, 15)
    assert made.X_test.shape == (4, 5)
    np.testing.assert_allclose(made.X.std(1), 1)
    assert data.load(path, transpose=True).X_test is None


NPZ_FAULTS = {
    "no Y": ({"X": X23, "labels": Y13}, "needs the array Y, but has X, labels"),
    "no Y_test": ({"X": X23, "Y": Y13, "X_test": X23}, "needs the array Y_test"),
    "samples as rows": ({"X": X23.T, "Y": Y13.T}, "one row a sample: load with transpose=True"),
    "samples as rows, one target": ({"X": X23.T, "Y": Y13[0]}, "load with transpose=True"),
    "other numbers of samples": ({"X": X23, "Y": Y13[:, :2]}, r"one column a sample, but X is"),
    "another test": ({"X": X23, "Y": Y13, "X_test": X23[:1], "Y_test": Y13}, "X_test and Y_test"),
    "NaN": ({"X": np.where(X23 == 4, np.nan, X23), "Y": Y13}, r"entry \(1, 1\) is nan"),
    "infinity": ({"X": X23, "Y": Y13 * np.inf}, r"\(0, 0\) is inf"),
    "words": ({"X": X23, "Y": np.array([["a", "b", "c"]])}, "must be a matrix of real numbers"),
    "objects": ({"X": X23, "Y": np.array([[1, None, 2]])}, "not an .npz file of plain arrays"),
}


@pytest.mark.parametrize("fault", NPZ_FAULTS)
def test_what_is_wrong_in_an_npz_is_one_sentence_with_its_path(npz, fault):
    arrays, words = NPZ_FAULTS[fault]
    path = npz(**arrays)
    with pytest.raises(ValueError, match=words) as error:
        data.load(path)
    assert str(path) in str(error.value)


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    (tmp_path / "trap.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match=r"not an \.npz file of plain arrays"):
        data.load(tmp_path / "trap.npz")


def test_one_array_saved_by_itself_is_not_an_npz(tmp_path):
    with open(tmp_path / "mine.npz", "wb") as file:
        np.save(file, X23)
    with pytest.raises(ValueError, match=r"not an \.npz file of plain arrays"):
        data.load(tmp_path / "mine.npz")


TABLE = "height,weight,kind\n1.5,2,cat\n2.5,3,dog\n3.5,4,cat\n"


def test_a_column_of_words_becomes_one_hot_classes(table):
    made = data.load(table(TABLE), target="kind")
    assert made.X.tolist() == [[1.5, 2.5, 3.5], [2, 3, 4]]
    assert made.labels.tolist() == [0, 1, 0]
    assert made.Y.tolist() == [[1, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("target", ["b", 1, -2, ["b"]])
def test_a_column_of_numbers_is_a_real_target(table, target):
    made = data.load(table("a, b ,c\n1,10,100\n\n2, 20 ,200\n"), target=target)
    assert made.Y.tolist() == [[10, 20]]
    assert made.X.tolist() == [[1, 2], [100, 200]]
    assert made.labels is None


def test_several_columns_can_be_targets_in_the_order_given(table):
    with_mark = "\ufeffa,b,c\n1,10,100\n2,20,200\n"  # as spreadsheets write UTF-8
    made = data.load(table(with_mark), target=["c", "a"])
    assert made.Y.tolist() == [[100, 200], [1, 2]]
    assert made.X.tolist() == [[10, 20]]


def test_classes_of_a_table_are_split_in_proportion(table):
    rows = "".join(f"{k},{'rare' if k % 4 == 0 else 'common'}\n" for k in range(40))
    made = data.load(table("x,kind\n" + rows), target="kind", test=0.5)
    assert made.Y.sum(1).tolist() == [15, 5]
    assert made.Y_test.sum(1).tolist() == [15, 5]


CSV_FAULTS = {
    "no target": (TABLE, None, "name the column of .*, one of height, weight, kind"),
    "unknown target": (TABLE, "color", "no column 'color'; it has height, weight, kind"),
    "number out of range": (TABLE, 3, "no column 3; it has"),
    "words as inputs": (TABLE, "weight", "line 2, column 'kind': 'cat' is not a number"),
    "a typing error": ("a,b\n1,2\n2,3x\n", "a", "line 3, column 'b': '3x' is not a number"),
    "a wrong target": ("a,b\n1,2\n2,?\n", "b", "line 3, column 'b': '\\?' is not a number"),
    "an empty cell": ("a,b\n1,\n2,3\n", "a", "line 2, column 'b': '' is not a number"),
    "an empty class": ("a,b\n1,x\n2,\n", "b", "line 2, column 'b': 'x' is not a number"),
    "NaN": ("a,b\n1,nan\n2,3\n", "a", "line 2, column 'b': 'nan' is not finite"),
    "infinity": ("a,b\n1,2\n2,-inf\n", "b", "line 3, column 'b': '-inf' is not finite"),
    "a short row": ("a,b\n1,2\n2\n", "a", "line 3: there are 1 cells, but 2 columns"),
    "no header": ("1,2\n3,4\n", 0, "must name each column once, not"),
    "the same name twice": ("a,a\n3,4\n", "a", "must name each column once, not"),
    "no rows": ("a,b\n", "a", "needs a header and at least one row"),
    "no inputs": ("a\n1\n", "a", "no columns left for the inputs"),
}


@pytest.mark.parametrize("fault", CSV_FAULTS)
def test_what_is_wrong_in_a_table_is_one_sentence_with_its_path(table, fault):
    text, target, words = CSV_FAULTS[fault]
    path = table(text)
    with pytest.raises(ValueError, match=words) as error:
        data.load(path, target=target)
    assert str(path) in str(error.value)


def test_a_table_in_another_encoding_is_refused(table):
    with pytest.raises(ValueError, match=r"not a \.csv file in UTF-8"):
        data.load(table("größe,b\n1,2\n", encoding="latin-1"), target="b")


def test_options_that_are_not_for_the_file_are_refused(npz, table):
    full = {"X": X23, "Y": Y13, "X_test": X23, "Y_test": Y13}
    with pytest.raises(ValueError, match=r"target= names columns of a \.csv"):
        data.load(npz(**full), target="a")
    with pytest.raises(ValueError, match="has a test of its own"):
        data.load(npz(**full), test=0.5)
    with pytest.raises(ValueError, match=r"transpose= is for an \.npz"):
        data.load(table(TABLE), target="kind", transpose=True)


def test_files_that_are_not_there_or_of_another_kind_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*nowhere\.csv"):
        data.load(tmp_path / "nowhere.csv", target=0)
    with pytest.raises(ValueError, match=r"must end in \.npz or \.csv, but ends in '\.txt'"):
        data.load(tmp_path / "mine.txt")


def test_by_name_finds_the_known_data_and_files_and_lists_what_it_knows(table):
    assert data.by_name("diabetes", samples=10).X.shape == (10, 10)
    assert data.by_name(str(table(TABLE)), target="kind").Y.shape == (2, 3)
    with pytest.raises(ValueError, match="Unknown data 'digit'; choose from digits, breast_cancer"):
        data.by_name("digit")
