"""Events, the queue of RQ and a lock, in Redis."""
