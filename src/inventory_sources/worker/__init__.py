"""The worker: for hosts without a queue, a process (or a thread) that runs what is due."""

from inventory_sources.worker._health import Health, HealthServer
from inventory_sources.worker._waiting import Waiting
from inventory_sources.worker._worker import Worker

__all__ = ["Health", "HealthServer", "Waiting", "Worker"]
