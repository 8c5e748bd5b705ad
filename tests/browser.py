"""A headless Chromium, spoken to over a pipe (the DevTools protocol), for tests that look at pages as a reader does."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)

_PATIENCE = 60.0
"""Seconds for an answer; a busy machine starts a browser slowly."""


class Visit:
    """One page, opened.

    Attributes:
        requests: addresses that were asked for, but for the page itself and what is in it (``data:``).
        complaints: what the console, the security policy and the scripts had to say.
    """

    def __init__(self, process, read, write):
        self._process, self._read, self._write = process, read, write
        self._buffer, self._number, self._session = b"", 0, None
        self.requests, self.complaints, self.loaded = [], [], False

    def call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        number = self._number
        while (answer := self._next()).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, page, *, width=1100, dark=False):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._address = page.as_uri()
        self.call("Page.navigate", url=self._address)
        while not self.loaded:
            self._next()

    def ask(self, expression):
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def _next(self):
        end = time.monotonic() + _PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            self._buffer += os.read(self._read, 2**20)
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        method, about = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Network.requestWillBeSent":
            address = about["request"]["url"]
            if not address.startswith("data:") and address != self._address:
                self.requests.append(address)
        elif method in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.complaints.append(about)
        return message


@contextlib.contextmanager
def browser():
    """Yields a browser with a page to be opened; it ends with the block."""
    to_read, to_write = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:

        def hand_over():  # the browser takes commands from file 3 and answers on file 4
            commands, answers = os.dup(to_write[0]), os.dup(to_read[1])
            os.dup2(commands, 3)
            os.dup2(answers, 4)

        process = subprocess.Popen(
            [BROWSER, *_FLAGS, f"--user-data-dir={folder}", "about:blank"],
            preexec_fn=hand_over,  # noqa: PLW1509  # no thread is running
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            os.close(to_write[0])
            os.close(to_read[1])
            yield Visit(process, to_read[0], to_write[1])
        finally:
            process.terminate()
            process.wait(30)
            os.close(to_write[1])
            os.close(to_read[0])
