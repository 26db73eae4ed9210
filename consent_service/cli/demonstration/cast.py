"""Who plays in the demonstration: staff with their logins, families with their numbers."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import timedelta

TEAM = "Meadow Lane parent and baby team"
MAIL = "meadow-lane.example"


@dataclass(frozen=True)
class Login:
    """A member of staff who can sign in to the demonstration; everyone can read the password."""

    name: str
    display_name: str
    roles: tuple[str, ...]

    @property
    def email(self) -> str:
        """Their address."""
        return f"{self.name}@{MAIL}"

    @property
    def password(self) -> str:
        """Their password, printed at every start."""
        return f"{self.name}-in-the-demo"

    @property
    def code_secret(self) -> str:
        """The secret of their one-time codes, base32; the same at every start."""
        return base64.b32encode(hashlib.sha256(self.email.encode()).digest()[:20]).decode()


STAFF = (
    Login("guider", "Gwen Invented (guider)", ("guider",)),
    Login("supervisor", "Sol Invented (supervisor)", ("supervisor",)),
    Login("ig-officer", "Ines Invented (IG officer)", ("ig_officer",)),
    Login("ig-deputy", "Idris Invented (second IG officer)", ("ig_officer",)),
    Login("administrator", "Ada Invented (administrator)", ("administrator",)),
)


@dataclass(frozen=True)
class Household:
    """An invented family: two parents and a baby, each with a number of the 999 range."""

    mother: str
    father: str
    baby: str
    first_number: int
    baby_age: timedelta = timedelta(weeks=5)

    @property
    def numbers(self) -> tuple[str, str, str]:
        """Valid NHS numbers for mother, father and baby."""
        found = (n for n in map(nhs_number, range(self.first_number, 10**6)) if n is not None)
        return next(found), next(found), next(found)


def nhs_number(serial: int) -> str | None:
    """Return the number 999 + six digits + check digit, or None where no check digit exists."""
    digits = f"999{serial:06d}"
    weighted = sum(int(d) * weight for d, weight in zip(digits, range(10, 1, -1), strict=True))
    check = (11 - weighted % 11) % 11
    return None if check == 10 else f"{digits}{check}"


ROWAN = Household("Rosa Rowan", "Jonas Rowan", "Mina Rowan", 100)
HAZEL = Household("Hana Hazel", "Henrik Hazel", "Hugo Hazel", 200)
ALDER = Household("Amara Alder", "Anton Alder", "Ayla Alder", 300)
WILLOW = Household("Wanda Willow", "Wim Willow", "Wren Willow", 400)
ASPEN = Household("Asta Aspen", "Arlo Aspen", "Aino Aspen", 500)
LINDEN = Household("Lena Linden", "Luca Linden", "Lior Linden", 600)
MAPLE = Household("Maya Maple", "Milan Maple", "Mose Maple", 700)
ELDER = Household("Elin Elder", "Emil Elder", "Edda Elder", 800)
BIRCH = Household("Berta Birch", "Bela Birch", "Bo Birch", 900)
