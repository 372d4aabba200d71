"""The records of an auth server, somewhere else.

So far it opens. Reading (get, range), writing (write) and watching (current, next) are the next steps.
"""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import open as opening
from wit_world.imports import config, types

from about import NoAddress, about


def refuse(what: str):
    text = f"this plugin does not offer {what}, so it cannot keep records"
    raise Err(types.Failure_Invalid(text))


class Open(exports.Open):
    def open(self) -> opening.About:
        try:
            description, value_max = about(config.get("endpoint"))
        except NoAddress as error:
            raise Err(types.Failure_Invalid(str(error)))
        return opening.About(description, value_max)


class Records(exports.Records):
    def get(self, key):
        refuse("reading")

    def range(self, prefix, start, limit):
        refuse("listing")

    def write(self, conditions, operations):
        refuse("writing")


class Watch(exports.Watch):
    def current(self):
        refuse("watching")

    def next(self, after, limit, wait):
        refuse("watching")
