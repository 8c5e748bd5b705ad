"""What `hepnn.images.JetImage` and `hepnn.calo_images.CaloImage` have in common as representations of a tagger."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from hepnn.errors import InputError, closest
from hepnn.image_augmentation import image_augmenter
from hepnn.pixels import IMAGE, Images, sums_at
from hepnn.scaling import Scaling
from hepnn.tensors import Augment, Contents, TensorSpec

__all__ = ["ImageRepresentation"]


class ImageRepresentation(ABC):
    """What the representations of jets and showers as images have in common (see `hepnn.tensors.Representation`).

    Attributes:
        data_format: ``channels_last`` or ``channels_first``.
        quantity: what the records of an image carry, in words.
    """

    data_format: str
    quantity: ClassVar[str]

    @property
    @abstractmethod
    def default_augmentations(self) -> tuple[str, ...]:
        """What training images are varied by, unless told otherwise: what the alignment leaves free."""

    @property
    @abstractmethod
    def channel_axis(self) -> int:
        """Which axis of an image its channels are."""

    @property
    @abstractmethod
    def plane_axes(self) -> tuple[int, int]:
        """Which axes of an image η and φ are."""

    @abstractmethod
    def contents(self) -> dict[str, Contents]:
        """Returns what the tensor holds, by its name."""

    def plane(self, image: npt.NDArray[Any], *, channel: str | None = None) -> npt.NDArray[Any]:
        """Returns an image as a picture, (η, φ): one channel, with the layers of a volume and the times of a film summed up.

        Args:
            image: of the representation's shape.
            channel: the name of one; if None, the sum of all, which have to be of one quantity.

        Raises:
            InputError: an unknown channel.
        """
        names = self.contents()[IMAGE].features
        image = np.moveaxis(image, (self.channel_axis, *self.plane_axes), (-3, -2, -1))
        if channel is not None and channel not in names:
            raise InputError(f"asked for the channel {channel!r} of images; closest: {closest(channel, names)}.")
        chosen = image if channel is None else image[..., names.index(channel), :, :][..., None, :, :]
        return np.asarray(chosen.sum(axis=tuple(range(chosen.ndim - 2))))

    def specs(self, images: Images, *, scaling: str) -> dict[str, TensorSpec]:
        """Returns what the network is told of the images.

        Args:
            images: those of the training jets.
            scaling: "fixed" to leave the pixels as they are, "fitted" to divide each channel by the root mean square of
                its pixels that are not empty. Either way an empty pixel is 0.

        Raises:
            InputError: another scaling.
        """
        if scaling not in ("fixed", "fitted"):
            raise InputError(f"asked for the scaling {scaling!r}; known: fixed, fitted.")
        n_channels = images.shape[self.channel_axis]
        scale = np.ones(n_channels)
        if scaling == "fitted":
            channel = np.unravel_index(images.pixels, images.shape)[self.channel_axis]
            squares = sums_at(channel, images.values.astype(np.float64) ** 2, n=n_channels)
            counts = np.bincount(channel, minlength=n_channels)
            scale = np.sqrt(np.divide(counts, squares, out=scale, where=squares > 0))
        limit = float(np.finfo(np.float32).max)
        of_channels = Scaling(
            (0.0,) * n_channels, tuple(map(float, scale)), (-limit,) * n_channels, (limit,) * n_channels
        )
        return {IMAGE: TensorSpec(images.shape, of_channels, channel_axis=self.channel_axis)}

    def augmenter(self, names: Sequence[str]) -> Augment:
        """Returns the function that varies a training batch.

        Args:
            names: keys of `hepnn.image_augmentation.IMAGE_AUGMENTATIONS`.

        Raises:
            InputError: an unknown name.
        """
        return image_augmenter(names, data_format=self.data_format)

    def left_out(self, images: Images) -> str:
        """Returns in words what of the records is not in their images; "" for nothing."""
        share = float(images.share_outside.mean()) if len(images) else 0.0
        return f"{100 * share:.2g} % of the {self.quantity} lies outside of the images, on average" if share else ""

    def settings(self) -> dict[str, Any]:
        """Returns the arguments with which a `hepnn.Tagger` makes this representation."""
        return {"representation": self}

    def to_dict(self) -> dict[str, Any]:
        """Returns a description that JSON can hold."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]  # every child is a dataclass
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(
        cls, description: Mapping[str, Any], *, custom: Mapping[str, Callable[..., Any]] = MappingProxyType({})
    ) -> Self:
        """Returns the representation that `to_dict` described.

        Args:
            description: what `to_dict` returned.
            custom: the user's own features, as other representations take them; images have none.
        """
        return cls(**description)
