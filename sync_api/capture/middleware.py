class SyncContextMiddleware:
    pass
