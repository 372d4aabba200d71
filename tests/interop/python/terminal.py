"""A person at a terminal: runs a command on a pty of its own and talks to it.

Arguments: the command. On standard input comes one JSON list of steps, each a list:
  ["expect", TEXT]        waits until the text was shown, after what was already expected
  ["send", TEXT]          types
  ["resize", COLS, ROWS]  makes the window another size
  ["end", CODE]           waits for the end of the command; its exit code must be this
Prints nothing when all goes well; otherwise what was shown, and exits with 1.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

PATIENCE = 60


def resize(terminal, cols, rows):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


class Person:
    def __init__(self, command):
        self.shown = b""
        self.seen = 0
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            resize(0, 80, 25)
            os.execvp(command[0], command)

    def fail(self, why):
        os.kill(self.pid, signal.SIGKILL)
        print(f"{why}; shown so far:\n{self.shown!r}")
        sys.exit(1)

    def look(self, until):
        """Reads what is shown; false when there will be no more."""
        left = until - time.monotonic()
        if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
            self.fail("nothing more came")
        try:
            more = os.read(self.terminal, 65536)
        except OSError:
            more = b""
        self.shown += more
        return bool(more)

    def expect(self, text):
        until = time.monotonic() + PATIENCE
        while text.encode() not in self.shown[self.seen:]:
            if not self.look(until):
                self.fail(f"it ended before {text!r}")
        self.seen = self.shown.index(text.encode(), self.seen) + len(text.encode())

    def send(self, text):
        os.write(self.terminal, text.encode())

    def resize(self, cols, rows):
        resize(self.terminal, cols, rows)

    def end(self, code):
        until = time.monotonic() + PATIENCE
        while self.look(until):
            pass
        _, status = os.waitpid(self.pid, 0)
        if os.waitstatus_to_exitcode(status) != code:
            self.fail(f"it ended with {os.waitstatus_to_exitcode(status)} and not {code}")


person = Person(sys.argv[1:])
for step, *arguments in json.load(sys.stdin):
    getattr(person, step)(*arguments)
