"""The release of the kernel as a label."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.evaluate import Failure_Denied, Failure_Unavailable, Request
from wit_world.imports import process

from release import NotReleased, release


class Evaluate(exports.Evaluate):
    def evaluate(self, request: Request) -> str:
        try:
            outcome = process.run(["uname", "-r"], None)
        except Err as error:
            # A failure of the host has a kind and a text; one that was denied stays so.
            text = f"uname cannot be run: {error.value.value}"
            if isinstance(error.value, process.Failure_Denied):
                raise Err(Failure_Denied(text))
            raise Err(Failure_Unavailable(text))
        ended = outcome.ending
        exit_code = ended.value if isinstance(ended, process.Ending_Exited) else None
        try:
            return release(exit_code, outcome.stdout)
        except NotReleased as error:
            raise Err(Failure_Unavailable(str(error)))
