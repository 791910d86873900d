"""The exec wire protocol, pure: bytes of messages in, events out, messages to send. No socket, no clock, no thread."""
