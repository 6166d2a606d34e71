"""Writes a CSV file of accounts for `hoc import`. The same count and seed give the same file."""

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

FIRST_NAMES: Final = (
    *("Ada", "Amir", "Anouk", "Bea", "Chidi", "Dana", "Elif", "Emil", "Fatou", "Goran", "Hana", "Ines"),
    *("Jonas", "Kofi", "Lena", "Liang", "Mara", "Mateo", "Nadia", "Noor", "Oskar", "Priya", "Quentin"),
    *("Rosa", "Samuel", "Sofía", "Tariq", "Uma", "Viktor", "Yuki", "Zoë", "Ørjan"),
)
SYLLABLES: Final = (
    *("ba", "ber", "cha", "da", "del", "en", "fer", "gar", "ha", "in", "ja", "ka", "kov", "lau", "len"),
    *("ma", "men", "mo", "na", "no", "ok", "pe", "qui", "ra", "ros", "sa", "sen", "ski", "ta", "tor"),
    *("u", "va", "ver", "wa", "wil", "xu", "ya", "zha", "zo"),
)
DOMAINS: Final = ("gmail.com", "outlook.com", "yahoo.com", "icloud.com", "proton.me", "web.de", "qq.com")
DOMAIN_WEIGHTS: Final = (40, 15, 10, 8, 4, 3, 3)
OWN_DOMAIN: Final = 17  # a weight too: a company's own domain
YEARS: Final = timedelta(days=730)
INACTIVE: Final = 1 / 50
RARE: Final = "quetzalcoatl"
RARE_EVERY: Final = 50_000


def user_id(number: int) -> str:
    return f"usr_{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number:012x}"


def write_accounts(path: Path, count: int, *, seed: int = 1) -> None:
    """Write `count` accounts. One in `RARE_EVERY` has the last name `RARE`."""
    draw = random.Random(seed)
    now = datetime.now(UTC).replace(microsecond=0)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("user_id", "email", "name", "is_active", "created_at"))
        for number in range(count):
            first = draw.choice(FIRST_NAMES)
            last = "".join(draw.choices(SYLLABLES, k=draw.choice((2, 3, 3)))).title()
            if number % RARE_EVERY == 0:
                last = RARE.title()
            domain = draw.choices(
                (*DOMAINS, f"{''.join(draw.choices(SYLLABLES, k=3))}.example"), (*DOMAIN_WEIGHTS, OWN_DOMAIN)
            )[0]
            local = f"{first}.{last}".lower().translate(str.maketrans("íëø", "ieo"))
            created = now - YEARS * draw.random()
            is_active = str(draw.random() > INACTIVE).lower()
            rows.writerow(
                (
                    user_id(number),
                    f"{local}{number}@{domain}",
                    f"{first} {last}",
                    is_active,
                    created.isoformat(),
                )
            )
