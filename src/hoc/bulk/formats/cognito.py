"""Amazon Cognito: CSV with the header of the user pool, which `aws cognito-idp get-csv-header` prints.

See https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-using-import-tool.html. The
header has no ``sub``, which is the subject of Cognito's tokens. A column of this name, which you add, is the
user's id; else ``cognito:username`` is.
"""

from hoc.bulk.formats.user import Exported, ExportedUser, full_name, is_true

COGNITO_COLUMNS = ("cognito:username", "email")


def cognito_user(record: Exported) -> ExportedUser:
    return ExportedUser(
        user_id=record.get("sub") or record.get("cognito:username"),
        email=record.get("email"),
        name=full_name(record.get("name")) or full_name(record.get("given_name"), record.get("family_name")),
        email_verified=is_true(record.get("email_verified")),
        locale=record.get("locale"),
        timezone=record.get("zoneinfo"),
    )
