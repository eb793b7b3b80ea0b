"""Who may push: one-time codes, certificates and tokens, revocation. The server's side."""
