"""The settings, from environment variables: ``HOC_`` and the field's name."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from hoc.environment import check_http_url, unknown_variables
from hoc.nats_url import NatsUrl as ParsedNatsUrl
from hoc.postgres_url import PostgresUrl, with_password_file


def _nats_url(url: SecretStr) -> SecretStr:
    if value := url.get_secret_value():
        ParsedNatsUrl.parse(value)
    return url


def _http_url(url: str) -> str:
    if url:
        check_http_url(url)
    return url


NatsUrl = Annotated[SecretStr, AfterValidator(_nats_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
DRAIN_SECONDS = 5

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Days = Annotated[int, Field(ge=1, le=36_500)]


class Settings(BaseSettings):
    """Every setting is optional.

    `hoc serve` starts what is missing (PostgreSQL, NATS, mailbox). Without caller authentication, all
    requests get 401.
    """

    model_config = SettingsConfigDict(
        env_prefix="HOC_", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    if TYPE_CHECKING:  # pydantic takes text for a secret, and for a path, which type checkers do not know

        def __init__(
            self,
            *,
            database_url: SecretStr | str | None = ...,
            listen_database_url: SecretStr | str | None = ...,
            database_replica_url: SecretStr | str | None = ...,
            nats_url: SecretStr | str | None = ...,
            smtp_url: SecretStr | str | None = ...,
            rate_limit_storage_url: SecretStr | str | None = ...,
            gateway_secret: SecretStr | str | None = ...,
            operations_token: SecretStr | str | None = ...,
            consul_token: SecretStr | str | None = ...,
            console_secret: SecretStr | str | None = ...,
            console_templates: Path | str | None = ...,
            nats_credentials_file: Path | str | None = ...,
            nats_ca_file: Path | str | None = ...,
            nats_certificate_file: Path | str | None = ...,
            nats_key_file: Path | str | None = ...,
            data_dir: Path | str | None = ...,
            database_password_file: Path | str | None = ...,
            **others: str | bool | int | None,
        ) -> None: ...

    database_password_file: Path | None = Field(
        default=None, description="file with the password of HOC_DATABASE_URL, read for each connection"
    )
    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL 15 or later; unset: `hoc serve` starts an embedded one"
    )
    database_replica_url: SecretStr | None = Field(
        default=None, description="a standby of that database, to read lists from; unset: none"
    )
    replica_staleness_ms: Count = Field(
        default=1_000, description="milliseconds that what the replica shows may be old"
    )
    pool_size: Count = Field(default=8, description="most database connections of each server process")
    max_requests: Count = Field(
        default=512, description="requests at once in each server process; others wait briefly, then get 503"
    )
    request_timeout_ms: Count = Field(
        default=8_000, description="milliseconds from a request's last byte to its answer, then 503"
    )
    rate_limits: bool = Field(default=False, description="limit each caller's and client address's requests")
    rate_limit_per_caller: str = Field(
        default="1000/hour;100/minute", description="most requests of a caller, with HOC_RATE_LIMITS"
    )
    rate_limit_per_address: str = Field(
        default="5000/hour", description="most requests from a client address, with HOC_RATE_LIMITS"
    )
    rate_limit_storage_url: SecretStr | None = Field(
        default=None, description="store of the counts of all processes; unset: each process counts by itself"
    )
    trusted_proxies: str | None = Field(
        default=None, description="addresses of proxies whose X-Forwarded-For names the client"
    )
    max_connections: Count = Field(
        default=1_000, description="clients' connections of each process of `hoc serve`, as open files allow"
    )
    drain_seconds: int | None = Field(
        default=None,
        ge=0,
        le=3_600,
        description="seconds from SIGTERM in which `hoc serve` serves, not ready; unset: 5, in development 0",
    )
    statement_timeout_ms: Count = Field(
        default=5_000, description="milliseconds until PostgreSQL cancels a statement or its wait for a lock"
    )
    pooler: Literal["transaction", "session"] | None = Field(
        default=None,
        description="mode of the pooler that HOC_DATABASE_URL leads to; unset: PostgreSQL itself",
    )
    listen_database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL itself past a pooler, for LISTEN, migrations and other commands"
    )
    nats_url: NatsUrl | None = Field(
        default=None, description="NATS with JetStream, several by commas; unset: `hoc serve` starts its own"
    )
    nats_credentials_file: Path | None = Field(
        default=None, description="a .creds file, or one with an NKey's seed; read for each connection"
    )
    nats_ca_file: Path | None = Field(
        default=None, description="PEM certificates of the authorities that sign the NATS servers' ones"
    )
    nats_certificate_file: Path | None = Field(
        default=None, description="hoc's own PEM certificate, for NATS servers that want one"
    )
    nats_key_file: Path | None = Field(
        default=None, description="the key of that certificate; unset: it is in the certificate's file"
    )
    nats_replicas: int | None = Field(
        default=None, ge=1, le=5, description="NATS servers that have a stream that hoc creates; unset: one"
    )
    nats_stream: str = Field(
        default="ACCOUNTS", description="stream to publish events to; created if missing"
    )
    nats_inbound_stream: str | None = Field(
        default=None, description="stream to create if none carries others' events; unset: wait for one"
    )
    events_source: str = Field(default="urn:hoc:accounts", description="CloudEvents `source` of every event")
    consul_url: HttpUrl | None = Field(
        default=None, description="Consul agent that `hoc serve` registers with; unset: it does not register"
    )
    consul_token: SecretStr | None = Field(default=None, description="ACL token for the Consul agent")
    consul_service: str = Field(default="account_service", description="service name in Consul")
    consul_address: str | None = Field(
        default=None, description="host:port at which others reach this server; unset: the one it listens on"
    )
    relay_address: str | None = Field(
        default=None,
        pattern=r"^[^:/@]+:[0-9]{1,5}$",
        description="host:port at which `hoc relay` serves its health and metrics; unset: it serves none",
    )
    hooks: str | None = Field(
        default=None, description="hooks of `hoc serve` and `hoc relay`, module:name of a dict by event type"
    )
    log_format: Literal["json", "line"] | None = Field(
        default=None, description="json or line; unset: lines on a terminal, JSON otherwise"
    )
    log_requests: bool = Field(default=False, description="log every answered request with its route")
    public_url: HttpUrl = Field(
        default="http://127.0.0.1:8201", description="base URL of links in mails, never taken from requests"
    )
    trusted_origins: str | None = Field(
        default=None, description="other origins whose pages may send changes for a user signed in by cookie"
    )
    cors_origins: str | None = Field(
        default=None, description="other origins whose pages may call hoc from a browser; unset: none"
    )
    mount_path: str = Field(
        default="/accounts", pattern="^(/.*)?$", description="path at which `hoc serve` mounts the console"
    )

    smtp_url: SecretStr | None = Field(
        default=None, description="smtp:// or smtps:// URL; unset: the development mailbox"
    )
    mail_from: str = Field(default="accounts@localhost.localdomain", description="sender of invitation mail")
    mail_concurrency: Count = Field(
        default=8, description="mails that each server process sends at once, each on a connection it keeps"
    )
    send_mail: bool = Field(
        default=True, description="send mail; off: you pass the links of invitations on yourself"
    )
    mail_templates: Path | None = Field(
        default=None, description="directory of templates that replace hoc's own, file by file"
    )
    mail_language: str = Field(
        default="en", description="language of mails to recipients whose locale has no templates"
    )
    invitation_url: str = Field(
        default="{public_url}/invitations/{invitation_id}#token={token}",
        description="pattern of invitation links",
    )
    email_change_url: str = Field(
        default="{public_url}/email-changes#token={token}",
        description="pattern of links that confirm an address",
    )
    ticket_mail: bool = Field(
        default=False, description="mail the member who opened a support ticket when support answers it"
    )
    ticket_url: str = Field(
        default="{public_url}/support/tickets/{ticket_id}?tenant={tenant_id}",
        description="pattern of the links to tickets in those mails",
    )
    invitation_links: bool = Field(
        default=False,
        description="answer requests for links over HTTP: of invitations, and of changes of addresses",
    )

    jwt_issuer: str | None = Field(default=None, description="`iss` that tokens must carry")
    jwt_audience: str | None = Field(default=None, description="`aud` that tokens must carry")
    jwt_jwks_url: HttpUrl | None = Field(default=None, description="URL of the issuer's JWK set")
    jwt_public_key: str | None = Field(default=None, description="a PEM public key, instead of a JWK set")
    jwt_audience_claim: str = Field(
        default="aud", description="claim that must have HOC_JWT_AUDIENCE, such as client_id or azp"
    )
    jwt_tenant_claim: str = Field(
        default="tenant_id", description="claim that selects the tenant, or a path such as organization.id"
    )
    gateway_secret: SecretStr | None = Field(
        default=None, description="secret of the gateway whose X-Hoc-… headers are trusted"
    )
    primary_issuer: str | None = Field(
        default=None,
        description="issuer whose subjects are user ids; unset: HOC_JWT_ISSUER, or the gateway without it",
    )
    operations_token: SecretStr | None = Field(
        default=None, description="bearer token for metrics, health details and documents; unset: public"
    )
    development: bool | None = Field(
        default=None, description="sign own tokens, on loopback only; unset: if nothing else authenticates"
    )
    docs: bool | None = Field(
        default=None, description="pages about the interfaces, at `/` and `…/docs`; unset: in development"
    )
    data_dir: Path | None = Field(
        default=None, description="keys, development mail, embedded servers; unset: the user's data directory"
    )

    keep_events_days: Days | None = Field(
        default=None, description="days after which whole months of events are dropped; unset: they stay"
    )
    keep_deleted_accounts_days: Days | None = Field(
        default=None, description="days after which deleted accounts are erased; unset: they stay"
    )
    keep_ended_invitations_days: Days | None = Field(
        default=None, description="days after which ended invitations are deleted; unset: they stay"
    )

    billing_portal_url: str | None = Field(
        default=None,
        description="pattern of links to the billing system's portal, with {tenant_id}; unset: none",
    )
    support_email: str = Field(default="support@example.com", description="shown as the support contact")
    support_hours: str = Field(
        default="Monday to Friday, 09:00 to 17:00 UTC", description="shown as the support contact"
    )
    support_response_time: str = Field(
        default="Within one business day", description="shown as the support contact"
    )
    tenants_per_user_per_day: Count = Field(default=20, description="tenants that one user creates")
    invitations_per_tenant_per_day: Count = Field(
        default=10_000, description="invitation mails of one tenant"
    )
    invitations_per_recipient_per_day: Count = Field(
        default=20, description="mails to one address: invitations, and links that confirm it"
    )

    domains: bool = Field(
        default=False, description="let tenants prove their e-mail domains; asks DNS, and needs libraries"
    )
    dns_servers: str | None = Field(
        default=None,
        description="DNS servers to ask, address or address:port, by commas; unset: the system's",
    )
    domain_check_hours: int = Field(
        default=24,
        ge=1,
        le=720,
        description="hours after which the record of a verified domain is looked up again",
    )
    domain_grace_days: int = Field(
        default=7, ge=1, le=365, description="days for which the record of a verified domain may be missing"
    )

    scim: bool = Field(
        default=False, description="serve the tenants' directories at `/scim/v2` (SCIM 2.0); needs libraries"
    )
    webhooks: bool = Field(
        default=False, description="send events to webhook endpoints of tenants; needs libraries"
    )
    webhook_allowed_networks: str | None = Field(
        default=None,
        description="private networks to send webhooks to, by commas, such as 10.0.0.0/8; http too",
    )
    webhook_attempts_days: int = Field(
        default=14, ge=7, le=365, description="days for which attempts to deliver webhooks are listed"
    )

    console: bool | None = Field(
        default=None, description="serve the console's pages at `/`; unset: in development"
    )
    console_secret: SecretStr | None = Field(
        default=None, description="signs the pages' forms: 32 characters or more, the same in all processes"
    )
    console_name: str = Field(default="hoc", description="your product's name, on each page")
    console_logo_url: HttpUrl | None = Field(default=None, description="https URL of a logo beside the name")
    console_accent: str = Field(default="#3358d4", description="colour of buttons and links, as #rrggbb")
    console_links: str | None = Field(
        default=None, description="links below each page, such as Docs=https://docs.example.com, by commas"
    )
    console_templates: Path | None = Field(
        default=None, description="directory of templates that replace the pages' own, file by file"
    )
    console_sign_in_url: HttpUrl | None = Field(
        default=None, description="where the pages send people who are not signed in"
    )
    console_sign_out_url: HttpUrl | None = Field(default=None, description="where the pages' sign-out leads")

    special_use_domains: bool = Field(
        default=False, description="take addresses at names that no public mail reaches, such as corp.local"
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_variables(cls, given: Any) -> Any:  # noqa: ANN401 - pydantic's signature
        if unknown := unknown_variables(os.environ, cls.model_fields):
            raise ValueError("; ".join(unknown))
        return given

    @field_validator("database_url", "listen_database_url", "database_replica_url")
    @classmethod
    def _check_database_url(cls, url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """Have the URL name the file of its password, which so goes wherever the URL does."""
        if url is None or not (value := url.get_secret_value()):  # an empty one counts as unset
            return url
        has_password = PostgresUrl.parse(value).password is not None
        file = info.data.get("database_password_file")
        if file is None or (has_password and info.field_name != "database_url"):
            return url
        return SecretStr(with_password_file(value, file))

    @model_validator(mode="after")
    def _refuse_parts_of_nothing(self) -> Self:
        if self.database_password_file is not None and not self.database_url:
            raise ValueError("HOC_DATABASE_PASSWORD_FILE is set, but HOC_DATABASE_URL is not")
        if self.database_replica_url and not self.database_url:
            raise ValueError("HOC_DATABASE_REPLICA_URL is set, but HOC_DATABASE_URL is not")
        return self

    @property
    def primary_issuer_or_default(self) -> str | None:
        """The issuer whose unlinked subjects are user ids. None: no issuer is told from another."""
        return self.primary_issuer or self.jwt_issuer or ("gateway" if self.gateway_secret else None)

    @property
    def drain_seconds_or_default(self) -> int:
        """How long a server that is stopping serves on."""
        if self.drain_seconds is None:
            return 0 if self.development else DRAIN_SECONDS
        return self.drain_seconds

    @property
    def shows_docs(self) -> bool:
        """Whether pages about the interfaces are served."""
        return bool(self.development) if self.docs is None else self.docs

    @property
    def serves_pages(self) -> bool:
        """Whether `hoc serve` serves the console's pages."""
        return bool(self.development) if self.console is None else self.console

    @property
    def authenticates_callers(self) -> bool:
        """Whether caller authentication is configured."""
        return any((self.jwt_jwks_url, self.jwt_public_key, self.gateway_secret))
