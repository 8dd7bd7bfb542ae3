"""Settings, read once from the environment (prefix `LEUKOSCOPE_`) or a `.env` file."""

from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnparsedError

from core.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """The settings; a value out of its range raises an error."""

    model_config = SettingsConfigDict(env_prefix="LEUKOSCOPE_", env_file=".env", extra="ignore")

    data: Path = Field(
        default=PROJECT_ROOT / "data",
        description="Folder with the public data sets; only training, evaluation and tests use it.",
    )
    weights: Path | None = Field(
        default=None,
        description="Folder with ImageNet weights as int8 npz; without it Keras downloads them.",
    )
    models: Path = Field(
        default=PROJECT_ROOT / "models", description="Folder of the shipped models."
    )
    runs: Path = Field(
        default=PROJECT_ROOT / "runs", description="Folder of checkpoints and training logs."
    )
    store: Path = Field(
        default=PROJECT_ROOT / "store",
        description="Folder of the case database and its images.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="postgresql://user:password@host/name; without it SQLite in the store folder.",
    )
    pictures: SecretStr | None = Field(
        default=None,
        description="s3://bucket/folder?region=...&endpoint_override=host:port; without it the "
        "images are in the store folder.",
    )
    audit_heads: Path | None = Field(
        default=None,
        description="File to which the audit trail's last number and hash are appended after "
        "every change; keep it on another volume than the database.",
    )
    audit_key: Path | None = Field(
        default=None,
        description="PEM file with the Ed25519 private key that signs them.",
    )
    neutral_names: bool = Field(
        default=False,
        description="Pages and API drop file names on arrival and call the files `field 1`, "
        "`field 2`. File names often hold identifiers of patients.",
    )
    admins: frozenset[str] = Field(
        default=frozenset({"local"}),
        description="Users who are administrators from their first visit, as a JSON list: verified "
        "e-mail addresses, or `issuer#subject`. Without single sign-on everybody is `local`.",
    )
    admit_newcomers: bool = Field(
        default=False,
        description="Users who sign in without an account become viewers.",
    )
    open_access: bool = Field(
        default=False,
        description="Serve other machines without sign-in and tokens. Every page then shows a "
        "warning.",
    )
    hosts: frozenset[str] = Field(
        default=frozenset(),
        description="Host names of the server, as a JSON list, in addition to this machine's own "
        "and that of single sign-on. Requests for other names are rejected.",
    )
    https: bool = Field(
        default=False,
        description="Browsers reach the server over HTTPS; cookies are sent over HTTPS only. "
        "Set automatically when the address of single sign-on uses HTTPS.",
    )
    session_hours: int = Field(default=12, ge=1, le=720, description="Hours that a sign-in lasts.")
    signatures: int = Field(
        default=1, ge=1, le=2, description="Signatures of different people that close a case."
    )
    ranges: Path = Field(
        default=PROJECT_ROOT / "assets" / "reference_ranges.csv",
        description="Table of reference ranges by laboratory, sex and age.",
    )
    laboratory: str = Field(
        default="",
        description="Whose reference ranges are used; without it the first in the table.",
    )
    white_cell_factor: float | None = Field(
        default=None,
        gt=0,
        description="White cells per µL that correspond to one white cell per 40x field, "
        "calibrated on this microscope; without it no count is estimated from smears.",
    )
    max_file_megabytes: int = Field(default=200, ge=1, description="Largest file that is read.")
    max_megapixels: int = Field(default=50, ge=1, description="Largest image that is decoded.")
    max_file_images: int = Field(
        default=500, ge=1, description="Most images of one file, such as pages of a TIFF."
    )
    max_file_megapixels: int = Field(
        default=200, ge=1, description="Most megapixels that are decoded from one file."
    )
    min_side_pixels: int = Field(default=48, ge=16, description="Shortest side of an image.")
    decoder_seconds: float = Field(
        default=5, gt=0, le=600, description="Processor time for decoding one uploaded file."
    )
    decoder_megabytes: int = Field(
        default=1000, ge=100, description="Memory for decoding one uploaded file."
    )
    interpreters: int = Field(
        default=2, ge=1, le=64, description="LiteRT interpreters kept per model."
    )
    threads: int = Field(default=2, ge=1, le=64, description="Threads per interpreter.")
    connections: int = Field(
        default=600, ge=1, description="Connections at a time; each takes a file descriptor."
    )
    connections_per_address: int = Field(
        default=200,
        ge=1,
        description="Connections of one address, and its requests and pages; of the addresses in "
        "FORWARDED_ALLOW_IPS only those of the clients behind them are counted.",
    )
    session_upload_megabytes: int = Field(
        default=512, ge=1, description="Uploads to the pages that are not yet read, per session."
    )
    upload_megabytes: int = Field(
        default=600,
        ge=1,
        description="Uploads to the pages that are not yet read, of all sessions together; as much "
        "again is kept for saving.",
    )
    api_tokens: bool | None = Field(
        default=None,
        description="API requests need a token; unset, they do when users sign in.",
    )
    api_queue: int = Field(
        default=32,
        ge=0,
        description="API requests that wait for the models; more are answered as busy.",
    )
    api_files: int = Field(
        default=100, ge=1, description="Images per API request; any number in streamed requests."
    )
    api_request_megabytes: int = Field(
        default=2000, ge=1, description="Largest body of an API request."
    )
    api_requests_per_minute: int = Field(
        default=6000, ge=1, description="API requests that one address may send in a minute."
    )

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
