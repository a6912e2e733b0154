"""Every setting of Carrier, read once from the environment and carrier.toml, and checked before anything starts.

The environment holds what differs between machines and what is secret; carrier.toml (``CARRIER_CONFIG``) holds what
has structure: databases, cleanup policies, recipients, schedules. Secrets are :class:`~pydantic.SecretStr`: they print
as stars.
"""

from __future__ import annotations

import os
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

#: Tells Carrier's own settings module from a stranger's that shadows it on ``sys.path``.
CARRIER_SETTINGS = True


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_YEAR = 366 * 86400
#: What can be backed up, by the schemes of URLs.
_ENGINES = ("postgresql", "postgres", "mariadb", "mysql", "sqlite")


class SettingsError(Exception):
    """A setting is missing or wrong. The text is one line a problem: where, what, and what to do."""


def _duration(text: str) -> str:
    if re.fullmatch(r"[1-9][0-9]{0,8}[smhd]", text) is None or int(text[:-1]) * _SECONDS[text[-1]] > _YEAR:
        raise ValueError("must be a duration of at most a year; write 30s, 15m, 2h or 1d")
    return text


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _SECONDS[duration[-1]]


def _name(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,99}", text) is None:
        raise ValueError("a name has letters, digits and _ . @ -, at most 100 of them")
    return text


def _module(text: str) -> str:
    if not all(part.isidentifier() for part in text.split(".")):
        raise ValueError("must be a module's name, such as myapp.actors")
    return text


def _database(url: SecretStr) -> SecretStr:
    if urlsplit(url.get_secret_value()).scheme.partition("+")[0] not in _ENGINES:
        raise ValueError(f"must begin with one of {', '.join(f'{each}:' for each in _ENGINES)}")
    return url


Duration = Annotated[str, AfterValidator(_duration)]
Name = Annotated[str, AfterValidator(_name)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Database(_Table):
    """``[databases.NAME]``: what a backup message may name. The connection string never travels in a message.

    A backup is encrypted (age) when there are ``recipients``, which are public keys. ``tools`` is the folder of pg_dump
    or mariadb-dump, PATH without it. A backup is given up after ``time_limit``, and when the tool has written nothing
    for ``stall_limit``.
    """

    url: Annotated[SecretStr, AfterValidator(_database)]
    recipients: list[Annotated[str, StringConstraints(pattern=r"^age1[02-9ac-hj-np-z]{58}$")]] = []
    tools: Path | None = None
    time_limit: Duration = "4h"
    stall_limit: Duration = "15m"

    @model_validator(mode="after")
    def _makes_sense(self) -> Database:
        if _seconds(self.time_limit) > _SECONDS["d"]:
            raise ValueError("time_limit must be at most 1d")
        return self

    @property
    def limits(self) -> tuple[int, int]:
        """``time_limit`` and ``stall_limit`` in seconds."""
        return _seconds(self.time_limit), _seconds(self.stall_limit)


class CleanupPolicy(_Table):
    """``[cleanup.NAME]``: where a cleanup message of this type may delete, and which files.

    ``roots`` are folders, relative ones under the folder of carrier.toml; ``patterns`` are shell patterns that a file's
    name is matched against. A file's age counts from ``stamp``: "changed" is the newer of its modification (mtime) and
    its change here (ctime), because an unpacked archive gives files an mtime of long ago; "modified" is mtime alone.
    """

    roots: list[Path] = Field(min_length=1)
    patterns: list[str] = Field(default=["*"], min_length=1)
    stamp: Literal["changed", "modified"] = "changed"


class Recipient(_Table):
    """``[recipients.NAME]``: where a user's notifications go."""

    email: str


class ScheduledMessage(_Table):
    """The message that a schedule sends: a known ``type`` and its ``payload``."""

    type: str
    payload: dict[str, Any] = {}


class Schedule(_Table):
    """``[schedule.NAME]``: a message that sends itself, by ``cron`` (five fields, in ``timezone``) or ``every``.

    ``catch_up`` says which fire times that passed while nothing could be sent are made up for; with ``overlap`` =
    "skip" there is none while the one before it is not over. ``jitter`` is the longest delay that is added, always the
    same for one fire time, so that many schedules do not all begin at once.
    """

    message: ScheduledMessage
    cron: str | None = None
    every: Duration | None = None
    timezone: str = "UTC"
    jitter: Duration | None = None
    catch_up: Literal["latest", "all", "none"] = "latest"
    overlap: Literal["skip", "allow"] = "allow"
    priority: int = Field(default=0, ge=0, le=9)
    enabled: bool = True

    @model_validator(mode="after")
    def _makes_sense(self) -> Schedule:
        if (self.cron is None) == (self.every is None):
            raise ValueError('give exactly one of cron = "0 2 * * *" and every = "15m"')
        if self.every is not None and "timezone" in self.model_fields_set:
            raise ValueError("timezone is for cron; every counts from 1970 in UTC")
        return self

    @property
    def every_seconds(self) -> int | None:
        """The interval in seconds, or None for a cron schedule."""
        return None if self.every is None else _seconds(self.every)

    @property
    def jitter_seconds(self) -> int:
        """The longest delay that is added, in seconds."""
        return 0 if self.jitter is None else _seconds(self.jitter)


class Config(_Table):
    """carrier.toml as a whole."""

    databases: dict[Name, Database] = {}
    cleanup: dict[Name, CleanupPolicy] = {}
    recipients: dict[Name, Recipient] = {}
    schedule: dict[Name, Schedule] = {}


class Settings(BaseModel):
    """The environment. A field's name in capitals is the variable's name; an empty variable counts as unset."""

    model_config = ConfigDict(frozen=True)

    carrier_home: Path = Path("var")
    carrier_config: Path = Path("carrier.toml")
    #: The module that declares the actors, for the commands, the scheduler and ``messages``.
    carrier_actors: Annotated[str, AfterValidator(_module)] = "actors"

    rabbitmq_url: SecretStr | None = None
    cloudamqp_url: SecretStr | None = None
    rabbitmq_host: str | None = None
    rabbitmq_port: int = Field(default=5672, ge=1, le=65535)
    rabbitmq_username: str = "guest"
    rabbitmq_password: SecretStr = SecretStr("guest")
    rabbitmq_vhost: str = "/"
    rabbitmq_management_url: SecretStr | None = None
    queue_type: Literal["auto", "quorum", "classic"] = "auto"
    #: Seconds that a send keeps trying before it raises PublishError.
    publish_timeout: float = Field(default=30.0, gt=0, le=3600)

    #: Seconds that running handlers have when their process is told to end. Platforms kill after 30.
    shutdown_grace: float = Field(default=25.0, ge=0, le=86_400)

    database_url: SecretStr | None = None
    smtp_url: SecretStr | None = None
    email_from: str = "carrier@localhost"
    #: The folder from which an e-mail may take files along by their paths; None forbids it.
    attachment_root: Path | None = None
    backup_root: Path | None = None
    #: A file of age identities, for carrier backup verify.
    backup_identity: Path | None = None
    sentry_dsn: SecretStr | None = None
    #: The console: who operates, who only looks, and where it listens. A password may be a hash of argon2.
    console_password: SecretStr | None = None
    console_view_password: SecretStr | None = None
    console_host: str = "127.0.0.1"
    port: int = Field(default=8642, ge=1, le=65535)
    #: What became of the newest messages, in so many entries, is kept for carrier trace; 0 keeps nothing.
    history: int = Field(default=1_000_000, ge=0, le=10**12)
    #: Keys of payloads whose values are not shown, with commas between them, beside those that look secret.
    mask_keys: str = ""
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)] = "INFO"

    #: carrier.toml.
    config: Config = Config()

    @property
    def home(self) -> Path:
        """CARRIER_HOME as an absolute path: the embedded broker, the SQLite store, the outbox, backups, logs."""
        return self.carrier_home.absolute()

    @property
    def config_folder(self) -> Path:
        """What relative paths in carrier.toml are relative to."""
        return self.carrier_config.absolute().parent

    @property
    def backups(self) -> Path:
        """The folder that every backup stays under."""
        return self.backup_root.absolute() if self.backup_root else self.home / "backups"

    @property
    def outbox(self) -> Path:
        """Where e-mail is written as .eml files while no SMTP_URL is set."""
        return self.home / "outbox"

    @property
    def smtp_urls(self) -> tuple[str, ...]:
        """The mail servers in order of preference. They hold passwords: do not print them."""
        if self.smtp_url is None:
            return ()
        return tuple(url.strip() for url in re.split(r",(?=\s*smtps?://)", self.smtp_url.get_secret_value()))

    @property
    def masked_keys(self) -> list[str]:
        """MASK_KEYS, one by one."""
        return [each.strip() for each in self.mask_keys.split(",") if each.strip()]

    @property
    def databases(self) -> dict[str, Database]:
        """What a backup message may name: carrier.toml's databases, and ``default``, Carrier's own store."""
        return {"default": Database(url=SecretStr(self.store_url)), **self.config.databases}

    @property
    def cleanup_policies(self) -> dict[str, CleanupPolicy]:
        """carrier.toml's policies, and two of our own: ``logs``, and ``demo`` for what ``carrier demo`` makes."""
        return {
            "logs": CleanupPolicy(roots=[self.home / "log"], patterns=["*.log*"]),
            "demo": CleanupPolicy(roots=[self.home / "demo"], stamp="modified"),
            **self.config.cleanup,
        }

    @property
    def schedules(self) -> dict[str, Schedule]:
        """carrier.toml's schedules. Where it says nothing of any, Carrier's own actors have two: the store is backed up
        every night, and old logs are removed, where there are any."""
        if "schedule" in self.config.model_fields_set or self.carrier_actors != "actors":
            return self.config.schedule
        has_logs = (self.home / "log").is_dir()
        return {name: each for name, each in _DEFAULT_SCHEDULES.items() if has_logs or each.message.type == "backup"}

    @property
    def store_file(self) -> Path:
        """The store without a DATABASE_URL."""
        return self.home / "carrier.db"

    @property
    def store_url(self) -> str:
        """The store as an SQLAlchemy URL. It may hold a password: do not print it."""
        if self.database_url is None:
            return f"sqlite:///{self.store_file}"
        return self.database_url.get_secret_value()

    @property
    def broker_urls(self) -> tuple[str, ...]:
        """The AMQP URLs of one cluster; empty means the embedded broker. They hold the password: do not print them."""
        given = self.rabbitmq_url or self.cloudamqp_url
        if given is not None:
            return tuple(url.strip() for url in given.get_secret_value().split(",") if url.strip())
        if self.rabbitmq_host is None:
            return ()
        user = quote(self.rabbitmq_username, safe="")
        password = quote(self.rabbitmq_password.get_secret_value(), safe="")
        # An IPv6 address stands in brackets (RFC 3986, section 3.2.2).
        host = f"[{self.rabbitmq_host}]" if ":" in self.rabbitmq_host else self.rabbitmq_host
        return (f"amqp://{user}:{password}@{host}:{self.rabbitmq_port}/{quote(self.rabbitmq_vhost, safe='')}",)

    @model_validator(mode="after")
    def _urls_make_sense(self) -> Settings:
        name = "RABBITMQ_URL" if self.rabbitmq_url else "CLOUDAMQP_URL"
        if (self.rabbitmq_url or self.cloudamqp_url) and not self.broker_urls:
            # Without a broker's URL messages would go into a file of this machine.
            raise ValueError(f"{name}: there is no URL in it; unset it for the embedded broker")
        if not all(url.startswith(("amqp://", "amqps://")) for url in self.broker_urls):
            raise ValueError(f"{name}: each URL must start with amqp:// or amqps://")
        if self.rabbitmq_management_url is not None:
            url = self.rabbitmq_management_url.get_secret_value()
            _check_url("RABBITMQ_MANAGEMENT_URL", url, ("http", "https"), "http://user:password@host:15672")
        for url in self.smtp_urls:
            _check_url("SMTP_URL", url, ("smtp", "smtps"), "smtp://user:password@host:587")
        if self.sentry_dsn is not None:
            example = "https://key@host/1; copy it from the project's settings"
            _check_url("SENTRY_DSN", self.sentry_dsn.get_secret_value(), ("http", "https"), example)
        if not self.store_url.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError(
                "DATABASE_URL: must be as postgresql://user:password@host/database or sqlite:////var/lib/carrier.db"
            )
        return self


_DEFAULT_SCHEDULES = {
    "nightly-backup": Schedule(
        message=ScheduledMessage(type="backup", payload={"database": "default", "path": "nightly"}), cron="0 2 * * *"
    ),
    "daily-cleanup": Schedule(
        message=ScheduledMessage(type="cleanup", payload={"type": "logs", "days": 30}), cron="30 3 * * *"
    ),
}


def _check_url(name: str, url: str, schemes: tuple[str, ...], example: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number
        good = False
    if not good:
        raise ValueError(f"{name}: must be as {example}")


def _problems(error: ValidationError, where: str) -> str:
    """The problems of ``error``, a line each, without the values: they may be secret."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        place = ".".join(str(part) for part in problem["loc"])
        if where == "environment":
            place = place.upper()
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {place + ': ' if place else ''}{message}")
    return "\n".join(lines)


def _read_config(path: Path) -> Config:
    try:
        return Config.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError:
        if os.environ.get("CARRIER_CONFIG"):
            raise SettingsError(f"environment: CARRIER_CONFIG: {path} does not exist; create it or unset it") from None
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        raise SettingsError(_problems(error, str(path))) from None


def read_settings() -> Settings:
    """The environment and carrier.toml as they are now; :func:`get_settings` keeps what it has read first.

    Raises:
        SettingsError: a variable or a line of carrier.toml is wrong.
    """
    given = {name: os.environ.get(name.upper()) for name in Settings.model_fields if name != "config"}
    try:
        environment = Settings.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        raise SettingsError(_problems(error, "environment")) from None
    return environment.model_copy(update={"config": _read_config(environment.carrier_config)})


@cache
def get_settings() -> Settings:
    """The settings of this process, read at the first call.

    Raises:
        SettingsError: as :func:`read_settings`.
    """
    return read_settings()
