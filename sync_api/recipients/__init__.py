"""To whom payloads are sealed: recipients' public keys, this installation's own key, and which models are sealed."""
