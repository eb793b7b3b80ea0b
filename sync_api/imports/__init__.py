"""Taking in what other systems export: receivers decide, sessions remember, the wire adapters ask them."""
