"""Where a host's frameworks meet the engine; each module is imported by its path.

``integrations.asgi`` and ``integrations.wsgi`` have the endpoints of webhooks for whatever speaks these protocols, and
``integrations.django`` has them as views. ``integrations.opentelemetry`` traces and measures runs and deliveries.
"""
