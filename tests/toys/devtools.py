"""A browser without a window, driven over a pipe by the DevTools protocol, with nothing but the standard library."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-pipe"),
)


WIRED = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""Becomes a browser, which takes commands from file descriptor 3 and answers on 4."""


def installed_browser():
    """The path of a browser; `None` if there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Tab:
    """A page in the browser.

    Attributes:
        logged: The messages in its console, and the errors of its scripts.
        requested: The addresses that it has asked for.
    """

    def __init__(self, asks, answers):
        self.asks, self.answers, self.number, self.session = asks, answers, 0, None
        self.logged, self.requested = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """The result of a command; what happens meanwhile is noted."""
        self.number += 1
        asked = {"id": self.number, "method": method, "params": params}
        self.asks.write(json.dumps(asked | ({"sessionId": self.session} if self.session else {})).encode() + b"\0")
        self.asks.flush()
        while (answer := self._next()).get("id") != self.number:
            self._note(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def evaluate(self, expression):
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression, seconds=60.0):
        """Wait until an expression in the page is true."""
        until = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < until, f"waited in vain for {expression}"
            time.sleep(0.1)

    def press(self, key, code):
        """Press a key, and let go of it."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if (key, kind) == ("Enter", "keyDown") else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def _next(self):
        content = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            assert byte, "the browser has ended"
            content += byte
        return json.loads(content)

    def _note(self, event):
        name, params = event.get("method"), event.get("params", {})
        if name == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif name in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.logged.append(params)


@contextmanager
def opened(browser, file, profile, width=1440, height=900):
    """A page from the disk in a browser of this size."""
    (from_us, asks), (answers, to_us) = os.pipe(), os.pipe()
    started = [browser, *ARGUMENTS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
    wired = [sys.executable, "-c", WIRED, str(from_us), str(to_us), *started]
    process = subprocess.Popen(wired, pass_fds=(from_us, to_us), stderr=subprocess.DEVNULL)
    os.close(from_us)
    os.close(to_us)
    try:
        with os.fdopen(asks, "wb") as writing, os.fdopen(answers, "rb") as reading:
            tab = Tab(writing, reading)
            tab.call("Page.navigate", url=file.as_uri())
            tab.wait("document.readyState === 'complete'")
            yield tab
    finally:
        process.terminate()
        process.wait(timeout=20)
