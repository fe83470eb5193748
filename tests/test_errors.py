"""Bad input raises one sentence: the argument's name, what was expected, what came."""

import re

import astropy.units
import dask.array
import numpy as np
import pytest
import torch
import torch.masked
from astropy.utils.masked import Masked

from l2core import Criterion, GaussianNLL, Huber, SquaredError
from subjects import harnesses

pytestmark = pytest.mark.once

NAMES = {"pred": {"pred", "input", "y_pred"}, "target": {"target", "y_true"}}
NAMES |= {"weight": {"weight", "sample_weight"}, "axis": {"axis"}, "mask": {"mask"}}
NAMES |= {"variance": {"variance"}, "denominator": {"denominator"}}
PLAIN = Criterion()
SENTENCE = re.compile(r"(\w+)(?: and (\w+))?: expected [^\n]+[,;] got [^\n]+")


def array(harness, shape=(4, 3), dtype="float32"):
    return harness.array(np.ones(shape), dtype)


def refused(harness, error, name, *words, criterion=PLAIN, **arguments):
    """The face raises this error with one sentence that names the argument and has these words."""
    given = {"pred": array(harness), "target": array(harness), **arguments}
    pred, target = given.pop("pred"), given.pop("target")
    with pytest.raises(error) as caught:
        harness.face(criterion)(pred, target, **given)
    assert type(caught.value) is error
    message = str(caught.value)
    found = SENTENCE.fullmatch(message)
    assert found, message
    assert found[1] in NAMES[name], message
    for word in words:
        assert word in message


class Duck:
    """Looks like an array to whom it does not matter whose."""

    shape, dtype, ndim = (4, 3), np.dtype("float32"), 2

    def __array__(self, dtype=None, copy=None):
        return np.ones(self.shape, dtype)


NO_ARRAYS = {
    "None": (None, "None"),
    "a string": ("abc", "str"),
    "a list": ([1.0, 2.0], "list"),
    "a list of lists": ([[1.0, 2.0], [3.0, 4.0]], "list"),
    "a ragged list": ([[1.0], [2.0, 3.0]], "list"),
    "a tuple": ((1.0, 2.0), "tuple"),
    "a number": (1.0, "float"),
    "a dict": ({"x": 1.0}, "dict"),
    "a duck": (Duck(), "Duck"),
    "a type": (np.ndarray, "type"),
}


@pytest.mark.parametrize("kind", NO_ARRAYS)
def test_what_is_no_array(harness, kind):
    x, got = NO_ARRAYS[kind]
    refused(harness, TypeError, "pred", got, pred=x)
    refused(harness, TypeError, "target", got, target=x)
    if x is not None:
        refused(harness, TypeError, "mask", got, mask=x)
        if kind != "a number":
            refused(harness, TypeError, "weight", got, weight=x)
            refused(
                harness, TypeError, "variance", got, variance=x, criterion=Criterion(GaussianNLL())
            )
            refused(harness, TypeError, "denominator", denominator=x)


@pytest.mark.parametrize("dtype", ["U3", "O", "M8[s]", "m8[s]", "V4"])
def test_numpy_arrays_without_numbers(harness, dtype):
    x = np.zeros((4, 3), dtype)
    refused(harness, TypeError, "pred", pred=x)
    refused(harness, TypeError, "target", target=x)
    refused(harness, TypeError, "weight", weight=x)


def takes_numpy(harness):
    """JAX and Keras take NumPy arrays wherever they take their own; so do their faces."""
    return harness.name.startswith(("jax", "keras", "numpy"))


def test_arrays_of_another_framework(harness):
    """Each other framework's arrays, in each place; NumPy's only where the framework takes them."""
    for other in harnesses():
        strange = other.array(np.ones((4, 3)), "float32")
        if isinstance(strange, type(array(harness))):
            continue
        if other.name == "numpy" and takes_numpy(harness):
            face = harness.face(Criterion())
            assert harness.numpy(face(array(harness), strange)) == 0
            continue
        own, came = type(strange).__name__.rpartition(".")[2], array(harness)
        refused(harness, TypeError, "target", own, target=strange)
        refused(harness, TypeError, "weight", own, weight=strange)
        refused(harness, TypeError, "mask", own, mask=other.array(np.ones((4, 3), bool)))
        refused(harness, TypeError, "denominator", denominator=other.array(np.float32(3)))
        # Where the face finds the framework by pred, it is the target that does not fit.
        first = "target" if harness.name in ("array-api-strict", "numpy", "tensorflow") else "pred"
        refused(harness, TypeError, first, pred=strange, target=came)


ROW = np.array([1.0, 2.0])
CARRYING = {  # more than numbers: what it is, what is expected
    "numpy.matrix": (np.asmatrix, "a plain numpy.ndarray"),
    "numpy.MaskedArray": (np.ma.masked_array, "the argument mask"),
    "astropy.Quantity": (lambda x: x * astropy.units.m, "without a unit"),
    "astropy.MaskedNDArray": (lambda x: Masked(x, mask=[True, False]), "the argument mask"),
    "dask.Array of numpy.MaskedArray": (
        lambda x: dask.array.ma.masked_equal(dask.array.from_array(x, chunks=1), 1.0),
        "the argument mask",
    ),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("kind", CARRYING)
def test_arrays_that_carry_more_than_numbers(kind):
    made, expected = CARRYING[kind]
    x = made(ROW)
    plain = (dask.array.from_array(ROW) if "dask" in kind else ROW).reshape(x.shape)
    for axis in (None, 0):
        for name, pair, more in (
            ("pred", (x, x), {}),
            ("target", (plain, x), {}),
            ("weight", (plain, plain), {"weight": x}),
        ):
            with pytest.raises(TypeError) as caught:
                Criterion(Huber(), axis=axis)(*pair, **more)
            assert SENTENCE.fullmatch(str(caught.value))
            assert str(caught.value).startswith(f"{name}: expected")
            assert expected in str(caught.value)
            assert str(caught.value).endswith(f"got {kind}")


@pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors:UserWarning")
def test_masked_tensors_of_pytorch():
    tensor = torch.ones(3)
    masked = torch.masked.MaskedTensor(tensor, tensor > 0)
    for pair in ((masked, masked), (tensor, masked)):
        with pytest.raises(TypeError, match=r"the argument mask, got MaskedTensor$"):
            Criterion()(*pair)


def test_lengths_that_dask_does_not_know():
    x = dask.array.from_array(np.arange(6.0), chunks=2)
    x = x[x > 1]
    expected = r"^pred: expected known lengths \(compute_chunk_sizes.*\), got shape \(nan,\)$"
    with pytest.raises(ValueError, match=expected):
        Criterion()(x, x)
    x.compute_chunk_sizes()
    assert float(Criterion()(x, x)) == 0


def test_a_scalar_weight_that_would_cancel(harness):
    for scalar in (2.0, array(harness, ())):
        for reduction in ("mean", "root_mean"):
            wish = {"weight": scalar, "criterion": Criterion(reduction=reduction)}
            refused(harness, ValueError, "weight", "a scalar cancels", "count", **wish)
        # Where it has an effect it is taken, and where there are no axes to have.
        face = harness.face(Criterion())
        pred, target = array(harness), array(harness) * 2
        assert harness.numpy(face(pred, target, weight=scalar, denominator=12.0)) in (1, 2)
        face = harness.face(Criterion(denominator="count"))
        assert harness.numpy(face(pred, target, weight=scalar)) in (1, 2)
        face = harness.face(Criterion())
        assert harness.numpy(face(array(harness, ()), array(harness, ()), weight=scalar)) == 0


SHAPES = [((4, 3), (3, 4)), ((4,), (4, 1)), ((4, 1), (4,)), ((4, 1), (4, 3)), ((3, 1), (1, 3))]
SHAPES += [((4, 3), (3,)), ((), (1,)), ((2, 2), (4,)), ((0,), (0, 3)), ((3,), (4,))]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_unequal_shapes(harness, shapes):
    pred, target = (array(harness, shape) for shape in shapes)
    refused(harness, ValueError, "pred", *map(str, shapes), pred=pred, target=target)


ALIGNED = [(3,), (1,), (4, 1, 1), (3, 4), (2, 3), (4, 2), (4, 3, 1), (1, 4, 3), (0,), (12,)]


@pytest.mark.parametrize("shape", ALIGNED, ids=str)
def test_weights_and_masks_that_do_not_align(harness, shape):
    for name, x in (("weight", array(harness, shape)), ("mask", array(harness, shape, "bool"))):
        refused(harness, ValueError, name, "(4, 3)", str(shape), **{name: x})
    variance = {"variance": array(harness, shape), "criterion": Criterion(GaussianNLL())}
    refused(harness, ValueError, "variance", "(4, 3)", str(shape), **variance)


def test_dtypes_of_the_other_arguments(harness):
    refused(harness, TypeError, "mask", "bool", "float32", mask=array(harness))
    refused(harness, TypeError, "mask", "bool", "uint8", mask=array(harness, dtype="uint8"))
    refused(harness, TypeError, "mask", "float", mask=1.0)
    if "complex64" in harness.dtypes:
        strange = array(harness, dtype="complex64")
        refused(harness, TypeError, "weight", "real", "complex64", weight=strange)
        scalar = array(harness, (), "complex64")
        refused(harness, TypeError, "denominator", "real", "complex64", denominator=scalar)
        gaussian = Criterion(GaussianNLL())
        refused(harness, TypeError, "variance", "complex64", variance=strange, criterion=gaussian)
    refused(harness, TypeError, "weight", weight=1j)
    refused(harness, TypeError, "denominator", denominator=1j)


def test_given_denominators(harness):
    refused(harness, ValueError, "denominator", "(4,)", denominator=array(harness, (4,)))
    for bad in (0, 0.0, -1.0, float("nan"), float("inf")):
        refused(harness, ValueError, "denominator", repr(bad), denominator=bad)
    for bad in ("weight", True, [3.0]):
        refused(harness, TypeError, "denominator", denominator=bad)
    for reduction in ("none", "sum"):
        criterion = Criterion(reduction=reduction)
        refused(harness, ValueError, "denominator", reduction, denominator=3.0, criterion=criterion)


def test_variances(harness):
    """Asked of the loss that needs one, refused by the others."""
    refused(
        harness, TypeError, "variance", "GaussianNLL", "None", criterion=Criterion(GaussianNLL())
    )
    refused(harness, TypeError, "variance", "SquaredError", "None", variance=array(harness))
    refused(harness, TypeError, "variance", "Huber", variance=1.0, criterion=Criterion(Huber()))


def test_axes_that_are_not_there(harness):
    for axis in (2, -3, (0, 2), (0, 0), (1, -1)):
        criterion = Criterion(axis=axis)
        refused(harness, ValueError, "axis", "rank 2", repr(axis), criterion=criterion)
    scalar = {"pred": array(harness, ()), "target": array(harness, ())}
    refused(harness, ValueError, "axis", "rank 0", criterion=Criterion(axis=0), **scalar)
    batch = Criterion(denominator="batch")
    refused(harness, ValueError, "denominator", "()", criterion=batch, **scalar)


def test_unknown_arguments(harness):
    for wrong in ("weights", "sample_weigth", "where"):
        with pytest.raises(TypeError, match=wrong):
            harness.face(Criterion())(array(harness), array(harness), **{wrong: None})


@pytest.mark.modes("jit", "function")
def test_errors_while_tracing(harness, mode):
    """Shapes and dtypes are checked when a function is traced, with the same sentences."""
    pred, target = array(harness), array(harness, (3, 4))
    with pytest.raises(ValueError, match=r"expected equal shapes, got \(4, 3\) and \(3, 4\)"):
        harness.run(harness.face(Criterion()), pred, target, mode=mode)


CONSTRUCTION = [  # error, field, arguments
    (ValueError, "loss", {"loss": "mse"}),
    (TypeError, "loss", {"loss": None}),
    (TypeError, "loss", {"loss": SquaredError}),
    (ValueError, "reduction", {"reduction": "Mean"}),
    (ValueError, "reduction", {"reduction": None}),
    (ValueError, "reduction", {"reduction": 1}),
    (ValueError, "denominator", {"denominator": "weights"}),
    (ValueError, "denominator", {"denominator": 0}),
    (ValueError, "denominator", {"denominator": -3.0}),
    (ValueError, "denominator", {"denominator": float("nan")}),
    (ValueError, "denominator", {"denominator": float("inf")}),
    (TypeError, "denominator", {"denominator": None}),
    (TypeError, "denominator", {"denominator": True}),
    (TypeError, "denominator", {"denominator": np.ones(3)}),
    (TypeError, "axis", {"axis": "0"}),
    (TypeError, "axis", {"axis": 1.0}),
    (TypeError, "axis", {"axis": [0, 1.5]}),
    (ValueError, "axis", {"axis": ()}),
    (ValueError, "axis", {"axis": []}),
    (TypeError, "axis", {"axis": (0, None)}),
    (TypeError, "axis", {"axis": True}),
    (ValueError, "empty", {"empty": "Zero"}),
    (ValueError, "empty", {"empty": 0}),
    (ValueError, "nan_targets", {"nan_targets": "omit"}),
    (ValueError, "nan_targets", {"nan_targets": True}),
    (ValueError, "axis", {"reduction": "none", "axis": 0}),
    (ValueError, "denominator", {"reduction": "sum", "denominator": "count"}),
    (ValueError, "denominator", {"reduction": "none", "denominator": 2.0}),
    (ValueError, "empty", {"reduction": "sum", "empty": "zero"}),
    (ValueError, "empty", {"reduction": "none", "empty": "zero"}),
]


@pytest.mark.parametrize(("error", "field", "arguments"), CONSTRUCTION, ids=str)
def test_fields_are_checked_at_construction(error, field, arguments):
    with pytest.raises(error) as caught:
        Criterion(**arguments)
    found = SENTENCE.fullmatch(str(caught.value))
    assert found, str(caught.value)
    assert found[1] == field
