"""A display of a run that remembers what it was told."""

from dataclasses import dataclass, field


@dataclass
class Diary:
    """A display that remembers."""

    said: list[str] = field(default_factory=list)
    events: list[tuple] = field(default_factory=list)

    def begin(self, missing, found):
        self.events.append(("begin", len(missing), found))

    def say(self, text):
        self.said.append(text)

    def started(self, worker, cell):
        self.events.append(("started", cell.params["name"]))

    def advanced(self, worker, done, total, note):
        self.events.append(("advanced", done, total, note))

    def finished(self, worker, seconds):
        self.events.append(("finished", worker))

    def failed(self, worker, reason, lost):
        self.events.append(("failed", reason, [cell.params["name"] for cell in lost]))

    def given_back(self, worker, reason):
        self.events.append(("given back", reason))

    def found(self, cell):
        self.events.append(("found", cell.params["name"]))


def statuses(outcomes):
    return {outcome.cell.params["name"]: outcome.status for outcome in outcomes}
