"""The service manager of this host, systemd, over the system bus. It stops slices; it knows no container."""

import re

from jeepney import DBusAddress, DBusErrorResponse, new_method_call
from jeepney.auth import AuthenticationError
from jeepney.io.blocking import open_dbus_connection
from jeepney.wrappers import unwrap_msg

from orchestrator.errors import InfrastructureError

SERVICE = "systemd"
LONGEST = 255
"""Characters in the name of a unit."""
_SECONDS = 10.0
_UNSAFE = re.compile(r"[^A-Za-z0-9_.]")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_PROBE = "orchestrator-probe.slice"
_REPLACE = "replace"
_MANAGER = DBusAddress("/org/freedesktop/systemd1", "org.freedesktop.systemd1", "org.freedesktop.systemd1.Manager")
_GONE = "org.freedesktop.systemd1.NoSuchUnit"
_REFUSALS = frozenset(
    {"org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"}
)


class Units:
    """Units of the host's service manager. ``bus`` is the address of the bus; each call has a connection of its own."""

    def __init__(self, bus: str = "SYSTEM") -> None:
        self._bus = bus

    def stop(self, unit: str) -> None:
        """Have the unit stopped; its folder is gone some milliseconds later. Nothing for a unit that is not there.

        Raises InfrastructureError when the bus is away or refuses.
        """
        if error := self._ask_to_stop(unit):
            raise InfrastructureError(SERVICE, f"{unit} is not stopped: {error}")

    def refusal(self) -> str:
        """Why this process may not stop units; empty when it may. It asks by a call that stops nothing."""
        try:
            error = self._ask_to_stop(_PROBE)
        except InfrastructureError:
            return "the system bus does not answer here"
        return "this user may not stop systemd's slices" if error in _REFUSALS else error and f"systemd answers {error}"

    def _ask_to_stop(self, unit: str) -> str:
        """The name of the error that systemd answers; empty when it does as asked or has nothing to do."""
        try:
            with open_dbus_connection(self._bus) as connection:
                call = new_method_call(_MANAGER, "StopUnit", "ss", (unit, _REPLACE))
                unwrap_msg(connection.send_and_get_reply(call, timeout=_SECONDS))
        except DBusErrorResponse as error:
            return "" if error.name == _GONE else str(error.name)
        except (OSError, RuntimeError, AuthenticationError) as error:
            raise InfrastructureError(SERVICE, f"the system bus does not answer: {error}") from error
        return ""


def escape(text: str) -> str:
    r"""Text as a part of a unit's name, as ``systemd-escape`` writes it: a dash, ``\x2d`` there, would be a level of slices."""
    escaped = _UNSAFE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
    return f"\\x2e{escaped[1:]}" if escaped.startswith(".") else escaped


def unescape(text: str) -> str:
    """The inverse of ``escape``."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def folder(unit: str) -> str:
    """Where the control group of a slice is: ``a-b.slice`` is in ``a.slice/a-b.slice``."""
    parts = unit.removesuffix(".slice").split("-")
    return "/".join(f"{'-'.join(parts[: end + 1])}.slice" for end in range(len(parts)))
