"""A Tower server for tests: see server.py for the Tower class, tower.py for the program."""

from .answers import (Delay, Drip, Drop, Raw, Reply, Stall, Upgrade, endless_body,
                      endless_headers, error, header_flood, interim_flood, redirect)
from .conversation import Conversation, Result
from .events import Event, EventLog
from .pki import Identity, Pki
from .rest import Rest, Workspace
from .server import Tower

__all__ = [
    "Conversation", "Delay", "Drip", "Drop", "Event", "EventLog", "Identity", "Pki", "Raw",
    "Reply", "Rest", "Result", "Stall", "Tower", "Upgrade", "Workspace", "endless_body",
    "endless_headers", "error", "header_flood", "interim_flood", "redirect",
]
