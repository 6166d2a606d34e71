"""Everything a deployment sets, from the environment: ``HOC_`` and the field's name."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from hoc.cus.account.L5_schemas.options import Options
from hoc.cus.account.L5_schemas.records import InvitationLimits
from hoc.cus.account.L5_schemas.results import SupportContactResult

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]

_DEFAULT_CONTACT = Options().support_contact


class Settings(BaseSettings):
    """Unset means: what `hoc serve` can provide itself is provided, and nobody is let in."""

    model_config = SettingsConfigDict(
        env_prefix="HOC_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL 15 or later; unset: an embedded one"
    )
    pool_size: Count = Field(default=10, description="database connections of each server process, at most")
    max_requests: Count = Field(
        default=512, description="requests that each server process handles at once; others wait, and get 503"
    )
    statement_timeout_ms: Count = Field(
        default=5_000, description="after this PostgreSQL cancels a statement, or its wait for a lock"
    )
    listen_database_url: SecretStr | None = Field(
        default=None, description="for LISTEN, where `database_url` leads to a pooler in transaction mode"
    )
    nats_url: SecretStr | None = Field(
        default=None, description="NATS with JetStream, to publish events on; unset: an embedded one"
    )
    nats_stream: str = Field(default="ACCOUNTS", description="the stream that events are published to")
    nats_inbound_stream: str | None = Field(
        default=None,
        description="stream to make for others' events if none carries them; unset: wait",
    )
    events_source: str = Field(default="urn:hoc:accounts", description="CloudEvents `source` of events")
    consul_url: str | None = Field(
        default=None, description="Consul agent that `hoc serve` registers with; unset: it does not"
    )
    consul_token: SecretStr | None = Field(default=None, description="ACL token for the Consul agent")
    consul_service: str = Field(default="account_service", description="name to register under")
    consul_address: str | None = Field(
        default=None, description="host:port that others reach this server at; unset: where it listens"
    )
    log_format: Literal["json", "line"] | None = Field(
        default=None, description="json or line; unset: lines on a terminal, JSON otherwise"
    )
    log_requests: bool = Field(default=False, description="log every answered request, by its route")
    public_url: str = Field(
        default="http://127.0.0.1:8201", description="where invitation links lead; never taken from a request"
    )
    mount_path: str = Field(default="/accounts", description="where `hoc serve` mounts the console")

    smtp_url: SecretStr | None = Field(
        default=None, description="smtp:// or smtps://; unset: the development mailbox"
    )
    mail_from: str = Field(default="accounts@localhost.localdomain", description="sender of invitation mail")

    jwt_issuer: str | None = Field(default=None, description="`iss` that tokens must carry")
    jwt_audience: str | None = Field(default=None, description="`aud` that tokens must carry")
    jwt_jwks_url: str | None = Field(default=None, description="where the issuer publishes its keys")
    jwt_public_key: str | None = Field(default=None, description="a PEM public key, instead of a JWKS")
    jwt_tenant_claim: str = Field(default="tenant_id", description="claim that selects the tenant")
    gateway_secret: SecretStr | None = Field(
        default=None, description="shared with the gateway whose X-Hoc-… headers are then trusted"
    )
    development: bool | None = Field(
        default=None,
        description="issue own tokens, on loopback only; unset: `hoc serve` does when no caller"
        " authentication is configured",
    )
    data_dir: Path | None = Field(
        default=None,
        description="keys, development mail and the embedded servers; unset: the user's data directory",
    )

    support_email: str = Field(default=_DEFAULT_CONTACT.email, description="shown by the support contact")
    support_hours: str = Field(default=_DEFAULT_CONTACT.hours, description="shown by the support contact")
    support_response_time: str = Field(
        default=_DEFAULT_CONTACT.response_time, description="shown by the support contact"
    )
    invitations_per_tenant_per_day: Count = Field(
        default=10_000, description="invitation mails of one tenant"
    )
    invitations_per_recipient_per_day: Count = Field(
        default=20, description="invitation mails to one address"
    )
    invitations_require_verified_email: bool = Field(
        default=False, description="refuse to join an account whose address is not verified"
    )

    @property
    def authenticates_callers(self) -> bool:
        """Whether something is configured that says who calls."""
        return any((self.jwt_jwks_url, self.jwt_public_key, self.gateway_secret))

    def options(self) -> Options:
        """The part that the rules look at."""
        return Options(
            support_contact=SupportContactResult(
                self.support_email, self.support_hours, self.support_response_time
            ),
            invitation_limits=InvitationLimits(
                self.invitations_per_tenant_per_day, self.invitations_per_recipient_per_day
            ),
            require_verified_email=self.invitations_require_verified_email,
        )
