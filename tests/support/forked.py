"""Processes that train, forked from one that has imported TensorFlow.

A new interpreter takes three seconds of a CPU to import it.
"""

import atexit
import multiprocessing
import os
import sys
import traceback

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["keras", "tf_keras", "gradscope.wrapping"])


def start(function, *arguments, errors, **environment):
    """Starts a process that calls a function of a module.

    Args:
        function: Is imported there, by its name.
        *arguments: Of the function.
        errors: Path of a file for the traceback, if it raises.
        **environment: Is changed before the call.
    """
    process = _CONTEXT.Process(
        target=_call,
        args=(function, arguments, errors, environment),
        daemon=True,  # ends with the tests: one may wait for one that failed
    )
    process.start()
    return process


def finish(process, errors, limit):
    """Waits for a process; returns its traceback, or nothing.

    Raises:
        TimeoutError: If it takes longer than a limit, in seconds.
    """
    process.join(limit)
    if process.is_alive():
        process.kill()  # or it waits for another one for ever
        raise TimeoutError(f"it takes longer than {limit} s")
    told = errors.read_text() if errors.exists() else ""
    assert bool(process.exitcode) == bool(told), process.exitcode
    return told


def _call(function, arguments, errors, environment):
    os.environ.update(environment)
    try:
        function(*arguments)
        # As at the end of a program; a forked process leaves them out.
        atexit._run_exitfuncs()
    except BaseException:
        errors.write_text(traceback.format_exc())
        sys.exit(1)
