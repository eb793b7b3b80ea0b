"""The server's pages for its records: find, download, the audit, the data dictionary. Plain Django, for staff."""
