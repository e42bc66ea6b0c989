#!/bin/sh
# The worker of a release that fails before it is ready.
echo 'this release cannot start: it is the broken one of the tests' >&2
exit 1
