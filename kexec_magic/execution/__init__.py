"""Runs: a request goes through the one gate, over one WebSocket, and comes back as a result."""
