"""Objects that stand for a criterion, as a PyTorch module or a Keras loss does: its fields, and the
parameters of its loss, are read and set on them, with effect. What would have none raises."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from l2core.checks import true_first
from l2core.criterion import Criterion

NOTES = re.compile(r"_|qconfig$|ds_")
"""Names under which tools keep notes of their own on any module (quantization, DeepSpeed)."""


class Attributes:
    """A base before the framework's own. ``criterion`` is set last in a constructor.

    ``fixed`` names what an object of its kind has for good.
    """

    if TYPE_CHECKING:  # an annotation of a class of their own is too much for torch.jit.script
        criterion: Criterion
    fixed: ClassVar[frozenset[str]] = frozenset()
    _package: ClassVar[str] = ""
    """Whose classes have no other attributes; those that users derive may."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if Attributes in cls.__bases__:
            cls._package = cls.__module__.partition(".")[0]

    def __getattr__(self, name: str) -> Any:
        """A field of the criterion or a parameter of its loss."""
        criterion = self.__dict__.get("criterion")
        if criterion is not None and not name.startswith("_") and name in _names(criterion):
            return getattr(criterion if name in FIELDS else criterion.loss, name)
        if name == "name" and (wrong := true_first(1)):
            raise TypeError(wrong)  # Keras takes an AttributeError for an answer
        return self.missing(name)

    def missing(self, name: str) -> Any:
        """What the framework's own class has under this name; else AttributeError."""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """A field or parameter, checked as in a constructor; AttributeError for an unknown name."""
        criterion = self.__dict__.get("criterion")
        if criterion is None:
            super().__setattr__(name, value)
        elif name in self.fixed:
            raise AttributeError(
                f"{name}: expected {getattr(self, name)!r} for good, got {value!r}"
            )
        elif name in _names(criterion):
            if name not in FIELDS:
                name, value = "loss", replace(criterion.loss, **{name: value})
            self.change(replace(criterion, **{name: value}))
        elif name == "criterion":
            if type(value) is not type(criterion):
                raise TypeError(f"criterion: expected {criterion!r} or alike, got {value!r}")
            self.change(value)
        else:
            known = name in self.__dict__ or hasattr(type(self), name) or NOTES.match(name)
            if not known and type(self).__module__.partition(".")[0] == self._package:
                raise AttributeError(
                    f"{name}: expected one of {', '.join(sorted(_names(criterion)))}, "
                    f"got {value!r}, which would have no effect"
                )
            super().__setattr__(name, value)

    def change(self, criterion: Any) -> None:
        """Take another criterion."""
        self.__dict__["criterion"] = criterion


FIELDS = frozenset(field.name for field in fields(Criterion))


def _names(criterion: Criterion) -> frozenset[str]:
    return FIELDS.union(field.name for field in fields(criterion.loss))
