"""Settings, read once from the environment (prefix `LEUKOSCOPE_`) or a `.env` file."""

from functools import cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Refuses to start when a value is out of its range."""

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
    max_file_megabytes: int = Field(default=200, ge=1, description="Largest file that is read.")
    max_megapixels: int = Field(default=100, ge=1, description="Largest picture that is decoded.")
    min_side_pixels: int = Field(default=48, ge=16, description="Smallest side of a picture.")
    interpreters: int = Field(
        default=2, ge=1, le=64, description="LiteRT interpreters kept per model."
    )
    threads: int = Field(default=2, ge=1, le=64, description="Threads per interpreter.")


@cache
def get_settings() -> Settings:
    """Return the settings of this process."""
    return Settings()
