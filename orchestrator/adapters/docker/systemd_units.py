"""The service manager of this host, systemd, over the system bus. It stops slices; it knows no container."""

import os
import re
from contextlib import closing

from jeepney import DBusAddress, DBusErrorResponse, Message, new_method_call
from jeepney.bus import get_bus
from jeepney.io.blocking import DBusConnection, prep_socket
from jeepney.wrappers import unwrap_msg

from orchestrator.errors import InfrastructureError

SERVICE = "systemd"
_BUS = "unix:path=/run/dbus/system_bus_socket"
LONGEST = 255
"""Characters in the name of a unit."""
_SECONDS = 10.0
_UNSAFE = re.compile(r"[^A-Za-z0-9_.]")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_PROBE = "orchestrator-probe.slice"
_REPLACE = "replace"
_MANAGER = DBusAddress("/org/freedesktop/systemd1", "org.freedesktop.systemd1", "org.freedesktop.systemd1.Manager")
_GONE = "org.freedesktop.systemd1.NoSuchUnit"


class Units:
    """Units of the host's service manager. ``bus`` is the address of the bus. Each call opens a connection."""

    def __init__(self, bus: str = "") -> None:
        self._bus = bus or os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or _BUS

    def stop(self, unit: str) -> None:
        """Stop the unit; its folder is gone some milliseconds later. Does nothing if there is no such unit.

        Raises InfrastructureError if the bus is away or refuses.
        """
        if error := self._ask_to_stop(unit):
            raise InfrastructureError(SERVICE, f"{unit} is not stopped: {error}")

    def refusal(self) -> str:
        """Why this process may not stop units; empty if it may. It asks with a call that stops nothing.

        Raises InfrastructureError if the bus does not answer, which may change.
        """
        error = self._ask_to_stop(_PROBE)
        return error and f"systemd does not let this process stop slices ({error})"

    def _ask_to_stop(self, unit: str) -> str:
        """The error of systemd or the bus; empty if the call succeeds or there is nothing to do."""
        try:
            with closing(prep_socket(get_bus(self._bus), timeout=_SECONDS)) as channel, _Connection(channel) as connection:
                unwrap_msg(connection.send_and_get_reply(new_method_call(_MANAGER, "StopUnit", "ss", (unit, _REPLACE))))
        except DBusErrorResponse as error:
            return "" if error.name == _GONE else " ".join(map(str, [error.name, *error.data]))
        except (OSError, RuntimeError, ValueError) as error:
            raise InfrastructureError(SERVICE, f"the system bus does not answer: {error}") from error
        return ""


class _Connection(DBusConnection):  # type: ignore[misc]  # the library is not typed
    """Limits the wait for each answer, also for the answer to its greeting."""

    def send_and_get_reply(self, message: Message, *, timeout: float | None = None) -> Message:
        return super().send_and_get_reply(message, timeout=_SECONDS if timeout is None else timeout)


def escape(text: str) -> str:
    r"""Text as a part of a unit's name, as ``systemd-escape`` writes it. A plain dash would be a level of slices."""
    escaped = _UNSAFE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
    return f"\\x2e{escaped[1:]}" if escaped.startswith(".") else escaped


def unescape(text: str) -> str:
    """The inverse of ``escape``."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def folder(unit: str) -> str:
    """The folder of the control group of a slice: ``a-b.slice`` is in ``a.slice/a-b.slice``."""
    parts = unit.removesuffix(".slice").split("-")
    return "/".join(f"{'-'.join(parts[: end + 1])}.slice" for end in range(len(parts)))
