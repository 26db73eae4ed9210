"""What all answers have in common, for those that are given before Flask is asked."""

from collections.abc import Callable

from consent_service.services.context import Context
from consent_service.web import headers, health, logs


def answered_by(
    ctx: Context, figures: health.Figures
) -> Callable[[str, str, int, float], list[tuple[str, str]]]:
    """Return what counts an answer, writes its line of log and returns its common headers.

    It takes the endpoint, the method, the status and the seconds that the answer took.
    """
    policy = headers.content_security_policy()

    def answered(endpoint: str, method: str, status: int, seconds: float) -> list[tuple[str, str]]:
        request_id = headers.new_request_id()
        figures.count(endpoint, status, seconds)
        logs.write_request(endpoint, method, status, seconds, request_id)
        common = headers.common(ctx.settings, request_id, policy)
        return [*common, ("Cache-Control", "no-store")]

    return answered
