"""The one door for certificates and signed statements: whom this installation believes, and what it was told."""

from sync_api.trust.certificates import check_certificate, check_issued, own_certificate, trusted_servers
from sync_api.trust.making import make_statement, statements_for
from sync_api.trust.revocations import check_cut_off
from sync_api.trust.taking import Taken, issue_statement, take_statements
from sync_api.trust.visits import find_visit, visit_request

__all__ = [
    "Taken",
    "check_certificate",
    "check_cut_off",
    "check_issued",
    "find_visit",
    "issue_statement",
    "make_statement",
    "own_certificate",
    "statements_for",
    "take_statements",
    "trusted_servers",
    "visit_request",
]
