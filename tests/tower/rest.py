"""The part of Tower's REST API that credentials of agents are managed by."""

import collections
import json
import re
import threading
import urllib.parse

from .answers import Reply, error

_NAME = re.compile(r"[A-Za-z0-9_-]{2,99}\Z")
_OFFLINE = "The agent is not online - You need to run the agent before proceeding"

Workspace = collections.namedtuple("Workspace", "id org name")


class Rest:
    """Users, workspaces and credentials of one Tower.

    May be changed at any time: `workspaces`, a list of Workspace that the token's owner sees;
    `forbidden`, IDs of workspaces in which everything is answered by 403; `in_use`, IDs of
    credentials that jobs use; `online`, which says whether an agent with a connection ID is online
    (by default: whether it really is connected here).
    """

    def __init__(self, tower):
        self._tower = tower
        self._lock = threading.RLock()
        self._credentials = {}  # id → (workspace id or None, the object)
        self._made = 0
        self.workspaces = [Workspace(7101, "acme", "genomics"), Workspace(7102, "acme", "imaging"),
                           Workspace(7201, "lab", "genomics")]
        self.forbidden = set()
        self.in_use = set()
        self.online = tower.is_online
        self._calls = [
            ("GET", r"/user-info", self._user_info),
            ("GET", r"/user/([^/]+)/workspaces", self._workspaces),
            ("GET", r"/credentials/validate", self._validate),
            ("GET", r"/credentials", self._list),
            ("POST", r"/credentials", self._create),
            ("GET", r"/credentials/([^/]+)", self._describe),
            ("PUT", r"/credentials/([^/]+)", self._update),
            ("DELETE", r"/credentials/([^/]+)", self._delete),
        ]

    def answer(self, request, path):
        """The answer to a request whose token was accepted; None: not of this API."""
        for method, pattern, call in self._calls:
            found = re.fullmatch(pattern, path)
            if found and method == request.method:
                query = urllib.parse.parse_qs(request.query, keep_blank_values=True)
                with self._lock:
                    return call(request, {key: values[-1] for key, values in query.items()},
                                *map(urllib.parse.unquote, found.groups()))
        return None

    # For tests.

    def credentials(self, workspace=None):
        """The credentials of a workspace (None: the personal one), as they are stored."""
        with self._lock:
            return [item for place, item in self._credentials.values() if place == workspace]

    def add(self, name, workspace=None, provider="tw-agent", **keys):
        """Stores one as if it had been made before; gives its ID."""
        with self._lock:
            self._made += 1
            id = f"3kQ{self._made:04d}ZbT9xWvC2mYpL7nR"
            self._credentials[id] = (workspace, {
                "id": id, "name": name, "description": None, "provider": provider,
                "baseUrl": None, "category": None, "deleted": None, "lastUsed": None,
                "dateCreated": "2026-11-24T10:00:00Z", "lastUpdated": "2026-11-24T10:00:00Z",
                "keys": {"discriminator": provider, **keys}})
            return id

    # The calls.

    def _user_info(self, _, __):
        user = self._tower.user["user"]
        return Reply(json={"user": user, "needConsent": False, "defaultWorkspaceId": None})

    def _workspaces(self, _, __, user):
        if user != str(self._tower.user["user"]["id"]):
            return error(403, "")
        rows = [{"orgId": 1, "orgName": name, "orgLogoUrl": None, "workspaceId": None,
                 "workspaceName": None, "roles": ["member"]}
                for name in sorted({workspace.org for workspace in self.workspaces})]
        rows += [{"orgId": 1, "orgName": workspace.org, "orgLogoUrl": None,
                  "workspaceId": workspace.id, "workspaceName": workspace.name,
                  "workspaceFullName": workspace.name, "roles": ["maintain"]}
                 for workspace in self.workspaces]
        return Reply(json={"orgsAndWorkspaces": rows})

    def _validate(self, _, query):
        place, problem = self._place(query)
        if problem:
            return problem
        return self._refuse_name(query.get("name", ""), place) or Reply(204)

    def _list(self, _, query):
        place, problem = self._place(query)
        return problem or Reply(json={"credentials": self.credentials(place)})

    def _describe(self, _, query, id):
        item, problem = self._find(query, id)
        return problem or Reply(json={"credentials": item})

    def _create(self, request, query):
        place, problem = self._place(query)
        if problem:
            return problem
        spec, problem = self._spec(request)
        problem = problem or self._refuse_name(spec["name"], place)
        if problem:
            return problem
        keys = {key: value for key, value in spec["keys"].items() if key != "discriminator"}
        return Reply(json={"credentialsId": self.add(spec["name"], place, **keys)})

    def _update(self, request, query, id):
        item, problem = self._find(query, id)
        if problem:
            return problem
        spec, problem = self._spec(request)
        if problem:
            return problem
        if spec.get("id") != id:
            return error(400, "Credentials ID does not match")
        item.update({"name": spec["name"], "keys": spec["keys"]})
        return Reply(204)

    def _delete(self, _, query, id):
        _, problem = self._find(query, id)
        if problem:
            return problem
        if id in self.in_use:
            return error(409, "Credentials are in use by one or more running workflows")
        del self._credentials[id]
        return Reply(204)

    # What they share.

    def _place(self, query):
        """The workspace of a request, and what keeps it from being used."""
        text = query.get("workspaceId")
        if text is None:
            return None, None
        if not text.isdigit():
            return None, error(400, "Invalid workspace identifier")
        if int(text) in self.forbidden or int(text) not in {w.id for w in self.workspaces}:
            return None, error(403, "")
        return int(text), None

    def _find(self, query, id):
        place, problem = self._place(query)
        if problem:
            return None, problem
        kept = self._credentials.get(id)
        if kept is None or kept[0] != place:
            return None, error(404, f"Unknown credentials with ID '{id}'")
        return kept[1], None

    def _refuse_name(self, name, place):
        if not _NAME.match(name):
            return error(400, "Credentials name must contain a minimum of 2 and a maximum of 99 "
                              "alphanumeric characters separated by dashes or underscores")
        if any(item["name"] == name for item in self.credentials(place)):
            return error(409, f"A credentials with name '{name}' already exists")
        return None

    def _spec(self, request):
        """The credentials object of a body, and what is wrong with it."""
        try:
            spec = json.loads(request.body)["credentials"]
            connection_id = spec["keys"]["connectionId"]
            known = spec["provider"] == "tw-agent" and isinstance(spec["name"], str)
        except (ValueError, KeyError, TypeError):
            return None, error(400, "Missing credentials")
        if not known or not isinstance(connection_id, str):
            return None, error(400, "Invalid credentials")
        if not self.online(connection_id):
            return None, error(400, _OFFLINE)
        return spec, None
