"""What comes next with a family when policy has changed since they answered."""

from dataclasses import replace

from sqlalchemy import func, select

from consent_service.db.models.consent import ConsentDecision
from tests.support.clinic import Clinic
from tests.support.pages import open_pages, words


def test_a_use_that_policy_names_no_more_closes_nobodys_list_of_families(clinic: Clinic) -> None:
    """A yes outlives the line of policy that it was asked by; it is then called by its code."""
    family = clinic.family()
    clinic.both_consent(family, optional=frozenset({"SUP.SUPERVISOR"}))
    ends = ConsentDecision.valid_until
    with clinic.ctx.read() as session:
        last = session.scalar(
            select(func.min(ends)).where(ConsentDecision.purpose == "supervision")
        )
    assert last is not None
    clinic.passes(days=(last - clinic.today).days - 6)
    policies = clinic.ctx.policies
    left = {code: use for code, use in policies.purposes.items() if code != "supervision"}
    clinic.ctx = replace(clinic.ctx, policies=replace(policies, purposes=left))

    shown = open_pages(clinic).as_("guider").opens("/families")

    assert shown.status_code == 200
    assert "“supervision” expires in 6 days" in words(shown)
