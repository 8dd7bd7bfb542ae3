"""Settings, read once from the environment (prefix `LEUKOSCOPE_`) or a `.env` file."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnparsedError

from core.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """The settings; a value out of its range raises an error."""

    model_config = SettingsConfigDict(
        env_prefix="LEUKOSCOPE_", env_file=".env", extra="ignore", use_attribute_docstrings=True
    )

    data: Path = PROJECT_ROOT / "data"
    """Folder with the public data sets; only training, evaluation and tests use it."""
    weights: Path | None = None
    """Folder with ImageNet weights as int8 npz; without it Keras downloads them."""
    models: Path = PROJECT_ROOT / "models"
    """Folder of the shipped models."""
    runs: Path = PROJECT_ROOT / "runs"
    """Folder of checkpoints and training logs."""
    store: Path = PROJECT_ROOT / "store"
    """Folder of the case database and its images."""
    slide_folders: tuple[Path, ...] = ()
    """Folders of whole slides for the page Microscope, as a JSON list of paths. Nothing outside
    them is shown."""
    slide_engine: Literal["local", "ray"] = "local"
    """Who counts on the page Microscope: `local`, this server, or `ray`, the cluster that
    RAY_ADDRESS names, or else one on this machine. Its machines have the program, the slides and
    `slide_cache` under the same paths."""
    slide_cache: Path = PROJECT_ROOT / "slide_cache"
    """Folder for copies of slides that cannot be read piece by piece; it may be emptied."""
    slide_cache_megabytes: PositiveInt = 20_000
    """Largest size of these copies together; the oldest are removed. While a copy is made, it takes
    a byte for each pixel of the slide more."""
    slide_uploads: Path = PROJECT_ROOT / "slide_uploads"
    """Folder of the slides that users upload on the page Microscope; each sees only their own."""
    slide_upload_megabytes: NonNegativeInt = 5000
    """Largest slide that is uploaded; 0 for none."""
    slide_uploads_total_megabytes: PositiveInt = 50_000
    """Largest size of all uploaded slides together, with what unfinished ones still lack."""
    slide_upload_days: PositiveInt = 7
    """Days after which uploads of slides that nobody continued are deleted."""
    database_url: SecretStr | None = None
    """postgresql://user:password@host/name; without it SQLite in the store folder."""
    pictures: SecretStr | None = None
    """s3://bucket/folder?region=...&endpoint_override=host:port; without it the images are in the
    store folder."""
    audit_heads: Path | None = None
    """File to which the audit trail's last number and hash are appended after every change; keep it
    on another volume than the database."""
    audit_key: Path | None = None
    """PEM file with the Ed25519 private key that signs them."""
    neutral_names: bool = False
    """Pages and API drop file names on arrival and call the files `field 1`, `field 2`. File names
    often hold identifiers of patients."""
    admins: frozenset[str] = frozenset({"local"})
    """Users who are administrators from their first visit, as a JSON list: verified e-mail
    addresses, or `issuer#subject`. Without single sign-on everybody is `local`."""
    admit_newcomers: bool = False
    """Users who sign in without an account become viewers."""
    open_access: bool = False
    """Serve other machines without sign-in and tokens. Every page then shows a warning."""
    hosts: frozenset[str] = frozenset()
    """Host names of the server, as a JSON list, in addition to this machine's own and that of
    single sign-on. Requests for other names are rejected."""
    https: bool = False
    """Browsers reach the server over HTTPS; cookies are sent over HTTPS only. Set automatically
    when the address of single sign-on uses HTTPS."""
    draft_days: PositiveInt = 14
    """Days after which uploads and counts of slides that nobody opened or saved to a patient are
    deleted."""
    learner_days: PositiveInt = 365
    """Days after which learners without an account who answered nothing more are deleted with all
    their results; those of a test whose link is still open stay."""
    session_hours: int = Field(default=12, ge=1, le=720)
    """Hours that a sign-in lasts."""
    signatures: int = Field(default=1, ge=1, le=2)
    """Signatures of different people that close a case."""
    second_signature: bool | None = None
    """A case with possible blasts, or another urgent flag, needs the signatures of two people.
    Unset, it does where users sign in and two or more of them may sign."""
    conclusions: Path = PROJECT_ROOT / "assets" / "conclusions.toml"
    """Templates of conclusions that a signer can start from."""
    ranges: Path = PROJECT_ROOT / "assets" / "reference_ranges.csv"
    """Table of reference ranges by laboratory, sex and age."""
    laboratory: str = ""
    """Whose reference ranges are used; without it the first in the table."""
    white_cell_factor: PositiveFloat | None = None
    """White cells per µL that correspond to one white cell per 40x field, calibrated on this
    microscope; without it no count is estimated from smears."""
    platelet_factor: PositiveFloat | None = None
    """Platelets per µL that correspond to one platelet per field, calibrated on this microscope
    (15,000 to 20,000 for 100x oil fields); without it no count is estimated."""
    max_file_megabytes: PositiveInt = 200
    """Largest file that is read."""
    max_megapixels: PositiveInt = 50
    """Largest image that is decoded."""
    max_file_images: PositiveInt = 500
    """Most images of one file, such as pages of a TIFF."""
    max_file_megapixels: PositiveInt = 200
    """Most megapixels that are decoded from one file."""
    min_side_pixels: int = Field(default=48, ge=16)
    """Shortest side of an image."""
    decoder_seconds: float = Field(default=5, gt=0, le=600)
    """Processor time for decoding one uploaded file."""
    decoder_megabytes: int = Field(default=1000, ge=100)
    """Memory for decoding one uploaded file."""
    interpreters: int = Field(default=2, ge=1, le=64)
    """LiteRT interpreters kept per model."""
    threads: int = Field(default=2, ge=1, le=64)
    """Threads per interpreter."""
    connections: PositiveInt = 600
    """Connections at a time; each takes a file descriptor."""
    connections_per_address: PositiveInt = 200
    """Connections of one address, and its requests and pages; of the addresses in
    FORWARDED_ALLOW_IPS only those of the clients behind them are counted."""
    session_upload_megabytes: PositiveInt = 512
    """Uploads to the pages that are not yet read, per session."""
    upload_megabytes: PositiveInt = 600
    """Uploads to the pages that are not yet read, of all sessions together; as much again is kept
    for saving."""
    api_tokens: bool | None = None
    """API requests need a token; unset, they do when users sign in."""
    api_queue: NonNegativeInt = 32
    """API requests that wait for the models; more are answered as busy."""
    api_files: PositiveInt = 100
    """Images per API request; any number in streamed requests."""
    api_request_megabytes: PositiveInt = 2000
    """Largest body of an API request."""
    api_requests_per_minute: PositiveInt = 6000
    """API requests that one address may send in a minute."""

    @field_validator("hosts")
    @classmethod
    def _are_names(cls, hosts: frozenset[str]) -> frozenset[str]:
        if any(not host or set(host) & set("/:*@ ") for host in hosts):
            raise ValueError("must hold names or IPv4 addresses, without scheme, port or wildcard")
        return hosts

    @field_validator("database_url", "pictures")
    @classmethod
    def _has_its_scheme(cls, address: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if address is None or not address.get_secret_value():
            return None
        scheme = "postgresql://" if info.field_name == "database_url" else "s3://"
        if not address.get_secret_value().startswith(scheme):
            raise ValueError(f"must begin with {scheme}")
        return address


@cache
def get_settings() -> Settings:
    """Return the settings of this process. Raises SettingsError; a failure is not kept."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        raise SettingsError(
            str(wrong["loc"][0]), wrong["msg"].removeprefix("Value error, ")
        ) from error
    except UnparsedError as error:  # whose message names the field, in quotes, and its source
        raise SettingsError(str(error).split('"')[1], "must be JSON") from error
