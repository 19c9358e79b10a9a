"""What matrices that are no arrays refuse, where it would silently mean something else."""


class Plain:
    """Base of words, series and residues: these have operators, but none of NumPy's functions.

    NumPy would take them for a single number, so that ``np.mean(M)`` were M.  A change in place
    would here make a new matrix, and there change the old one.
    """

    __array_ufunc__ = None

    def __array_function__(self, function, types, args, kwargs):
        raise TypeError(f"{type(self).__name__} has no {function.__name__} of NumPy's")

    def __array__(self, *args, **kwargs):
        raise TypeError(f"{type(self).__name__} is no array")

    def _in_place(self, other):
        raise TypeError("a matrix is changed in place; write M = M + N, not M += N")

    __iadd__ = __isub__ = __imul__ = __imatmul__ = __itruediv__ = __ipow__ = _in_place


class Uncompared(Plain):
    """Base of series and residues, whose entries are not compared either."""

    __hash__ = None

    def __eq__(self, other):
        raise TypeError(f"{type(self).__name__} has no entries to compare")

    def __bool__(self):
        raise TypeError(f"{type(self).__name__} is neither true nor false")
