"""A Tidelog client: outbox, push, pull, and what to do when the server says no. docs/TUTORIAL.md explains each part."""

import contextlib
import copy
import datetime
import http.client
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

STALE_CURSOR = ("cursor_ahead", "cursor_diverged", "cursor_expired")
PUSH_OPS_MAX = 1000
NO_RECORDS = {"records": {}, "records_cursor": "", "pull_cursor": None, "position": 0}


class Offline(Exception):
    """No response, or one that says "later". The server may have done the work all the same: send it again."""


class Refused(Exception):
    """A response that the same request will always get. `problem["code"]` says why."""

    def __init__(self, problem):
        super().__init__(f"{problem['code']}: {problem['detail']}")
        self.problem, self.code = problem, problem["code"]


class Client:
    """One device: its local state in a file, and the requests that keep it in step with the server."""

    def __init__(self, path, url):
        self.path, self.url = path, url + "/api/v1"
        self.state = {"next_seq": 1, "outbox": [], "rejected": []} | NO_RECORDS
        if os.path.exists(path):
            with open(path) as file:
                self.state = json.load(file)

    @contextlib.contextmanager
    def transaction(self):
        """Stores all changes that its block makes to the state or, if anything fails, none."""
        state = copy.deepcopy(self.state)
        yield state
        with open(self.path + ".new", "w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.path + ".new", self.path)
        self.state = state

    def call(self, method, path, body=None, credential=None):
        """Sends one request and returns the JSON of its response."""
        headers = {"Authorization": f"Bearer {credential or self.state['token']}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=40) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.headers.get_content_type() != "application/problem+json":
                raise Offline(f"not from Tidelog: {error}")
            problem = json.load(error)
            raise Offline(problem["code"]) if problem["retryable"] else Refused(problem)
        except (OSError, http.client.HTTPException) as error:
            raise Offline(str(error))

    def register(self, key, name):
        """Becomes a new device of the key's workspace. Unsent ops are numbered again from 1."""
        device = self.call("POST", "/devices", {"name": name}, credential=key)
        with self.transaction() as state:
            state.update(key=key, name=name, token=device["token"])
            state["outbox"] = [entry for entry in state["outbox"] if entry["position"] is None]
            for seq, entry in enumerate(state["outbox"], 1):
                entry["op"]["seq"] = seq
            state["next_seq"] = len(state["outbox"]) + 1

    def edit(self, kind, table, record, fields=None):
        """Makes an op and puts it into the outbox. Needs no network."""
        op = {"kind": kind, "table": table, "record": record}
        if kind == "put":
            op["fields"] = fields
        op["at"] = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        with self.transaction() as state:
            op.update(seq=state["next_seq"], base=state["position"])
            state["outbox"].append({"op": op, "position": None, "rejected": False})
            state["next_seq"] += 1

    def read(self, table, record):
        """The fields of a record as the user should see them: the server's, with the ops of the outbox on top."""
        fields = self.state["records"].get(f"{table}/{record}")
        for entry in self.state["outbox"]:
            op = entry["op"]
            if (op["table"], op["record"]) == (table, record) and not entry["rejected"]:
                fields = (fields or {}) | op["fields"] if op["kind"] == "put" else None
        return fields

    def push(self):
        """Sends the unsent ops in order, until none is left."""
        while True:
            unsent = [entry["op"] for entry in self.state["outbox"] if entry["position"] is None][:PUSH_OPS_MAX]
            body = {"cursor": self.state["pull_cursor"], "ops": unsent}
            try:
                response = self.call("POST", "/sync/push?wait=1000", body)
            except Refused as refused:
                self.recover(refused)
                continue
            positions = {run["seq"] + i: run["position"] + i for run in response["runs"] for i in range(run["count"])}
            codes = {op["seq"]: op["code"] for op in response["rejected"]}
            with self.transaction() as state:
                for entry in state["outbox"]:
                    seq = entry["op"]["seq"]
                    entry["position"] = positions.get(seq, entry["position"])
                    if seq in codes and not entry["rejected"]:
                        entry["rejected"] = True
                        state["rejected"].append({"code": codes[seq], "op": entry["op"]})
            if len(unsent) < PUSH_OPS_MAX:
                return

    def recover(self, refused):
        """Corrects the state after a refused push, so that the next push fits. Raises again what it cannot correct."""
        first = self.state["outbox"][0]["op"]["seq"] if self.state["outbox"] else 0
        if refused.code in STALE_CURSOR:
            # The server has another log than the one whose positions this device remembers.
            with self.transaction() as state:
                state.update(NO_RECORDS)
                for entry in state["outbox"]:
                    entry["op"]["base"], entry["position"] = 0, None
        elif refused.code == "seq_gap" and first <= refused.problem["expected"]:
            # The server has lost ops that it had acknowledged, and they are still here: send them again.
            with self.transaction() as state:
                for entry in state["outbox"]:
                    if entry["op"]["seq"] >= refused.problem["expected"]:
                        entry["position"] = None
        elif refused.code in ("seq_gap", "seq_conflict"):
            # The numbers of this device no longer fit the server's: go on as a new device.
            self.register(self.state["key"], self.state["name"])
        else:
            raise refused

    def pull(self, from_start=False):
        """Reads the records that changed since the last pull, or all of them if the cursor is no longer valid."""
        cursor = "" if from_start else self.state["records_cursor"]
        records = dict(self.state["records"]) if cursor else {}
        more = True
        while more:
            try:
                page = self.call("GET", "/sync/records?after=" + urllib.parse.quote(cursor))
            except Refused as refused:
                if refused.code in STALE_CURSOR and cursor:
                    return self.pull(from_start=True)
                raise
            if "resync" in page or "drop" in page:
                return self.pull(from_start=True)
            for row in page["records"]:
                address = f"{row['table']}/{row['record']}"
                records.pop(address, None)
                if not row["deleted"]:
                    records[address] = row["fields"]
            cursor, more, position = page["cursor"], page["more"], page["position"]
        with self.transaction() as state:
            state.update(records=records, records_cursor=cursor, position=position, pull_cursor=page["pull_cursor"])
            state["outbox"] = [entry for entry in state["outbox"]
                               if entry["position"] is None or entry["position"] > position]

    def sync(self):
        """Pushes, then pulls. Returns False if the server could not be reached: then call it again later."""
        try:
            self.push()
            self.pull()
        except Offline:
            return False
        return True

    def wait(self, ms):
        """Waits until the log has news for this device, for at most so many milliseconds."""
        after = urllib.parse.quote(self.state["pull_cursor"] or "")
        return bool(self.call("GET", f"/sync/pull?after={after}&limit=1&wait={ms}")["events"])


def main(path, url, command, *words):
    client = Client(path, url)
    if command == "register":
        client.register(*words)
    elif command == "put":
        client.edit("put", words[0], words[1], json.loads(words[2]))
    elif command == "delete":
        client.edit("delete", *words)
    elif command == "sync":
        print("in step" if client.sync() else "offline")
    elif command == "read":
        print(json.dumps(client.read(*words), sort_keys=True))
    elif command == "state":
        print(json.dumps(client.state, sort_keys=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
