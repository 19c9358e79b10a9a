"""Reading a user's own data from .npz and .csv, with one sentence for each wrong thing."""

import csv

import numpy as np

from .nets import matrix


def read_npz(path, transpose):
    """X, Y, X_test, Y_test of a file, the last two None if there is no test."""
    names = ("X", "Y", "X_test", "Y_test")
    try:
        with np.load(path, allow_pickle=False) as file:
            there = file.files
            arrays = {name: file[name] for name in names if name in there}
    except Exception as error:
        raise ValueError(f"{path} is not an .npz file of plain arrays: {error}") from error
    needed = names if "X_test" in arrays or "Y_test" in arrays else names[:2]
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise ValueError(
            f"{path} needs the array {missing[0]}, but has {', '.join(there) or 'none'}."
        )
    pairs = zip(needed[::2], needed[1::2], strict=True)
    both = [_pair(path, arrays, *pair, transpose) for pair in pairs]
    if [len(M) for M in both[0]] != [len(M) for M in both[-1]]:
        raise ValueError(
            f"X and Y in {path} have {len(both[0][0])} and {len(both[0][1])} rows, but X_test and"
            f" Y_test have {len(both[1][0])} and {len(both[1][1])}."
        )
    return (*both[0], *(both[1] if len(both) == 2 else (None, None)))


def read_arrays(path):
    """{name: array} of all in an .npz file, in its order."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names = file.files
            if any(name.endswith("data.pkl") for name in names):
                raise ValueError("torch.save wrote it; write the state_dict by numpy.savez instead")
            return {name: file[name] for name in names}
    except Exception as error:
        raise ValueError(f"{path} is not an .npz file of plain arrays: {error}") from error


def _pair(path, arrays, x, y, transpose):
    """Inputs and targets with one column a sample."""
    turned = lambda M: M.T if transpose and M.ndim == 2 else M
    X, Y = turned(arrays[x]), turned(arrays[y])
    X = matrix(X, f"{x} in {path}")
    Y = matrix(Y[None] if Y.ndim == 1 else Y, f"{y} in {path}")
    if X.shape[1] == Y.shape[1]:
        return X, Y
    wrong = f"{x} and {y} in {path} must have one column a sample, but {x} is {X.shape} and {y} is"
    if len(X) in (len(Y), arrays[y].size):
        raise ValueError(
            f"{wrong} {arrays[y].shape}; they seem to have one row a sample: load with"
            f" transpose={not transpose}."
        )
    raise ValueError(f"{wrong} {arrays[y].shape}.")


def read_csv(path, target):
    """X, Y and the integer classes, None for targets that are numbers."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a .csv file in UTF-8: {error}.") from error
    if len(rows) < 2:
        raise ValueError(f"{path} needs a header and at least one row below it.")
    (_, header), *rows = rows
    if len(set(header)) < len(header) or all(map(_is_number, header)):
        raise ValueError(f"The first row of {path} must name each column once, not {header}.")
    for line, row in rows:
        if len(row) != len(header):
            raise ValueError(
                f"{path}, line {line}: there are {len(row)} cells, but {len(header)} columns."
            )
    outputs = _columns(path, header, target)
    inputs = [k for k in range(len(header)) if k not in outputs]
    if not inputs:
        raise ValueError(f"{path} has no columns left for the inputs.")
    number = lambda k: _numbers(path, header[k], [(line, row[k]) for line, row in rows])
    words = [row[outputs[0]] for _, row in rows]
    X = np.array([number(k) for k in inputs])
    if len(outputs) > 1 or any(map(_is_number, words)) or "" in words:
        return X, np.array([number(k) for k in outputs]), None
    names, classes = np.unique(words, return_inverse=True)
    return X, np.eye(len(names))[:, classes], classes


def _columns(path, header, target):
    """Numbers of the target's columns."""
    if target is None or target == [] or target == ():
        raise ValueError(
            f"target= must name the column of {path} to learn, one of {', '.join(header)}."
        )
    several = list(target) if isinstance(target, list | tuple) else [target]
    found = []
    for one in several:
        if isinstance(one, int) and -len(header) <= one < len(header):
            found.append(one % len(header))
        elif one in header:
            found.append(header.index(one))
        else:
            raise ValueError(f"{path} has no column {one!r}; it has {', '.join(header)}.")
    return found


def _numbers(path, column, cells):
    values = []
    for line, cell in cells:
        if not _is_number(cell):
            raise ValueError(f"{path}, line {line}, column {column!r}: {cell!r} is not a number.")
        values.append(float(cell))
        if not np.isfinite(values[-1]):
            raise ValueError(f"{path}, line {line}, column {column!r}: {cell!r} is not finite.")
    return values


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True
