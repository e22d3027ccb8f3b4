"""A real browser, Chromium, told what to do through a pipe (Chrome DevTools Protocol).

It needs nothing but the browser itself: messages are JSON, each ended by a zero byte,
written to its descriptor 3 and read from its descriptor 4.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
    "--window-size=1280,900",
)
PATIENCE = 60.0
"""Seconds."""


class Browser:
    """One page of a browser, with all that it complained of and all that it loaded."""

    def __init__(self, folder: Path) -> None:
        """``folder``: where the browser may keep what it likes."""
        assert CHROMIUM is not None
        commands, self._write = os.pipe()
        self._read, answers = os.pipe()
        script = f'exec "$0" "$@" 3<&{commands} 4>&{answers}'
        profile = f"--user-data-dir={folder}"
        self._process = subprocess.Popen(
            ["bash", "-c", script, CHROMIUM, *FLAGS, profile],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._number, self._session, self._rest = 0, "", b""
        self.complaints: list[str] = []
        self.loaded: list[str] = []
        target = self.order("Target.createTarget", url="about:blank")["targetId"]
        attached = self.order("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.order(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        os.close(self._write)
        os.close(self._read)

    def open(self, url: str) -> None:
        self.order("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is, as plain data."""
        answer = self.order(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """The value of ``expression`` as soon as it is something."""
        deadline = time.monotonic() + PATIENCE
        while not (found := self.value(f"(() => {{ try {{ return {expression} }} "
                                       "catch { return null } })()")):  # fmt: skip
            assert time.monotonic() < deadline, f"{expression}; {self.complaints}"
            time.sleep(0.05)
        return found

    def order(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give an order and wait for what becomes of it."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer.get("method"), answer.get("params", {}))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._read, 1 << 16)
            assert more, "the browser has gone"
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, event: str | None, about: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(about["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(about["args"]))
        elif event == "Log.entryAdded":
            self.complaints.append(about["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            self.loaded.append(about["request"]["url"])
