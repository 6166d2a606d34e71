"""Clerk: the CSV of the dashboard's "Export users", https://clerk.com/docs/guides/development/migrating/export-from-clerk.

Its columns are id, first_name, last_name, username, primary_email_address, primary_phone_number,
verified_email_addresses, unverified_email_addresses, verified_phone_numbers, unverified_phone_numbers,
totp_secret, password_digest and password_hasher. The last three are not read.
"""

import re

from hoc.bulk.formats.user import Exported, ExportedUser, full_name

CLERK_COLUMNS = ("id", "primary_email_address")


def clerk_user(record: Exported) -> ExportedUser:
    email = record.get("primary_email_address")
    verified = re.split(r"[\s,;|]+", record.get("verified_email_addresses") or "")
    return ExportedUser(
        user_id=record.get("id"),
        email=email,
        name=full_name(record.get("first_name"), record.get("last_name")) or record.get("username"),
        email_verified=email in verified,
        created_at=record.get("created_at"),
    )
