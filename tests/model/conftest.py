"""How long lives are lived: a few in the build, always the same; many by chance when asked.

`pytest tests/model --hypothesis-profile=long --timeout=0` is the second.
"""

from hypothesis import HealthCheck, Phase, settings

_ANY = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
    print_blob=True,
    database=None,
)
settings.register_profile("few", _ANY, max_examples=4, stateful_step_count=15, derandomize=True)
settings.register_profile("long", _ANY, max_examples=200, stateful_step_count=40)
