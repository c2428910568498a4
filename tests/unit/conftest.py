"""Property tests may take their time: how long an example takes on a busy machine says nothing."""

from hypothesis import settings

settings.register_profile("unhurried", settings(deadline=None))
settings.load_profile("unhurried")
