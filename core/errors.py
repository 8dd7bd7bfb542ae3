"""Everything that can go wrong, as one tree.

LeukoscopeError             shown to the user as one sentence with what to do next
├── InputError              the file handed in is at fault
│   ├── EmptyFileError
│   ├── NotAnImageError
│   ├── DamagedImageError
│   ├── UnsupportedFormatError
│   ├── TooLargeError
│   └── TooSmallError
├── ModelError              a model file is missing, damaged or does not fit its card
└── DataError               a training or test set is missing or damaged
    └── DataNotFoundError

`str(error)` is the sentence. It never contains a path of the server or a Python name.
"""


class LeukoscopeError(Exception):
    """Base of all errors a user may see; the message is a full sentence."""


class InputError(LeukoscopeError):
    """The file handed in cannot be analysed."""


class EmptyFileError(InputError):
    """The file has no bytes."""

    def __init__(self) -> None:
        super().__init__("The file is empty. Export the picture again and upload it once more.")


class NotAnImageError(InputError):
    """The bytes are no picture in any format that is read here."""

    def __init__(self) -> None:
        super().__init__(
            "This is not a picture that can be read. Use JPEG, PNG, BMP, TIFF or WebP."
        )


class DamagedImageError(InputError):
    """The header names a picture format but the pixels cannot be decoded."""

    def __init__(self) -> None:
        super().__init__(
            "The picture is damaged or cut short. Copy it again from the camera or scanner."
        )


class UnsupportedFormatError(InputError):
    """A known format, or a variant of it, that is not read here."""


class TooLargeError(InputError):
    """More bytes or pixels than the settings allow."""


class TooSmallError(InputError):
    """Fewer pixels than a cell needs to be recognised."""


class ModelError(LeukoscopeError):
    """A model file is missing, damaged, or does not fit its card."""


class DataError(LeukoscopeError):
    """A data set is damaged or does not look as expected."""


class DataNotFoundError(DataError):
    """A data set is not on this machine."""
