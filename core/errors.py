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

READABLE_FORMATS = "JPEG, PNG, BMP, TIFF or WebP"


class LeukoscopeError(Exception):
    """Base of all errors a user may see; the message is a full sentence."""


class InputError(LeukoscopeError):
    """The file handed in cannot be analysed."""


class EmptyFileError(InputError):
    """The file has no bytes."""

    def __init__(self) -> None:
        super().__init__("The file is empty. Export the picture again and send it once more.")


class NotAnImageError(InputError):
    """The bytes are no picture in any format that is known here."""

    def __init__(self) -> None:
        super().__init__(f"This is not a picture. Send a {READABLE_FORMATS} file.")


class DamagedImageError(InputError):
    """The header names a picture format but the pixels cannot be decoded."""

    def __init__(self) -> None:
        super().__init__(
            "The picture is damaged or cut short. Copy it again from the camera or scanner."
        )


class UnsupportedFormatError(InputError):
    """A known format, or a variant of it, that is not read here."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not read here. Save the picture as {READABLE_FORMATS}.")


class TooLargeError(InputError):
    """More bytes or pixels than the settings allow."""

    def __init__(self, size: str, limit: str) -> None:
        super().__init__(
            f"The picture is too large ({size}; the limit is {limit}). "
            "Crop it to the fields of interest."
        )


class TooSmallError(InputError):
    """Fewer pixels than a cell needs to be recognised."""

    def __init__(self, width: int, height: int, minimum: int) -> None:
        super().__init__(
            f"The picture is too small ({width} × {height} px; each side needs {minimum} px). "
            "Send the original, not a preview."
        )


class ModelError(LeukoscopeError):
    """A model file is missing, damaged, or does not fit its card."""


class DataError(LeukoscopeError):
    """A data set is damaged or does not look as expected."""


class DataNotFoundError(DataError):
    """A data set is not on this machine."""
