"""The clients over HTTP, for who has an address and a token: the same methods as ``Client`` and ``AsyncClient``."""
