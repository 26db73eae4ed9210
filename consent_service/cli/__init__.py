"""The command line for operators: `consent-service NOUN VERB`.

Rules kept here:
  * exit codes: 0 done, 1 refused or found something, 2 wrong use; never a traceback;
  * an error is one plain sentence and the next step, on stderr;
  * no name and no NHS number as an argument.
"""

from consent_service.cli.root import main

__all__ = ["main"]
